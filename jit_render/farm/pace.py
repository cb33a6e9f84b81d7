"""How fast frames come, which one is in hand, and whether it can still be finished before the node goes.

A preemption notice leaves a short grace. Uploads of finished frames go on in the agent meanwhile, so letting
the frame in hand run costs nothing as long as enough time is left to hand it over. Therefore: a frame that is
known not to fit is stopped at once, every other one may run until the reserve begins.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field


def reserve_seconds(grace_seconds: float) -> float:
    """What of the grace is kept for the last upload and the records: a quarter, 2 to 10 s, at most a half."""
    return min(grace_seconds / 2, max(2.0, min(10.0, grace_seconds / 4)))


@dataclass
class Pace:
    """The frames of one attempt as they come. Times are monotonic seconds."""

    whole: bool = False
    """A movie: nothing is worth anything until the last frame is done."""
    asked: int = 0
    in_hand: int | None = None
    begun: list[int] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)
    first_start: float | None = None
    _started: float = 0.0

    def start(self, frame: int, now: float) -> None:
        """`frame` begins, so the one before it is finished. Several Writes start the same frame once each."""
        if frame == self.in_hand:
            return
        self.finish(now)
        self.first_start = now if self.first_start is None else self.first_start
        self.in_hand, self._started = frame, now
        if frame not in self.begun:
            self.begun.append(frame)

    def finish(self, now: float) -> None:
        """The frame in hand is done."""
        if self.in_hand is not None:
            self.durations.append(now - self._started)
        self.in_hand = None

    def seconds_in_hand(self, now: float) -> float:
        """How long the frame in hand has taken; 0 where none is."""
        return 0.0 if self.in_hand is None else now - self._started

    def expected_seconds(self, now: float) -> float | None:
        """Until the frame in hand (of a movie: the last one) is done; None while nothing was measured."""
        if not self.durations:
            return None
        usual = statistics.median(self.durations)
        more = max(0, self.asked - len(self.begun)) if self.whole else 0
        return max(0.0, usual - self.seconds_in_hand(now)) + more * usual

    def is_hopeless(self, now: float, deadline: float) -> bool:
        """True when the frame in hand is known not to be done by `deadline`."""
        expected = self.expected_seconds(now)
        return expected is not None and now + expected > deadline

    def lost(self, done: Iterable[int]) -> int:
        """Frames begun that are not among the `done` ones."""
        return len(set(self.begun).difference(done))
