"""What one flight does: believe what another boot left, or fetch; and what to do when the disk or the bytes are bad."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from jit_render.cache.eviction import Space
from jit_render.cache.fetch import SHARES, Flight, Landing
from jit_render.cache.health import OUT_OF_DESCRIPTORS, OUT_OF_ROOM, DiskHealth
from jit_render.cache.index import Entry, Index
from jit_render.cache.layout import Layout
from jit_render.cache.small import SmallFetches
from jit_render.cache.transfer import PARTS_FROM_BYTES, Gate, Transfer, is_intact
from jit_render.cache.values import say_bytes
from jit_render.model.errors import ChecksumMismatch, DiskFull
from jit_render.model.identity import ObjectInfo
from jit_render.store.port import Store

FRESH_FETCHES = 3
"""How often bytes may come wrong before the object itself is to blame."""
_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)


class Carrier:
    """Carries flights out, in as many threads as there are slots."""

    def __init__(
        self,
        layout: Layout,
        store: Store,
        index: Index,
        space: Space,
        health: DiskHealth,
        *,
        gate: Gate,
        boot: str,
        width: int,
        discard: Callable[[Entry], None],
    ) -> None:
        self._layout = layout
        self._store = store
        self._index = index
        self._space = space
        self._health = health
        self._gate = gate
        self._boot = boot
        self._discard = discard
        self._movers = ThreadPoolExecutor(width, "cache-fetch")
        self._part_movers = ThreadPoolExecutor(width, "cache-part")
        self._small = SmallFetches()
        self.fetches = 0
        self.fetched_bytes = 0

    def close(self) -> None:
        """Threads that are stuck in the store end when it gives up; the gate keeps them from doing harm."""
        self._small.close()
        self._movers.shutdown(wait=False, cancel_futures=True)
        self._part_movers.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def agrees(entry: Entry, info: ObjectInfo) -> bool:
        """Is `entry` what `info` asks for? Only a broken index or a lying store can make it differ."""
        return entry.size_bytes == info.size_bytes and info.crc32c in {None, entry.crc32c}

    def shares(self, info: ObjectInfo) -> int:
        """How much of a slot fetching `info` takes now."""
        return SHARES if self._small.lane(self._store, info) is None else 1

    async def carry(self, flight: Flight) -> Landing:
        """Bring the object of `flight` here. Raises StoreError, DiskFull, DiskFailing, PrefetchSkipped."""
        info = flight.info
        final = self._layout.object_path(flight.digest, info.url.name)
        entry = self._index.get(flight.digest)
        if entry is not None:
            if await self._is_good(entry, info, final):
                entry.boot = self._boot
                self._index.touch(entry)
                return Landing(final, hit=True, fetched_bytes=0)
            _log.warning("cache %s: the copy of %s is damaged; it is fetched again", self._layout.root, info.id)
            if self._index.get(flight.digest) is entry:
                self._discard(entry)
            self._health.admit()
            self._space.book_again(flight)
        try:
            await self._need_disk(flight)
            value = await self._fetch(flight, final)
            self._index.put(Entry(flight.digest, str(info.url), info.id.generation, info.size_bytes, value, self._boot))
        finally:
            self._space.give_back(flight.digest)
        self.fetches += 1
        self.fetched_bytes += info.size_bytes
        return Landing(final, hit=False, fetched_bytes=info.size_bytes)

    async def _need_disk(self, flight: Flight) -> None:
        try:
            await self._space.need_disk(flight)
        except OSError as error:
            raise self._health.failed(error) from error

    async def _is_good(self, entry: Entry, info: ObjectInfo, final: str) -> bool:
        if not self.agrees(entry, info):
            return False
        try:
            return await self._in_thread(partial(is_intact, final, entry.size_bytes, entry.crc32c))
        except OSError as error:
            if error.errno in OUT_OF_DESCRIPTORS:
                raise
            self._health.failed(error)
            return False

    async def _fetch(self, flight: Flight, final: str) -> int:
        """Fetch and publish; gives the crc32c."""
        wrong = 0
        made_room = False
        while True:
            try:
                value = await self._transfer(flight, final, is_first=not (wrong or made_room))
            except ChecksumMismatch as error:
                wrong += 1
                if wrong == FRESH_FETCHES:
                    raise
                _log.warning("%s (fetch %d of %d)", error, wrong, FRESH_FETCHES)
            except OSError as error:
                if error.errno in OUT_OF_DESCRIPTORS:
                    raise  # that is this process's trouble, and no sign of a sick disk
                if error.errno not in OUT_OF_ROOM:
                    raise self._health.failed(error) from error
                if made_room:
                    raise self._full(flight.info) from error
                made_room = True
                await self._space.free_disk(flight.info.size_bytes)
            else:
                self._health.worked()
                return value

    async def _transfer(self, flight: Flight, final: str, *, is_first: bool) -> int:
        transfer = Transfer(self._store, flight.info, self._layout.fresh(), final, self._gate)
        flight.written = lambda: transfer.written
        if flight.info.size_bytes >= PARTS_FROM_BYTES:
            return await self._in_thread(partial(transfer.in_parts, self._part_movers))
        if is_first and await self._small.fetch(transfer):
            assert flight.info.crc32c is not None
            return flight.info.crc32c
        return await self._in_thread(transfer.whole)

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._movers, work)

    def _full(self, info: ObjectInfo) -> DiskFull:
        return DiskFull(
            f"cache {self._layout.root}: the disk is full; {info.id} ({say_bytes(info.size_bytes)}) does not fit "
            "even after evicting everything unheld. Free disk space or keep more of it (cache.free_space)."
        )
