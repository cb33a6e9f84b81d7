"""``jit-render cancel``: stop a job."""

from __future__ import annotations

from jit_render.cli.options import Job, Json, Set, State


def cancel(job: Job, state: State = "", overrides: Set = None, json: Json = False) -> None:
    """Stop a job.

    Running tasks end at their next frame, nothing new starts; 'retry' takes it up again.
    """
    import getpass

    from jit_render.cli.output import say, say_json
    from jit_render.cli.session import session, with_state
    from jit_render.farm.control import cancel as cancel_job
    from jit_render.farm.engines import LOCAL, engine_of

    with session(with_state(overrides or (), state)) as given:
        home = given.job(job)
        cancel_job(given.store, home, given.clock, getpass.getuser())
        if engine_of(given.store, home) != LOCAL:
            given.engine(home).cancel(home)
    if json:
        say_json({"job": home.name, "url": str(home), "cancelled": True})
    else:
        say(f"{home.name} is cancelled; jit-render retry {home.name} takes it up again.")
