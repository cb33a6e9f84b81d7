"""What a run on this machine may be told, and what it tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jit_render.farm.budgets import wait_seconds
from jit_render.farm.chaos import Chaos
from jit_render.model.job import AttemptRecord

Kind = Literal["tick", "attempt", "frame", "written", "notice", "killed", "ended", "retry", "gave_up"]


@dataclass(frozen=True, slots=True)
class Progress:
    """What happened. ``tick`` comes a few times a second, so that a display can refresh itself."""

    kind: Kind
    task: int = -1
    attempt: int = 0
    slot: int = -1
    frame: int | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """`workers` 0: what the settings say. Own caches lie beside ``cache.root``: ``<root>-1``, ``<root>-2`` …"""

    workers: int = 0
    shared_cache: bool = True
    chaos: Chaos | None = None
    frames: frozenset[int] | None = None
    """Only these of the job's frames; None: all."""
    on_progress: Callable[[Progress], None] | None = None
    wait_seconds: Callable[[list[AttemptRecord]], float] = wait_seconds

    def takes(self, frame: int) -> bool:
        """Whether this run is to render `frame`."""
        return self.frames is None or frame in self.frames
