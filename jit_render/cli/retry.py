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
    from jit_render.cli.output import note, say, say_json
    from jit_render.cli.run_local import run_local
    from jit_render.cli.session import session, with_state
    from jit_render.farm.control import retry as retry_job

    with session(with_state(overrides or (), state)) as given:
        home = given.job(job)
        left = retry_job(given.store, home)
        if left is None or not run:
            if json:
                say_json({"job": home.name, "url": str(home), "left": str(left) if left else ""})
            else:
                say(f"{home.name}: {f'{left.echo()} left' if left else 'all frames are there'}.")
            return
        note(f"{home.name}: {left.echo()} left.")
        exit_code = run_local(given, home, workers=workers, own_caches=own_caches, json=json)
    raise typer.Exit(exit_code)
