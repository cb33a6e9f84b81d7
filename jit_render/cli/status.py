"""``jit-render status``: how a job stands."""

from __future__ import annotations

from jit_render.cli.options import Job, Json, Set, State


def status(job: Job = "latest", *, state: State = "", overrides: Set = None, json: Json = False) -> None:
    """Show how a job stands, from its records.

    Exits 0 whatever it finds; 'wait' exits as the job ended.
    """
    from jit_render.cli.finish import as_json
    from jit_render.cli.output import say, say_json
    from jit_render.cli.session import session, with_state
    from jit_render.farm.records import JobReader
    from jit_render.farm.status import StatusFollower
    from jit_render.report.summary import summarise

    with session(with_state(overrides or (), state)) as given:
        home = given.job(job)
        now = StatusFollower(given.store, home, given.clock).refresh()
        if json:
            say_json(as_json(now))
            return
        for line in summarise(now, JobReader(given.store, home).spec()):
            say(line)
