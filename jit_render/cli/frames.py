"""``jit-render frames``: a job's frames one by one."""

from __future__ import annotations

from jit_render.cli.options import Frames, Job, Json, Set, State


def frames(job: Job, *, frames: Frames = "", state: State = "", overrides: Set = None, json: Json = False) -> None:
    """List a job's frames one by one.

    State, task, attempt, seconds, and why a frame failed.
    """
    from jit_render.cli.output import say_json, say_table
    from jit_render.cli.session import session, with_state
    from jit_render.farm.control import frame_rows
    from jit_render.model.frames import FrameSet

    with session(with_state(overrides or (), state)) as given:
        wanted = FrameSet.parse(frames) if frames else None
        rows = frame_rows(given.store, given.job(job), given.clock, wanted)
    if json:
        say_json(rows)
        return
    cells = [
        (
            row.frame,
            row.state,
            row.task,
            row.attempt or "-",
            "-" if row.seconds is None else f"{row.seconds:.2f}",
            row.host,
            row.message or (f"from {row.adopted_from}" if row.adopted_from else ""),
        )
        for row in rows
    ]
    headers = ("FRAME", "STATE", "TASK", "ATTEMPT", "SECONDS", "HOST", "")
    say_table(headers, cells, right=("FRAME", "TASK", "ATTEMPT", "SECONDS"))
