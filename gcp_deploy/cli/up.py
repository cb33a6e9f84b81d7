"""``jit-deploy up``: make what is missing."""

from __future__ import annotations

import typer

from gcp_deploy.cli.opened import Yes, agreed, opened, working
from gcp_deploy.cli.plan import count_todo, look_at_all, say_plan
from jit_render.cli.options import Set


def up(yes: Yes = False, overrides: Set = None) -> None:
    """Make what is missing and mend what differs, after showing it and asking.

    Safe to repeat and to interrupt: it goes on where it stopped. What it makes costs nothing but for stored data.
    """
    from gcp_deploy.blueprint import blueprint
    from gcp_deploy.parts import Verdict
    from jit_render.cli.output import note, say

    with opened(overrides or ()) as cloud:
        seen = look_at_all(cloud)
        todo = count_todo(seen)
        if not todo:
            say(f"Nothing to do: all {len(seen)} parts are there.")
            return
        say_plan(seen)
        if not yes and not agreed(f"\nMake {todo} of {len(seen)} in project {cloud.project}?"):
            note("Nothing was changed.")
            raise typer.Exit(1)
        say()
        parts = blueprint(cloud)
        for number, part in enumerate(parts, start=1):
            with working(f"{number}/{len(parts)} {part.kind} {part.name}"):
                look = part.look()
                if look.verdict is not Verdict.FINE:
                    part.make()
            if look.verdict is not Verdict.FINE:
                done = "made" if look.verdict is Verdict.MISSING else "mended"
                say(f"{number:>2}/{len(parts)} {done} {part.kind} {part.name}")
    say("\nNext: jit-deploy image --wheels FOLDER, then jit-submit SCRIPT --engine batch.")
