"""``jit-render verify``: is what the records say in the bucket really there?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jit_render.cli.options import Frames, Job, Json, Set, State

Scratch = Annotated[Path | None, typer.Option("--scratch", help="Folder for what is being checked.")]


def verify(
    *,
    job: Job,
    frames: Frames = "",
    scratch: Scratch = None,
    state: State = "",
    overrides: Set = None,
    json: Json = False,
) -> None:
    """Read every output of a job again and check it.

    Record, size, crc32c, and whether each EXR is whole; exit 1 if any is not.
    """
    import tempfile

    from jit_render.cli.output import note, say, say_json
    from jit_render.cli.session import session, with_state
    from jit_render.farm.verify import verify_job
    from jit_render.model.frames import FrameSet

    with (
        session(with_state(overrides or (), state)) as given,
        tempfile.TemporaryDirectory(prefix="jit-render-verify-", dir=scratch) as folder,
    ):
        home = given.job(job)
        report = verify_job(given.store, home, Path(folder), FrameSet.parse(frames) if frames else None)
    if json:
        say_json(report)
    else:
        for problem in report.problems:
            note(f"  {problem}")
        say(f"{home.name}: {report.frames_verified} frames verified, {len(report.problems)} problems.")
    raise typer.Exit(0 if report.ok else 1)
