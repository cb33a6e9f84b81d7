"""``jit-render wait``: watch a job until it ends."""

from __future__ import annotations

from typing import Annotated

import typer

from jit_render.cli.options import Job, Json, Set, State

Timeout = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0, help="Give up after so long; 0: never.")]


def wait(job: Job, *, timeout: Timeout = 0, state: State = "", overrides: Set = None, json: Json = False) -> None:
    """Show a job's progress until it is over.

    Exits as the job ended, with 75 when the time is up.
    """
    from jit_render.cli.run_service import wait_for
    from jit_render.cli.session import session, with_state

    with session(with_state(overrides or (), state)) as given:
        home = given.job(job)
        exit_code = wait_for(given, home, given.engine(home, overrides or ()), timeout=timeout, json=json)
    raise typer.Exit(exit_code)
