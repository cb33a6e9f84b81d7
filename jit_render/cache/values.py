"""What the cache is told and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """How much of the disk the cache may take.

    ``limit_bytes`` bounds objects and downloads in flight together; ``free_space_bytes`` of the disk stay free;
    ``fetchers`` objects are fetched at a time, or eight times as many small ones. ``verify_rate`` bytes per second are
    re-read while nobody needs the disk; 0: none.
    """

    limit_bytes: int
    free_space_bytes: int
    fetchers: int = 8
    verify_rate: int = 0


class Priority(IntEnum):
    """Who goes first."""

    DEMAND = 0
    """A renderer waits."""
    PREFETCH = 1
    """Somebody may want it soon."""


@dataclass(frozen=True, slots=True)
class Acquired:
    """An object that is here. ``place`` lies in ``objects/`` and is read-only.

    ``hit``: its bytes were here already. ``fetched_bytes`` is told to one caller per download, so that sums are right.
    """

    place: str
    hit: bool
    wait_seconds: float
    fetched_bytes: int

    @property
    def path(self) -> Path:
        """`place` as a path."""
        return Path(self.place)


@dataclass(frozen=True, slots=True)
class CacheStats:
    """The cache at this moment; counters run from `open`."""

    limit_bytes: int
    used_bytes: int
    reserved_bytes: int
    leased_bytes: int
    entries: int
    leased_entries: int
    hits: int
    misses: int
    evictions: int
    evicted_bytes: int
    quarantined: int
    fetched_bytes: int
    fetches: int
    fetches_running: int
    fetches_queued: int
    disk_errors: int
    verified_entries: int
    """Re-read while idle."""
    verified_bytes: int
    reconciling: bool
    """What the last run left is still being looked through."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What re-reading every entry found. ``bad`` names the objects whose copies were thrown away."""

    checked: int
    checked_bytes: int
    bad: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClearReport:
    """What clearing removed, and what it kept because somebody holds it."""

    removed: int
    removed_bytes: int
    kept: int
    kept_bytes: int


def say_bytes(size_bytes: int) -> str:
    """A size for people: exact, and in the unit they think in."""
    scaled = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if scaled < 1024 or unit == "GiB":
            break
        scaled /= 1024
    exact = f"{size_bytes:,} bytes"
    return exact if unit == "bytes" else f"{scaled:.1f} {unit} ({exact})"
