"""The port of engines: what runs a job's tasks. The records in the bucket are the same under every engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from jit_render.farm.control import Log
from jit_render.farm.status import JobStatus
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import JobSpec


class Engine(Protocol):
    """Runs ``jit-render work`` for every task of a job until its frames are done or its budgets spent."""

    name: str

    def check(self, spec: JobSpec) -> None:
        """Raises ConfigError for what could not be run here, before anything is stored for it."""
        ...

    def submit(self, home: ObjectUrl) -> None:
        """Have the unfinished tasks of the job run. Trying again (same job, nothing changed) is harmless.

        An engine of this machine blocks until it is over; one of a service returns once the service has the job.
        """
        ...

    def status(self, home: ObjectUrl) -> JobStatus:
        """The job's state by its records."""
        ...

    def go_on(self, home: ObjectUrl) -> str | None:
        """Have what the machines failed run again, where the engine does so at all; what was done, in a line."""
        ...

    def cancel(self, home: ObjectUrl) -> None:
        """Stop it at the next frame of each task. What is done stays."""
        ...

    def logs(self, home: ObjectUrl, task: int | None = None, attempt: int | None = None) -> Iterator[Log]:
        """The renderers' output, by task and attempt."""
        ...
