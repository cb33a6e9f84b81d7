"""What a connection, or one frame of it, holds, and what it has read: that goes into the commit record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jit_render.agent.ahead import Ahead
from jit_render.agent.attempts import Tally
from jit_render.agent.entry import ReadBack
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.store.port import ABSENT


@dataclass(slots=True)
class Scope:
    """Leases taken together and released together, under one holder's name in the cache."""

    holder: str
    tally: Tally
    ahead: Ahead | None = None
    inputs: dict[ObjectUrl, ObjectInfo] = field(default_factory=dict)
    """The one version of each object that was leased here. It stays the same while the scope is open."""
    absent: set[ObjectUrl] = field(default_factory=set)
    """What the bucket did not have when it was asked for."""
    own: dict[ObjectUrl, ReadBack] = field(default_factory=dict)
    """The job's own outputs that were read while they were on their way to the bucket: they had no version yet."""

    def leased(self, info: ObjectInfo, *, hit: bool, wait_seconds: float = 0.0, fetched_bytes: int = 0) -> None:
        """Count the first lease of `info`; asking again costs nothing and counts nothing."""
        if info.url in self.inputs:
            return
        self.inputs[info.url] = info
        if self.ahead is not None:
            self.ahead.asked(info, hit=hit, fetched_bytes=fetched_bytes)
            self.tally.unplanned += self.ahead.job.is_unplanned(info.url)
        self.tally.fetch_wait_seconds += wait_seconds
        self.tally.bytes_fetched += fetched_bytes
        if hit:
            self.tally.hits += 1
            self.tally.bytes_from_cache += info.size_bytes
        else:
            self.tally.misses += 1


def read_in(connection: Scope, frames: Sequence[Scope]) -> tuple[tuple[tuple[str, str], ...], tuple[ReadBack, ...]]:
    """What was read for a file: (URL, generation) each, and its job's own outputs that have no version yet.

    What the connection did not find before the frames began, and they did, counts as found.
    """
    inputs: dict[ObjectUrl, ObjectInfo] = {}
    own: dict[ObjectUrl, ReadBack] = {}
    for scope in (connection, *frames):
        inputs |= scope.inputs
        own |= scope.own
    absent = connection.absent - inputs.keys() - own.keys()
    absent = absent.union(*(scope.absent for scope in frames))
    versions = [(str(info.url), info.id.generation) for info in inputs.values()]
    versions += [(str(url), ABSENT) for url in absent]
    return tuple(sorted(versions)), tuple(own[url] for url in sorted(own.keys() - inputs.keys()))
