"""An event loop's selector that stays awake for a moment after an answer.

A client that has its answer often asks for the next name at once: Nuke opens one file after the other. For the system
to wake a process that sleeps takes as long as the answer itself, on both sides: who wakes it pays, too. (Measured on
two virtual cores: with a client that waits awake, see nuke_callbacks/connection.py, 150 instead of 230 to 650
microseconds a name, and less processor time in all.) So, once something was answered, the loop looks for the next
request without sleeping for a fraction of a millisecond. Where none comes it sleeps at once after the next answers,
twice as many each time: a client that asks seldom costs nothing.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable

AWAKE_SECONDS = 0.0003
MOST_ASLEEP = 32
_Events = list[tuple[selectors.SelectorKey, int]]


class AwakeSelector(selectors.EpollSelector):
    """Waits without sleeping after `stay_awake`, for `AWAKE_SECONDS` of `clock` at most."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__()
        self._clock = clock
        self._is_to_stay = False
        self._asleep = 0
        """For how many answers."""
        self._next_asleep = 1

    def stay_awake(self) -> None:
        """Something was answered: the next request may follow at once."""
        if self._asleep:
            self._asleep -= 1
        else:
            self._is_to_stay = True

    def select(self, timeout: float | None = None) -> _Events:
        """As every selector does."""
        if not self._is_to_stay or timeout == 0:
            return super().select(timeout)
        self._is_to_stay = False
        awake_seconds = AWAKE_SECONDS if timeout is None else min(AWAKE_SECONDS, timeout)
        end = self._clock() + awake_seconds
        while self._clock() < end:
            if events := super().select(0):
                self._next_asleep = 1
                return events
        self._asleep, self._next_asleep = self._next_asleep, min(2 * self._next_asleep, MOST_ASLEEP)
        return super().select(None if timeout is None else timeout - awake_seconds)
