"""``jit-render logs``: what the renderers said."""

from __future__ import annotations

from typing import Annotated

import typer

from jit_render.cli.options import Job, Json, Set, State

Task = Annotated[int | None, typer.Option("--task", min=0, help="Only this task.")]
Attempt = Annotated[int | None, typer.Option("--attempt", min=1, help="Only this attempt.")]


def logs(
    *,
    job: Job,
    task: Task = None,
    attempt: Attempt = None,
    state: State = "",
    overrides: Set = None,
    json: Json = False,
) -> None:
    """Print what the renderers of a job said."""
    from jit_render.cli.output import note, say, say_json
    from jit_render.cli.session import session, with_state
    from jit_render.farm.control import read_logs

    with session(with_state(overrides or (), state)) as given:
        home = given.job(job)
        found = read_logs(given.store, home, task=task, attempt=attempt)
        if json:
            say_json(list(found))
            return
        is_empty = True
        for log in found:
            is_empty = False
            say(f"==> task {log.task}, attempt {log.attempt} <==")
            say(log.text.rstrip("\n"))
        if is_empty:
            note(f"{home.name} has no such log yet.")
