"""What an operator asks for: is everything still right, and throw everything away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

from jit_render.cache.eviction import Space
from jit_render.cache.health import OUT_OF_DESCRIPTORS, DiskHealth
from jit_render.cache.index import Entry, Index
from jit_render.cache.layout import Layout
from jit_render.cache.leases import Leases
from jit_render.cache.transfer import is_intact
from jit_render.cache.values import ClearReport, VerifyReport

Progress = Callable[[int, int], None]
"""Told entries and bytes checked so far."""
CLEARED_AT_A_TIME = 128


@dataclass
class Upkeep:
    """Works through all entries while the cache goes on."""

    layout: Layout
    index: Index
    leases: Leases
    space: Space
    health: DiskHealth
    executor: Executor
    discard: Callable[[Entry], None]

    async def verify(self, progress: Progress | None) -> VerifyReport:
        """See NodeCache.verify."""
        checked = checked_bytes = 0
        bad: list[str] = []
        after: str | None = ""
        while after is not None:
            part, after = await self.verify_some(after, lambda: False)
            checked, checked_bytes = checked + part.checked, checked_bytes + part.checked_bytes
            bad += part.bad
            if progress is not None:
                progress(checked, checked_bytes)
        return VerifyReport(checked, checked_bytes, tuple(bad))

    async def verify_some(self, after: str, is_enough: Callable[[], bool]) -> tuple[VerifyReport, str | None]:
        """See NodeCache.verify_some."""
        if not after:
            await self.index.flush()
        page = self.index.between(bytes.fromhex(after) + b"\0" if after else b"", None)
        checked = checked_bytes = 0
        bad: list[str] = []
        for row in page:
            if not await self._is_good(row.digest):
                bad.append(str(row))
            checked, checked_bytes = checked + 1, checked_bytes + row.size_bytes
            if is_enough():
                break
        return VerifyReport(checked, checked_bytes, tuple(bad)), page[checked - 1].digest if page else None

    async def clear(self) -> ClearReport:
        """See NodeCache.clear."""
        removed = removed_bytes = 0
        for entry in self.index.oldest(lambda digest: digest in self.leases or digest in self.space.fetches.flights):
            self.space.forget(entry)
            removed, removed_bytes = removed + 1, removed_bytes + entry.size_bytes
            if removed % CLEARED_AT_A_TIME == 0:
                await asyncio.sleep(0)
        await self.space.removed()
        return ClearReport(removed, removed_bytes, self.index.entries, self.index.used_bytes)

    async def _is_good(self, digest: str) -> bool:
        entry = self.index.get(digest)
        if entry is None or digest in self.space.fetches.flights:
            return True
        path = self.layout.object_path(digest, entry.name)
        check = partial(is_intact, path, entry.size_bytes, entry.crc32c)
        try:
            intact = await asyncio.get_running_loop().run_in_executor(self.executor, check)
        except OSError as error:
            if error.errno in OUT_OF_DESCRIPTORS:
                raise
            self.health.failed(error)
            intact = False
        entry = self.index.get(digest)
        if entry is None or digest in self.space.fetches.flights:
            return True  # evicted, or fetched anew, while it was read
        if not intact:
            self.discard(entry)
        return intact
