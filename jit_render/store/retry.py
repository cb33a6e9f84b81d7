"""Trying again: exponential back-off with full jitter, ``Retry-After`` honoured, bounded by a deadline.

Whoever meets a failure that may pass raises `Passing` with the error that it would be; `Patience` sleeps, or
raises that error once the deadline is over. The deadline bounds the time *without progress*: a transfer that has
moved enough calls `Patience.progressed` and starts with a fresh one. Full jitter (any delay from zero to the bound)
spreads a thousand nodes that were all refused at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from jit_render.model.clock import Clock
from jit_render.model.errors import ChecksumMismatch, GenerationGone, JitRenderError

T = TypeVar("T")
FIRST_BOUND_SECONDS = 1.0
LAST_BOUND_SECONDS = 32.0
CORRUPT_TRIES = 3
"""Bytes that came wrong this often are wrong at their source; more traffic does not mend them."""
OVERWRITTEN_TRIES = 5


def latest_of(read: Callable[[], T], *, pinned: bool) -> T:
    """What `read` finds, looked for again where a heartbeat, say, overwrote it between the look and the bytes.

    Of a `pinned` generation there is no later one to read.
    """
    for _ in range(0 if pinned else OVERWRITTEN_TRIES - 1):
        try:
            return read()
        except GenerationGone:
            continue
    return read()


class Passing(Exception):
    """A failure that may pass, and how many seconds the server asked to wait."""

    def __init__(self, problem: JitRenderError, retry_after: float = 0.0) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.retry_after = retry_after


class Patience:
    """How long one operation goes on trying."""

    def __init__(self, clock: Clock, deadline_seconds: float, jitter: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._deadline_seconds = deadline_seconds
        self._jitter = jitter
        self._corrupt = 0
        self.tries = 0
        self.progressed()

    def progressed(self) -> None:
        """Enough has moved: the deadline and the back-off begin anew."""
        self._failures = 0
        self._until = self._clock.monotonic() + self._deadline_seconds

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return self._clock.monotonic() >= self._until

    def pause(self, passing: Passing) -> None:
        """Sleep before the next try, or raise the problem when there must be none."""
        self.tries += 1
        self._failures += 1
        self._corrupt += isinstance(passing.problem, ChecksumMismatch)
        bound = min(LAST_BOUND_SECONDS, FIRST_BOUND_SECONDS * 2 ** min(self._failures - 1, 10))
        delay = max(passing.retry_after, self._jitter() * bound)
        if self._corrupt >= CORRUPT_TRIES or self._clock.monotonic() + delay >= self._until:
            tried = f"{self.tries} {'try' if self.tries == 1 else 'tries'}"
            raise type(passing.problem)(f"{passing.problem} (gave up after {tried})") from passing
        self._clock.sleep(delay)


class Pace:
    """Whether one answer, or one block of a long one, moves: what is not whole after `seconds` trickles.

    A socket's own time-out begins anew with every byte; a server that sends one now and then would be waited for until
    the whole patience is used up, though a new connection may well be a fast one.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._until = clock.monotonic() + seconds

    @property
    def trickles(self) -> bool:
        """Whether it should have been whole by now."""
        return self._clock.monotonic() >= self._until


class Retrier:
    """Gives each operation its patience."""

    def __init__(self, clock: Clock, deadline_seconds: float, jitter: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._deadline_seconds = deadline_seconds
        self._jitter = jitter

    def patience(self) -> Patience:
        """For one operation that starts now."""
        return Patience(self._clock, self._deadline_seconds, self._jitter)

    def pace(self, seconds: float) -> Pace:
        """For what begins to come now."""
        return Pace(self._clock, seconds)

    def call(self, work: Callable[[], T]) -> T:
        """The result of `work`, tried again while it raises `Passing`."""
        patience = self.patience()
        while True:
            try:
                return work()
            except Passing as passing:
                patience.pause(passing)
