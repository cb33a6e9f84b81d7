"""``jit-render sheet``: a contact sheet of a job's frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jit_render.cli.options import Job, Json, Set, State

Out = Annotated[Path, typer.Argument(metavar="PNG", help="Where the picture goes.")]
Write = Annotated[str, typer.Option("--write", metavar="NODE", help="Which Write; default: the first.")]
View = Annotated[str, typer.Option("--view", metavar="VIEW", help="Which view; default: the first.")]


def sheet(
    job: Job,
    out: Out,
    *,
    write: Write = "",
    view: View = "",
    state: State = "",
    overrides: Set = None,
    json: Json = False,
) -> None:
    """Draw all frames of a job on one picture.

    From what is in the bucket, as it was committed.
    """
    from jit_render.cli.imaging import need_images
    from jit_render.cli.output import say, say_json
    from jit_render.cli.session import session, with_state

    need_images()
    from jit_render.report.sheet import contact_sheet

    with session(with_state(overrides or (), state)) as given:
        drawn = contact_sheet(given.store, given.job(job), out, write=write, view=view)
    if json:
        say_json(drawn)
    else:
        holes = f", {drawn.missing} missing" * bool(drawn.missing) + f", {drawn.broken} unreadable" * bool(drawn.broken)
        say(f"{out}: {drawn.shown} frames{holes}.")
