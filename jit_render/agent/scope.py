"""What a connection, or one frame of it, holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from jit_render.agent.ahead import Ahead
from jit_render.agent.attempts import Tally
from jit_render.model.identity import ObjectInfo, ObjectUrl


@dataclass(slots=True)
class Scope:
    """Leases taken together and released together, under one holder's name in the cache."""

    holder: str
    tally: Tally
    ahead: Ahead | None = None
    inputs: dict[ObjectUrl, ObjectInfo] = field(default_factory=dict)
    """The one version of each object that was leased here. It stays the same while the scope is open."""

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
