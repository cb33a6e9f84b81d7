"""``jit-render resume``: go on with a job that stopped early."""

from __future__ import annotations

import typer

from jit_render.cli.options import Job, Json, Set, State
from jit_render.cli.run_local import OwnCaches, Workers


def resume(
    *,
    job: Job = "latest",
    workers: Workers = 0,
    own_caches: OwnCaches = False,
    state: State = "",
    overrides: Set = None,
    json: Json = False,
) -> None:
    """Render the rest of a job.

    After 'jit-submit --scout', Ctrl-C or a lost machine. A cancelled job is left alone; that is for 'retry'.
    """
    from jit_render.cli.run_local import render_rest
    from jit_render.cli.session import session, with_state
    from jit_render.farm.control import resume as resume_job

    with session(with_state(overrides or (), state)) as given:
        home = given.job(job)
        left = resume_job(given.store, home)
        exit_code = render_rest(given, home, left, workers=workers, own_caches=own_caches, json=json)
    raise typer.Exit(exit_code)
