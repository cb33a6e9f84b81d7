"""The local engine: worker processes on this machine, and the chaos mode that treats them as Spot VMs.

What it does is in `local_run.py`; this is its face.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

from jit_render.farm import control
from jit_render.farm.chaos import Chaos
from jit_render.farm.engines import give_to
from jit_render.farm.local_options import LocalOptions, Progress
from jit_render.farm.local_run import LocalRun
from jit_render.farm.status import JobStatus, StatusFollower
from jit_render.model.clock import Clock
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import JobSpec
from jit_render.model.settings import Settings
from jit_render.store import Store

__all__ = ["Chaos", "LocalEngine", "LocalOptions", "Progress"]


class LocalEngine:
    """Runs one job at a time; see `jit_render.farm.engine.Engine`."""

    name = "local"

    def __init__(self, settings: Settings, store: Store, clock: Clock, options: LocalOptions | None = None) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._options = options or LocalOptions()
        self._followers: dict[ObjectUrl, StatusFollower] = {}

    def check(self, spec: JobSpec) -> None:
        """Everything can be tried here."""

    def submit(self, home: ObjectUrl) -> None:
        """Render until nothing is left to try."""
        self.run(home)

    def run(self, home: ObjectUrl) -> JobStatus:
        """Render until nothing is left to try; how the job stands then.

        Raises what keeps every worker from starting (a UsageError, say). On KeyboardInterrupt the workers stop,
        upload what is finished, and the interrupt comes out; a later run goes on.
        """
        give_to(self._store, home, self.name)
        LocalRun(home, settings=self._settings, store=self._store, clock=self._clock, options=self._options).go()
        return self.status(home)

    def status(self, home: ObjectUrl) -> JobStatus:
        follower = self._followers.setdefault(home, StatusFollower(self._store, home, self._clock))
        return follower.refresh()

    def go_on(self, home: ObjectUrl) -> str | None:  # noqa: ARG002 - the port's
        """Nothing: a run ends when nothing is left to try."""
        return None

    def cancel(self, home: ObjectUrl) -> None:
        control.cancel(self._store, home, self._clock, f"{os.getuid()}@{socket.gethostname()}")

    def logs(self, home: ObjectUrl, task: int | None = None, attempt: int | None = None) -> Iterator[control.Log]:
        return control.read_logs(self._store, home, task, attempt)
