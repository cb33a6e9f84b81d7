"""What most commands begin with: settings, a store, and the job that was named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from jit_render.cli.config import load
from jit_render.farm.engine import Engine
from jit_render.farm.records import find_job, list_jobs, state_of
from jit_render.model.clock import Clock, SystemClock
from jit_render.model.errors import JobConflict, JobNotFound
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import Settings
from jit_render.store import Store, open_store

LATEST = "latest"
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Session:
    """One command's way to the world."""

    settings: Settings
    store: Store
    clock: Clock

    def refuse_elsewhere(self, home: ObjectUrl, name: str) -> None:
        """Raises JobConflict while the service of another engine than `name` still means to render the job."""
        from jit_render.farm.engines import engine_of

        now = engine_of(self.store, home)
        if now in {LOCAL, name}:
            return
        state = self.engine(home).status(home).state
        if state in {"waiting", "running"}:
            raise JobConflict(
                f"{home.name} is {state} at {now}, and both would render it; 'jit-render cancel {home.name}' takes it "
                f"from there, then 'jit-render retry {home.name} --engine {name}' goes on."
            )

    def job(self, name: str) -> ObjectUrl:
        """The folder of a job named by URL, id, unique beginning of an id, or ``latest``. Raises JobNotFound."""
        if "://" in name:
            return find_job(self.store, self.settings, name)
        state = state_of(self.settings)
        known = [summary.id for summary in list_jobs(self.store, state)]
        if name == LATEST:
            if not known:
                raise JobNotFound(f"there is no job under {state} yet; jit-submit makes one.")
            return find_job(self.store, self.settings, known[0])
        alike = [job_id for job_id in known if job_id.startswith(name)]
        if name not in known and len(alike) > 1:
            some = ", ".join(alike[:4])
            raise JobNotFound(f"{name!r} is the beginning of {len(alike)} jobs ({some}); write more of it.")
        return find_job(self.store, self.settings, alike[0] if len(alike) == 1 else name)

    def engine(self, home: ObjectUrl, flags: Sequence[str] = (), name: str = "") -> Engine:
        """The engine that the job is with (or `name`), told what was chosen for its last round, then `flags`."""
        from jit_render.farm.engines import engine_of, open_engine
        from jit_render.farm.rounds import Rounds

        name = name or engine_of(self.store, home)
        last = None if name == LOCAL else Rounds(self.store, home).last()
        settings = load([*last.choices, *flags]).settings if last else self.settings
        return open_engine(name, settings, self.store, self.clock)


@contextmanager
def session(flags: Sequence[str] = ()) -> Iterator[Session]:
    """Settings and a store for the time of one command. Raises ConfigError."""
    settings = load(flags).settings
    clock = SystemClock()
    store = open_store(settings.store, clock)
    try:
        yield Session(settings, store, clock)
    finally:
        store.close()


def with_state(flags: Sequence[str], state: str) -> list[str]:
    """`flags` and, where given, the state folder as one more."""
    return [*flags, f"job.state={state}"] if state else list(flags)
