"""``jit-render work``: one task, one attempt, as every engine starts it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jit_render.cli.options import Json, Set, State
from jit_render.model.errors import UsageError

JobUrl = Annotated[str, typer.Option("--job", metavar="JOB", help="URL of the job's folder, or its id.")]
Task = Annotated[int | None, typer.Option("--task", min=0, help="Which task, counted from 0.")]
Round = Annotated[int, typer.Option("--round", min=0, help="Instead: a task of this round, as a service's node.")]
Index = Annotated[int, typer.Option("--index", min=0, help="Of --round: which of its tasks, counted from 0.")]
Attempt = Annotated[int, typer.Option("--attempt", min=0, help="Make exactly this attempt; 0: the next one.")]


def work(
    *,
    job: JobUrl,
    task: Task = None,
    attempt: Attempt = 0,
    round_number: Round = 0,
    index: Index = 0,
    state: State = "",
    overrides: Set = None,
    json: Json = False,
) -> None:
    """Render what is missing of one task.

    SIGTERM is a preemption notice. With --json: one event a line.
    """
    from jit_render.cli.session import session, with_state
    from jit_render.farm.round_work import licence_waits, work_round
    from jit_render.farm.worker import WorkOptions
    from jit_render.farm.worker import work as work_on

    if (task is None) != bool(round_number):
        raise UsageError("name either a --task, or a --round and an --index.")
    tell = _tell_json if json else _tell
    with session(with_state(overrides or (), state)) as given:
        home = given.job(job)
        if task is not None:
            exit_code = work_on(given.settings, home, task, WorkOptions(attempt=attempt, tell=tell), given.clock)
        else:
            options = WorkOptions(tell=tell, licence_waits=licence_waits(given.settings.farm.licence_wait))
            exit_code = work_round(given.settings, home, round_number, index, clock=given.clock, options=options)
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
