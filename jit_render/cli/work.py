"""``jit-render work``: one task, one attempt, as every engine starts it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jit_render.cli.options import Json, Set, State

JobUrl = Annotated[str, typer.Option("--job", metavar="JOB", help="URL of the job's folder, or its id.")]
Task = Annotated[int, typer.Option("--task", min=0, help="Which task, counted from 0.")]
Attempt = Annotated[int, typer.Option("--attempt", min=0, help="Make exactly this attempt; 0: the next one.")]


def work(
    *, job: JobUrl, task: Task, attempt: Attempt = 0, state: State = "", overrides: Set = None, json: Json = False
) -> None:
    """Render what is missing of one task.

    SIGTERM is a preemption notice. With --json: one event a line.
    """
    from jit_render.cli.session import session, with_state
    from jit_render.farm.worker import WorkOptions
    from jit_render.farm.worker import work as work_on

    with session(with_state(overrides or (), state)) as given:
        home = given.job(job)
        options = WorkOptions(attempt=attempt, tell=_tell_json if json else _tell)
        exit_code = work_on(given.settings, home, task, options, given.clock)
    raise typer.Exit(exit_code)


def _tell_json(event: dict[str, Any]) -> None:
    import json
    import sys

    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _tell(event: dict[str, Any]) -> None:
    from jit_render.cli.output import note

    if event.get("event") == "error":
        note(f"jit-render work: {event.get('message')}")
        return
    words = [str(event.get("event", ""))]
    words += [f"{key} {value}" for key, value in event.items() if key != "event" and value not in (None, "")]
    note("  ".join(words))
