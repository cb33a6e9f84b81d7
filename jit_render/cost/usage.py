"""Usage: what one attempt's machine was busy with, second by second.

An attempt occupies one machine from its start to its end. Its seconds are told apart in this order, each part taking
at most what is left, so that they add up to the attempt's whatever a record says::

    render      frames that this attempt committed, less what they waited for files
    fetch_wait  that waiting
    start       from the worker's start to its first frame: agent, renderer, script
    …           the rest belongs to how the attempt ended

The rest of an attempt that went well is *idle* (the last uploads, records, a licence's wait); of one that was
preempted it is *lost*, together with its start: another attempt has to start for it again. The same of one that failed
or was stopped is *failed*; of one that still runs it is *running*, for nobody knows yet.
Between two attempts a machine stands *idle* too, unless the gap is so long that it was given back.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jit_render.model.job import AttemptRecord, FailureClass

SECONDS = ("render", "fetch_wait", "start", "lost", "failed", "idle", "running")
"""Parts that are a machine's time, in the order in which people ask for them."""
MOST_IDLE_SECONDS = 900.0
"""A machine that had no attempt for longer was given back meanwhile (``gcp.idle`` is a quarter of an hour, too)."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Seconds of one machine by what they went to."""

    render: float = 0.0
    fetch_wait: float = 0.0
    start: float = 0.0
    lost: float = 0.0
    failed: float = 0.0
    idle: float = 0.0
    running: float = 0.0

    @property
    def total(self) -> float:
        return float(sum(getattr(self, name) for name in SECONDS))


@dataclass(frozen=True, slots=True)
class FrameUse:
    """One frame that an attempt committed: its seconds in the renderer, and the bytes of its outputs."""

    frame: int
    seconds: float
    bytes_written: int = 0


def occupied_seconds(attempt: AttemptRecord, now: float) -> float:
    """How long the attempt has held its machine; one that vanished, until its last sign of life."""
    end = attempt.ended if attempt.ended is not None else min(now, attempt.heartbeat + attempt.heartbeat_seconds)
    return max(0.0, end - attempt.started)


def split(attempt: AttemptRecord, frames: Sequence[FrameUse], now: float, idle_after: float = 0.0) -> Parts:
    """The attempt's seconds, and those for which its machine stood idle after it."""
    whole = occupied_seconds(attempt, now)
    useful = min(whole, sum(max(0.0, one.seconds) for one in frames))
    rendered = max(useful, attempt.spent.render_seconds)
    waited = min(useful, max(0.0, attempt.spent.fetch_wait_seconds) * (useful / rendered if rendered else 0.0))
    start = min(whole - useful, max(0.0, attempt.spent.start_seconds))
    rest = max(0.0, whole - useful - start)
    well = {"render": useful - waited, "fetch_wait": waited}
    if attempt.ended is None:
        return Parts(**well, start=start, running=rest, idle=idle_after)
    if attempt.failure is None:
        return Parts(**well, start=start, idle=rest + idle_after)
    if attempt.failure is FailureClass.PREEMPTED:
        return Parts(**well, lost=start + rest, idle=idle_after)
    return Parts(**well, failed=start + rest, idle=idle_after)


def idle_gaps(attempts: Iterable[AttemptRecord], now: float) -> dict[tuple[int, int], float]:
    """Per attempt (task, number), the seconds until its machine had the next one.

    Attempts of one host that overlap were on as many machines: each goes to the one that has been free for longest.
    """
    hosts: dict[str, list[AttemptRecord]] = {}
    for attempt in attempts:
        hosts.setdefault(attempt.host, []).append(attempt)
    gaps: dict[tuple[int, int], float] = {}
    for found in hosts.values():
        free: list[tuple[float, int, int]] = []
        for attempt in sorted(found, key=lambda one: (one.started, one.task, one.attempt)):
            if free and free[0][0] <= attempt.started:
                end, task, number = heapq.heappop(free)
                gap = attempt.started - end
                if gap <= MOST_IDLE_SECONDS:
                    gaps[task, number] = gap
            end = attempt.started + occupied_seconds(attempt, now)
            heapq.heappush(free, (end, attempt.task, attempt.attempt))
    return gaps
