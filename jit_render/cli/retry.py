"""``jit-render retry``: take a job up again."""

from __future__ import annotations

from typing import Annotated

import typer

from jit_render.cli.options import Job, Json, Set, State
from jit_render.cli.run_local import OwnCaches, Workers


def retry(
    *,
    job: Job,
    workers: Workers = 0,
    own_caches: OwnCaches = False,
    run: Annotated[bool, typer.Option("--run/--no-run", help="Render what is left here and now.")] = True,
    state: State = "",
    overrides: Set = None,
    json: Json = False,
) -> None:
    """Render what a job still lacks.

    After a failure or a cancellation; frames that are there stay.
    """
    from jit_render.cli.run_local import render_rest
    from jit_render.cli.session import session, with_state
    from jit_render.farm.control import retry as retry_job

    with session(with_state(overrides or (), state)) as given:
        home = given.job(job)
        left = retry_job(given.store, home)
        exit_code = render_rest(given, home, left, run=run, workers=workers, own_caches=own_caches, json=json)
    raise typer.Exit(exit_code)
