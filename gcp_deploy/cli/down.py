"""``jit-deploy down``: end what costs."""

from __future__ import annotations

from typing import Annotated

import typer

from gcp_deploy.cli.opened import Yes, agreed, opened, working
from jit_render.cli.options import Set
from jit_render.model.errors import CloudError, UsageError

Buckets = Annotated[bool, typer.Option("--buckets", help="Delete our buckets and all that is in them, too.")]
Confirm = Annotated[
    str, typer.Option("--confirm", metavar="NAME", help="The deployment's name, typed: agrees to --buckets.")
]


def down(buckets: Buckets = False, confirm: Confirm = "", yes: Yes = False, overrides: Set = None) -> None:
    """End everything of this deployment but its buckets: Batch jobs, VMs, disks, images, network, accounts.

    Safe to repeat and to interrupt. With --buckets the name of the deployment has to be typed; buckets that were there
    before it are left alone.
    """
    from gcp_deploy.inventory import kept, total
    from gcp_deploy.teardown import endings
    from jit_render.cli.output import note, say

    with opened(overrides or ()) as cloud:
        name = cloud.gcp.name
        if buckets:
            _confirm(name, confirm, yes=yes)
        elif not yes and not agreed(f"End all of {name} in project {cloud.project} but its buckets?"):
            note("Nothing was changed.")
            raise typer.Exit(1)
        ended, failed = 0, 0
        for ending in endings(cloud, buckets=buckets):
            try:
                with working(f"{ending.kind} {ending.name}"):
                    was_there = ending.end()
            except CloudError as error:  # what comes after it costs too, and is ended all the same
                failed += 1
                note(f"not ended: {error}")
                continue
            if was_there:
                ended += 1
                say(f"ended {ending.kind} {ending.name}")
        left = kept(cloud)
    say(f"\n{ended} ended." if ended or failed else "Nothing was there.")
    stays = [item for item in left if item.kind == "bucket"]
    if stays:
        say(f"Kept, at about {total(stays):.2f} USD a month: {', '.join(item.name for item in stays)}.")
    if failed:
        raise CloudError(
            f"{failed} of {name} could not be ended, as said above; 'jit-deploy leftovers' lists what costs."
        )


def _confirm(name: str, confirm: str, *, yes: bool) -> None:
    """Raises UsageError unless the name was typed."""
    if not confirm and not yes:
        try:
            confirm = typer.prompt(
                f"All data of {name}'s buckets will be lost. Type {name} to go on", default="", err=True
            )
        except typer.Abort:
            confirm = ""
    if confirm.strip() != name:
        raise UsageError(
            f"--buckets deletes all data: it wants the name typed, like --confirm {name}; nothing was changed."
        )
