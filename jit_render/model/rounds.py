"""A round: the tasks of a job that an engine hands to a service at once, written down before the service is asked.

A service counts its tasks from 0; `tasks` says which of the job's they are, so that only unfinished ones run and no
list of frames has to fit into a request. The record holds the request itself: whoever finds a round that was never
accepted, or does not know, asks the service for the very same thing again.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from jit_render.model.frames import FrameSet
from jit_render.model.job import AttemptRecord


class RoundRecord(BaseModel):
    """Created once under its number; rewritten once, when the service has accepted it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    number: int
    engine: str
    tasks: str
    """Numbers of the job's tasks, spelled as frames are; the service's task i is the i-th of them."""
    created: float
    earlier: dict[int, int] = {}
    """By task: the last attempt that others had made before. Clocks of machines differ, numbers do not."""
    preemptible: bool
    """Whether its nodes may be taken away."""
    choices: tuple[str, ...] = ()
    """Settings that were chosen for it, as ``section.key=value``; the next round begins with them."""
    name: str
    """What the service's job is called."""
    request_id: str
    request: dict[str, Any]
    """The service's job as it was asked for."""
    accepted: str = ""
    """The service's own id of its job; empty while nobody knows that it has one."""

    def task_numbers(self) -> tuple[int, ...]:
        """The job's tasks, in the order of the service's."""
        return tuple(FrameSet.parse(self.tasks))

    def made(self, attempt: AttemptRecord) -> bool:
        """Whether this round made that attempt (as far as it is the newest round)."""
        return attempt.attempt > self.earlier.get(attempt.task, 0)
