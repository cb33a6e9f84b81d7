"""``jit-render status``: how a job stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from jit_render.cli.options import Job, Json, Set, State

if TYPE_CHECKING:
    from jit_render.farm.records import JobReader

PlanDiff = Annotated[bool, typer.Option("--plan-diff", help="Compare what was planned with what was read, by node.")]


def status(
    job: Job = "latest", *, plan_diff: PlanDiff = False, state: State = "", overrides: Set = None, json: Json = False
) -> None:
    """Show how a job stands, from its records.

    Exits 0 whatever it finds; 'wait' exits as the job ended.
    """
    from jit_render.cli.finish import as_json
    from jit_render.cli.output import say, say_json
    from jit_render.cli.session import session, with_state
    from jit_render.farm.records import JobReader
    from jit_render.report.summary import summarise

    with session(with_state(overrides or (), state)) as given:
        home = given.job(job)
        if plan_diff:
            _say_plan_diff(JobReader(given.store, home), json=json)
            return
        now = given.engine(home, overrides or ()).status(home)
        if json:
            say_json(as_json(now))
            return
        for line in summarise(now, JobReader(given.store, home).spec()):
            say(line)


def _say_plan_diff(job: JobReader, *, json: bool) -> None:
    from jit_render.cli.output import say, say_json
    from jit_render.farm.plan_diff import compare
    from jit_render.report.plan_diff import diff_lines

    diff = compare(job)
    if json:
        say_json(diff)
        return
    for line in diff_lines(diff):
        say(line)
