"""What a task holds while it works, and how much of it at once: the bounds that the memory plan sets.

A frame that fits its worker's budget only alone begins when nothing of the one before is left; one that does not fit at
all takes the machine's turn for large frames (`turns.py`), and keeps it until its last output is in the bucket, or for
a temporal window until the camera's last frame is.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from preprocess.chain import Chain
from preprocess.fetching import Fetcher
from preprocess.listener import ImageKey
from preprocess.memory import Estimate
from preprocess.turns import turn


@dataclass
class Hands:
    """Of one run; closed when that is over, however. Used by its thread."""

    fetcher: Fetcher
    pool: ThreadPoolExecutor
    budget_bytes: int
    turn_file: Path | None
    chains: dict[str, Chain] = field(default_factory=dict)
    planned: dict[str, Estimate] = field(default_factory=dict)
    pending: list[Future[None]] = field(default_factory=list)
    _turn: ExitStack = field(default_factory=ExitStack)
    """Given back when the image is done."""
    _kept_turns: dict[str, ExitStack] = field(default_factory=dict)
    """Given back when the camera is done: those of temporal operations."""

    def make_room(self, camera: str) -> None:
        """Where two images do not fit the budget, nothing of the last one is left before the next begins."""
        plan = self.planned.get(camera) or next(iter(self.planned.values()), None)
        if plan is not None and 2 * plan.total > self.budget_bytes:
            wait(self.pending)
        self.pending[:] = [job for job in self.pending if not job.done()]

    def take_turn(self, image: ImageKey, waits: Callable[[ImageKey, int], None], *, keeps_window: bool) -> None:
        """Keep the machine's turn until nothing of this image is left, if it is a large one."""
        plan = self.planned[image.camera]
        if self.turn_file is None or plan.total <= self.budget_bytes or image.camera in self._kept_turns:
            return
        turns = self._turn
        if keeps_window:  # it stays in memory from frame to frame, and so does the turn
            turns = self._kept_turns.setdefault(image.camera, ExitStack())
        turns.enter_context(turn(self.turn_file, lambda: waits(image, plan.total)))
        turns.callback(wait, self.pending)

    def leave(self, image: ImageKey, *, is_last: bool) -> None:
        """The image is done or failed; `is_last` of its camera."""
        if image.camera in self.chains:
            self.chains[image.camera].leave(image.frame)
            if is_last:
                self.chains.pop(image.camera).close()
                self._kept_turns.pop(image.camera, ExitStack()).close()
        self._turn.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for chain in self.chains.values():
            chain.close()
        self._turn.close()
        for kept in self._kept_turns.values():
            kept.close()
