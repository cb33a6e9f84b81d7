"""``jit-render resume``: go on with a job that stopped early."""

from __future__ import annotations

import typer

from jit_render.cli.engine_options import Budget, Fallback, Given, Machine, MaxNodes, SameEngine, Spot, Wait
from jit_render.cli.options import Job, Json, Set, State
from jit_render.cli.run_local import OwnCaches, Workers


def resume(
    *,
    job: Job = "latest",
    engine: SameEngine = "",
    workers: Workers = 0,
    own_caches: OwnCaches = False,
    machine: Machine = "",
    spot: Spot = None,
    fallback: Fallback = "",
    max_nodes: MaxNodes = 0,
    budget: Budget = 0,
    wait: Wait = False,
    state: State = "",
    overrides: Set = None,
    json: Json = False,
) -> None:
    """Render the rest of a job.

    After 'jit-submit --scout', Ctrl-C or a lost machine. A cancelled job is left alone; that is for 'retry'.
    """
    from jit_render.cli.run_rest import run_rest
    from jit_render.cli.session import session, with_state
    from jit_render.farm.control import resume as resume_job

    chosen = Given(engine, machine, spot, fallback, max_nodes, budget, wait=wait)
    flags = with_state(overrides or (), state)
    with session(flags) as given:
        home = given.job(job)
        left = resume_job(given.store, home)
        exit_code = run_rest(
            given, home, left, chosen, flags=flags, workers=workers, own_caches=own_caches, json=json
        )
    raise typer.Exit(exit_code)
