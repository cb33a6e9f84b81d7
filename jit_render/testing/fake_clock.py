"""Time that passes when it is told to."""

from __future__ import annotations

import threading
import time


class FakeClock:
    """A Clock for tests; safe between threads.

    By default `sleep` returns at once and moves time on by what was asked for (``slept`` remembers each), so
    that back-off costs nothing. With ``jump=False`` a sleeper waits until `advance` has brought its time.
    """

    def __init__(self, start: float = 1_700_000_000.0, *, jump: bool = True) -> None:
        self._epoch = start
        self._passed = 0.0
        self._jump = jump
        self._moved = threading.Condition()
        self.slept: list[float] = []

    def wall(self) -> float:
        return self._epoch + self._passed

    def monotonic(self) -> float:
        return self._passed

    def sleep(self, seconds: float) -> None:
        with self._moved:
            self.slept.append(seconds)
            until = self._passed + seconds
            if self._jump:
                self._passed = until
                self._moved.notify_all()
                return
            self._moved.notify_all()
            self._moved.wait_for(lambda: self._passed >= until)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; wakes whoever waited for that."""
        with self._moved:
            self._passed += seconds
            self._moved.notify_all()

    def wait_for_sleepers(self, count: int, timeout: float = 10.0) -> bool:
        """Wait (in real time) until `sleep` was called `count` times in all; False when it was not."""
        with self._moved:
            return self._moved.wait_for(lambda: len(self.slept) >= count, timeout)


class HurriedClock:
    """Real time, but nobody waits: a sleep jumps ahead. For code that mixes sleeping with real waits on sockets."""

    def __init__(self) -> None:
        self._skipped = 0.0
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def wall(self) -> float:
        return time.time() + self._skipped

    def monotonic(self) -> float:
        return time.monotonic() + self._skipped

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self._skipped += seconds
