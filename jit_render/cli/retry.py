"""``jit-render retry``: take a job up again."""

from __future__ import annotations

from typing import Annotated

import typer

from jit_render.cli.engine_options import Budget, Fallback, Given, Machine, MaxNodes, SameEngine, Spot, Wait
from jit_render.cli.options import Job, Json, Set, State
from jit_render.cli.run_local import OwnCaches, Workers


def retry(
    *,
    job: Job,
    engine: SameEngine = "",
    workers: Workers = 0,
    own_caches: OwnCaches = False,
    machine: Machine = "",
    spot: Spot = None,
    fallback: Fallback = "",
    max_nodes: MaxNodes = 0,
    budget: Budget = 0,
    wait: Wait = False,
    run: Annotated[bool, typer.Option("--run/--no-run", help="Render what is left.")] = True,
    state: State = "",
    overrides: Set = None,
    json: Json = False,
) -> None:
    """Render what a job still lacks.

    After a failure or a cancellation; frames that are there stay.
    """
    from jit_render.cli.run_rest import run_rest
    from jit_render.cli.session import session, with_state
    from jit_render.farm.control import retry as retry_job

    chosen = Given(engine, machine, spot, fallback, max_nodes, budget, wait=wait)
    flags = with_state(overrides or (), state)
    with session(flags) as given:
        home = given.job(job)
        left = retry_job(given.store, home)
        exit_code = run_rest(
            given, home, left, chosen, flags=flags, run=run, workers=workers, own_caches=own_caches, json=json
        )
    raise typer.Exit(exit_code)
