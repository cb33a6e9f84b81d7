"""``jit-render pull``: bring frames to a local folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jit_render.cli.options import Frames, Job, Json, Set, State

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the frames go.")]
Write = Annotated[list[str] | None, typer.Option("--write", metavar="NODE", help="Only this Write; may be repeated.")]


def pull(
    *,
    job: Job,
    folder: Folder,
    frames: Frames = "",
    write: Write = None,
    state: State = "",
    overrides: Set = None,
    json: Json = False,
) -> None:
    """Copy a job's finished frames to a local folder.

    Each is checked, and what is there already is kept.
    """
    from jit_render.cli.output import say, say_json
    from jit_render.cli.session import session, with_state
    from jit_render.farm.pull import pull as pull_job
    from jit_render.model.frames import FrameSet
    from jit_render.report.words import count, size

    with session(with_state(overrides or (), state)) as given:
        wanted = FrameSet.parse(frames) if frames else None
        report = pull_job(given.store, given.job(job), folder, frames=wanted, writes=write or ())
    if json:
        say_json(report)
    else:
        came = f"{size(report.bytes_fetched)} fetched, {report.files_kept} there already"
        missing = f"; not done yet: {report.frames_missing}" if report.frames_missing else ""
        say(f"{folder}: {count(report.files, 'file')}, {came}{missing}.")
