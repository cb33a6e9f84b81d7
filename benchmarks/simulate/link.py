"""A line that many share evenly: what a filer's network card or a bucket's request rate does to its readers.

Fluid, not packet by packet: with n transfers under way each gets ``min(cap, capacity / n)``. All get the same rate, so
one number, the amount that anybody has been given since the beginning (`_given`), says for each transfer when it is
through: at its own starting value plus its size. A heap of those values makes each arrival and departure cost log n,
which ten thousand nodes need.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

import simpy

_LEAST = 1e-9  # seconds; below it a departure is now, and rounding must not keep it from being so


class SharedLine:
    """`capacity` in units a second for all together, `cap` for each. `grown` may change the capacity over time."""

    def __init__(
        self,
        env: simpy.Environment,
        capacity: float,
        cap: float,
        grown: Callable[[float], float] | None = None,
    ) -> None:
        self._env = env
        self._capacity = capacity
        self._cap = cap
        self._grown = grown
        self._given = 0.0
        self._since = env.now
        self._waiting: list[tuple[float, int, simpy.Event]] = []
        self._gone: set[int] = set()
        self._numbers = count()
        self._turn = 0
        self.carried = 0.0
        """Units that have been handed over to transfers that came to their end."""

    def carry(self, size: float) -> tuple[simpy.Event, int]:
        """An event that happens once `size` units are through, and the number to `drop` it by."""
        self._advance()
        done, number = self._env.event(), next(self._numbers)
        heapq.heappush(self._waiting, (self._given + size, number, done))
        self.carried += size
        self._arm()
        return done, number

    def drop(self, number: int) -> None:
        """The receiver is gone; its transfer takes no more of the line."""
        self._advance()
        if any(number == waiting for _, waiting, _ in self._waiting):
            self._gone.add(number)
        self._arm()

    @property
    def under_way(self) -> int:
        return len(self._waiting) - len(self._gone)

    def _rate(self) -> float:
        capacity = self._capacity if self._grown is None else self._grown(self._env.now)
        return min(self._cap, capacity / max(1, self.under_way))

    def _advance(self) -> None:
        if self.under_way:
            self._given += self._rate() * (self._env.now - self._since)
        self._since = self._env.now

    def _arm(self) -> None:
        """Wake when the first is through; a wake that was overtaken by another arrival does nothing."""
        self._turn += 1
        while self._waiting and self._waiting[0][1] in self._gone:
            self._gone.discard(heapq.heappop(self._waiting)[1])
        if not self._waiting:
            return
        turn = self._turn
        seconds = max(0.0, (self._waiting[0][0] - self._given) / self._rate())
        wake = self._env.timeout(seconds)
        wake.callbacks.append(lambda _event: self._wake(turn))

    def _wake(self, turn: int) -> None:
        if turn != self._turn:
            return
        self._advance()
        reached = self._given + _LEAST * self._rate()
        while self._waiting and (self._waiting[0][0] <= reached or self._waiting[0][1] in self._gone):
            _, number, done = heapq.heappop(self._waiting)
            if number in self._gone:
                self._gone.discard(number)
            else:
                done.succeed()
        self._arm()
