"""Usage and prices to money: a bill by part, by frame and by attempt, whose sums agree.

Every dollar is found per attempt (its machine's parts of time, its requests, its transfer) or per frame (the storage of
its outputs), and handed on to frames, never added beside them: an attempt's dollars go to the frames that it committed,
by their seconds, and where it committed none, to the frames of its task in equal shares. So the frames' sums are the
bill's, part by part.

What the records do not tell is assumed and said (`Terms`): how long outputs are kept, where the bucket is, how large
a boot disk is. Time from a machine's boot to its first worker counts where the record knows the boot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

from jit_render.cost.prices import HOURS_PER_MONTH, Prices
from jit_render.cost.tables import Provisioning
from jit_render.cost.usage import SECONDS, FrameUse, idle_gaps, occupied_seconds, split
from jit_render.model.job import AttemptRecord

GIB = 1024**3
PARTS = (*SECONDS, "storage", "operations", "egress")
"""All parts of a bill, in the order in which they are shown."""
SAME_BOOT_SECONDS = 30.0
"""Boots of one host that differ by less are one: each task reckons its node's from the clock and the uptime."""
FETCH_PIECE = 32 * 1024**2
"""Bytes of one range request; for counting, where the records tell bytes only."""


def usd(value: float) -> str:
    """``$12.40``; under ten cents to a thousandth of one, for a frame may cost that little."""
    if value >= 0.1 or value == 0:
        return f"${value:,.2f}"
    return f"${value:.5f}" if value >= 0.00001 else "<$0.00001"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is taken for granted. `machine` and `provisioning` hold for attempts whose records do not say."""

    machine: str
    provisioning: Provisioning = "spot"
    local_ssds: int = 1
    boot_disk_gib: float = 50.0
    """pd-balanced."""
    storage_months: float = 1.0
    """How long outputs are kept in the bucket."""
    bucket: Literal["regional", "multi-region"] = "regional"
    """Reading a regional bucket in its region is free of charge; from a multi-region one each GiB costs."""

    def hour(self, prices: Prices, machine: str = "", provisioning: Provisioning | None = None) -> float:
        """USD an hour of one node with its disks. Raises ConfigError for a machine without a price."""
        how = provisioning or self.provisioning
        node = prices.hour(machine or self.machine, how, self.local_ssds)
        return node + self.boot_disk_gib * prices.rate("pd_balanced") / HOURS_PER_MONTH


@dataclass(frozen=True, slots=True)
class Money:
    """USD by part."""

    render: float = 0.0
    fetch_wait: float = 0.0
    start: float = 0.0
    lost: float = 0.0
    failed: float = 0.0
    idle: float = 0.0
    running: float = 0.0
    storage: float = 0.0
    operations: float = 0.0
    egress: float = 0.0

    @property
    def total(self) -> float:
        return float(sum(getattr(self, part) for part in PARTS))

    @property
    def machines(self) -> float:
        """Of it, what machines cost."""
        return float(sum(getattr(self, part) for part in SECONDS))

    def __add__(self, other: Money) -> Money:
        return Money(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})

    def times(self, share: float) -> Money:
        return Money(**{one.name: getattr(self, one.name) * share for one in fields(self)})


@dataclass(frozen=True, slots=True)
class Bill:
    """What a job cost, up to `now`. `frames` has every frame of the job; `attempts` is by task and number."""

    total: Money
    frames: Mapping[int, Money]
    attempts: Mapping[tuple[int, int], Money]
    seconds: Mapping[str, float]
    """Machine seconds by part."""
    hours: Mapping[tuple[str, Provisioning], float]
    """Machine hours by machine and provisioning."""
    class_a: float
    class_b: float
    bytes_written: int
    is_assumed: bool
    """True where some attempts' records do not name their machine, so that `Terms` does."""


def bill(
    attempts: Sequence[AttemptRecord],
    committed: Mapping[tuple[int, int], Sequence[FrameUse]],
    tasks: Sequence[Sequence[int]],
    *,
    prices: Prices,
    terms: Terms,
    now: float,
) -> Bill:
    """`committed`: per attempt (task, number), the frames whose outputs it brought; `tasks`: each task's frames."""
    gaps, booting = idle_gaps(attempts, now), boots(attempts)
    by_frame: dict[int, Money] = {frame: Money() for frame in (one for task in tasks for one in task)}
    by_attempt: dict[tuple[int, int], Money] = {}
    seconds = dict.fromkeys(SECONDS, 0.0)
    hours: dict[tuple[str, Provisioning], float] = {}
    requests = [0.0, 0.0]
    for attempt in attempts:
        key = attempt.task, attempt.attempt
        own = committed.get(key, ())
        parts = split(attempt, own, now, gaps.get(key, 0.0))
        machine, how = attempt.machine or terms.machine, attempt.provisioning or terms.provisioning
        boot = booting.get(key, 0.0)
        spent = {**{name: getattr(parts, name) for name in SECONDS}, "start": parts.start + boot}
        hours[machine, how] = hours.get((machine, how), 0.0) + (parts.total + boot) / 3600
        per_second = terms.hour(prices, machine, how) / 3600
        class_a, class_b = _requests(attempt, own, now)
        requests = [requests[0] + class_a, requests[1] + class_b]
        whole = Money(
            **{name: used * per_second for name, used in spent.items()},
            operations=class_a / 1000 * prices.rate("class_a") + class_b / 1000 * prices.rate("class_b"),
            egress=_transfer(attempt, prices, terms),
        )
        for name, used in spent.items():
            seconds[name] += used
        shared = _share(whole, own, tasks[attempt.task] if attempt.task < len(tasks) else tuple(by_frame))
        stored = {one.frame: _storage(one, prices, terms) for one in own}
        for frame, money in [*shared.items(), *stored.items()]:
            by_frame[frame] = by_frame.get(frame, Money()) + money
        by_attempt[key] = sum(stored.values(), whole)
    return Bill(
        total=sum(by_attempt.values(), Money()),
        frames=by_frame,
        attempts=by_attempt,
        seconds=seconds,
        hours=hours,
        class_a=requests[0],
        class_b=requests[1],
        bytes_written=sum(one.bytes_written for own in committed.values() for one in own),
        is_assumed=any(not attempt.machine for attempt in attempts),
    )


def boots(attempts: Sequence[AttemptRecord]) -> dict[tuple[int, int], float]:
    """Seconds from each machine's boot to its first attempt, by that attempt (task, number)."""
    known: dict[str, list[float]] = {}
    found = {}
    for one in sorted(attempts, key=lambda attempt: (attempt.started, attempt.task, attempt.attempt)):
        if one.booted is None or one.booted > one.started:
            continue
        of_host = known.setdefault(one.host, [])
        if all(abs(one.booted - boot) > SAME_BOOT_SECONDS for boot in of_host):
            of_host.append(one.booted)
            found[one.task, one.attempt] = one.started - one.booted
    return found


def _share(whole: Money, own: Sequence[FrameUse], task: Sequence[int]) -> dict[int, Money]:
    """`whole` over frames, so that it all arrives."""
    weights = {one.frame: max(0.0, one.seconds) for one in own}
    total = sum(weights.values())
    if weights and total <= 0:
        weights, total = dict.fromkeys(weights, 1.0), float(len(weights))
    if not weights:
        weights, total = dict.fromkeys(task, 1.0), float(len(task))
    return {frame: whole.times(weight / total) for frame, weight in weights.items()} if total else {}


def _storage(frame: FrameUse, prices: Prices, terms: Terms) -> Money:
    rate = prices.rate("storage_multi_region" if terms.bucket == "multi-region" else "storage_regional")
    return Money(storage=frame.bytes_written / GIB * rate * terms.storage_months)


def _transfer(attempt: AttemptRecord, prices: Prices, terms: Terms) -> float:
    per_gib = prices.rate("transfer_na_na") if terms.bucket == "multi-region" else 0.0
    return attempt.spent.bytes_fetched / GIB * per_gib


def _requests(attempt: AttemptRecord, own: Sequence[FrameUse], now: float) -> tuple[float, float]:
    """Class A (writes, lists) and class B (reads) of one attempt, counted from what it did.

    Writes: each output and its commit record, heartbeats, the log. Lists: some at the beginning and the end. Reads: a
    look and the ranges of every miss, a look for a cancellation and for a hold with each heartbeat, a look or two at
    each frame's record.
    """
    beats = occupied_seconds(attempt, now) / max(1.0, attempt.heartbeat_seconds)
    misses = max(0, attempt.spent.misses)
    class_a = 2.0 * len(own) + beats * 4 / 3 + 6  # the log goes every third beat
    class_b = 2.0 * misses + attempt.spent.bytes_fetched / FETCH_PIECE + 2 * beats + 2.0 * len(own) + 8
    return class_a, class_b
