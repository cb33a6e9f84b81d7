"""``jit-deploy doctor``: what is wrong, and the command that mends it."""

from __future__ import annotations

import typer

from gcp_deploy.cli.opened import opened, working
from jit_render.cli.options import Json, Set


def doctor(overrides: Set = None, json: Json = False) -> None:
    """Check credentials, APIs, quotas, IAM, buckets, network, image and licence server. Changes nothing.

    Exit 0: nothing is wrong; 1: something is.
    """
    from gcp_deploy.doctor import examine
    from jit_render.cli.output import say, say_json

    found = []
    with opened(overrides or ()) as cloud, working("examining") as rename:
        for finding in examine(cloud):
            found.append(finding)
            rename(f"examining {finding.topic}")
            if not json:
                mark = {"ok": "ok", "problem": "PROBLEM", "unknown": "?"}[finding.verdict]
                say(f"{mark:<8} {finding.topic}: {finding.text}")
                if finding.mend:
                    say(f"         -> {finding.mend}")
    problems = sum(finding.verdict == "problem" for finding in found)
    if json:
        say_json(found)
    else:
        say(f"\n{problems} of {len(found)} checks found a problem." if problems else "\nNothing is wrong.")
    raise typer.Exit(1 if problems else 0)
