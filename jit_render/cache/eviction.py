"""Room on the disk: who may have it, and who has to go.

Every download books its size before it begins. What counts against the limit is everything in the index plus what is
booked; at the limit the oldest unheld entries go, down to 95 % of it: as many as the newcomer needs at once, the rest
in slices in between other work. Apart from the limit the disk itself is watched: its free bytes and its inodes.

*Surplus* is what stands outside the limit because it had to be taken whatever its size: an object larger than the
whole cache, and an output that was adopted while everything was held. It is the first to go, once nobody holds it.

An object goes in two steps: its links and its row first and, by a rename into ``incoming/``, its name; the blocks
follow in another thread. So its identity is free at once, readers that have it open keep it, and nothing is
ever truncated.

INVARIANT: charged() <= limit, or everything charged is leased, on its way, or waiting for the next slice.
INVARIANT: a digest in `surplus` is booked or in the index.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from jit_render.cache import files
from jit_render.cache.fetch import Fetches, Flight
from jit_render.cache.index import Entry, Index
from jit_render.cache.layout import Layout
from jit_render.cache.leases import Leases, party_of
from jit_render.cache.values import CacheLimits, Priority, say_bytes
from jit_render.model.errors import CacheTooSmall, DiskFull, PrefetchSkipped

STOP_AT = 0.95
PREFETCH_SHARE = 0.25
"""Of the limit: what prefetches nobody has asked for yet may hold; no more is pushed out for them."""
SLICE_ENTRIES = 128
SPARE_INODES = 1024
INODES_PER_OBJECT = 2  # its own and its link's
LOOK_EVERY = 64
PLENTY_BYTES = 1 << 30  # more than is needed: then the disk is looked at after so many objects only
_log = logging.getLogger(__name__)


class Space:
    """The accounts of one cache. Used from one thread, but for `dispose`."""

    def __init__(
        self, layout: Layout, limits: CacheLimits, index: Index, leases: Leases, unlink_to: Callable[[str], None]
    ) -> None:
        self._layout = layout
        self._limits = limits
        self._index = index
        self._leases = leases
        self._unlink_to = unlink_to
        self._remover = ThreadPoolExecutor(1, "cache-remover")
        self._removing: set[Future[None]] = set()
        self._removing_lock = threading.Lock()
        self._trim: asyncio.Handle | None = None
        self.fetches: Fetches
        self.booked: dict[str, int] = {}
        self.surplus: dict[str, int] = {}
        self.unread: dict[str, int] = {}
        """Prefetched, and not asked for yet."""
        self._unlooked = 0
        self._plenty_bytes = 0
        self.evictions = 0
        self.evicted_bytes = 0

    def charged(self) -> int:
        """Bytes that count against the limit."""
        return self._index.used_bytes + sum(self.booked.values()) - sum(self.surplus.values())

    def admit(self, flight: Flight) -> bool:
        """Book room for `flight`; False: not now. Raises CacheTooSmall, PrefetchSkipped where waiting is no use."""
        size_bytes = flight.info.size_bytes
        if flight.priority is Priority.PREFETCH:
            self._admit_prefetch(flight)
        if size_bytes > self._limits.limit_bytes:
            _log.warning(
                "%s is larger (%s) than the whole cache (%s): it goes as soon as nobody holds it; raise cache.limit",
                flight.info.id, say_bytes(size_bytes), say_bytes(self._limits.limit_bytes),
            )  # fmt: skip
            self.drop_surplus()
            self.surplus[flight.digest] = size_bytes
        elif not self.make_room(size_bytes):
            self._refuse(flight)
            return False
        self.booked[flight.digest] = size_bytes
        return True

    def book_again(self, flight: Flight) -> None:
        """Book for an entry that was thrown away just now: it makes its own room, if nothing else does."""
        size_bytes = flight.info.size_bytes
        self.take_in(flight.digest, size_bytes)
        self.booked[flight.digest] = size_bytes

    def take_in(self, digest: str, size_bytes: int) -> None:
        """Make room for a file that is here already and has to be taken."""
        if size_bytes > self._limits.limit_bytes or not self.make_room(size_bytes):
            self.surplus[digest] = size_bytes

    def give_back(self, digest: str) -> None:
        """The download ended; what came of it, if anything, is in the index by now."""
        self.booked.pop(digest, None)
        if digest in self.surplus and self._index.get(digest) is None:
            del self.surplus[digest]

    def make_room(self, size_bytes: int) -> bool:
        """Evict until `size_bytes` more fit under the limit; False when they cannot."""
        limit = self._limits.limit_bytes
        if self._held_bytes() + size_bytes > limit:
            return False  # evicting everything else would not do: keep it
        if self.charged() + size_bytes > limit:
            self.drop_surplus()
            for entry in self._evictable():
                if self.charged() + size_bytes <= limit:
                    break
                self.evict(entry)
            self.trim()
        return self.charged() + size_bytes <= limit

    async def need_disk(self, flight: Flight) -> None:
        """See that the disk itself has room for what is booked. Raises DiskFull, PrefetchSkipped."""
        if self._has_plenty(flight.info.size_bytes):
            return
        for last in (False, True):
            short_bytes, short_inodes = self._short()
            if short_bytes <= 0 and short_inodes <= 0:
                return
            if flight.priority is Priority.PREFETCH:
                raise PrefetchSkipped(f"{flight.info.id}: not prefetched, the disk is nearly full.")
            if not last:
                await self.free_disk(short_bytes, short_inodes)
        raise DiskFull(
            f"cache {self._layout.root}: {flight.info.id} ({say_bytes(flight.info.size_bytes)}) does not fit on the "
            f"disk: {say_bytes(short_bytes)} too little with {say_bytes(self._limits.free_space_bytes)} kept free "
            "(cache.free_space) and everything unheld evicted. Free disk space."
            if short_bytes > 0
            else f"cache {self._layout.root}: the disk has no inodes left for {flight.info.id}. Remove files from it."
        )

    async def free_disk(self, size_bytes: int, inodes: int = 0) -> None:
        """Evict at least so much, a little more for the next, and wait until the blocks are free."""
        floor = int((1 - STOP_AT) * self._limits.limit_bytes)
        goal, count = max(size_bytes, min(floor, 4 * size_bytes)), inodes  # an object without links frees one
        self.drop_surplus()
        for entry in self._evictable():
            if goal <= 0 and count <= 0:
                break
            goal, count = goal - entry.size_bytes, count - 1
            self.evict(entry)
        await self.removed()

    def evict(self, entry: Entry) -> None:
        """Let one entry go."""
        self.evictions += 1
        self.evicted_bytes += entry.size_bytes
        self.forget(entry)

    def forget(self, entry: Entry) -> None:
        """Remove links, row and name of `entry`; its blocks follow."""
        path = self._layout.object_path(entry.digest, entry.name)
        self._unlink_to(path)
        self._index.remove(entry.digest)
        self.surplus.pop(entry.digest, None)
        self.unread.pop(entry.digest, None)
        aside = self._layout.fresh()
        with contextlib.suppress(OSError):  # gone already: that is what was wanted
            files.move(path, aside)
            self.dispose(aside)

    def drop_surplus(self) -> None:
        """What stands outside the limit goes first, unless somebody holds it or it is on its way."""
        for digest in [digest for digest in self.surplus if not self._spared(digest)]:
            entry = self._index.get(digest)
            if entry is None:
                del self.surplus[digest]  # the index was begun anew
            else:
                self.evict(entry)

    def dispose(self, aside: str) -> None:
        """Remove a file or a folder that already has a name of its own in ``incoming/``, in the background."""
        try:
            future = self._remover.submit(files.remove, aside)
        except RuntimeError:  # closed meanwhile: the next start removes it
            return
        with self._removing_lock:
            self._removing.add(future)
        future.add_done_callback(self._removed)

    async def removed(self) -> None:
        """Wait for everything that is being removed."""
        with self._removing_lock:
            waiting = [asyncio.wrap_future(future) for future in self._removing]
        await asyncio.gather(*waiting, return_exceptions=True)

    def close(self) -> None:
        """What has not been removed yet is removed by the next start."""
        if self._trim is not None:
            self._trim.cancel()
        self._remover.shutdown(wait=True, cancel_futures=True)

    def check(self) -> None:
        """Raise AssertionError where an invariant does not hold."""
        for digest in self.surplus:
            assert digest in self.booked or self._index.get(digest) is not None
        if self.charged() > self._limits.limit_bytes and self._trim is None:
            assert not any(True for _ in self._evictable())

    def _admit_prefetch(self, flight: Flight) -> None:
        size_bytes = flight.info.size_bytes
        ahead = sum(self.unread.values()) + sum(self.booked.get(other.digest, 0) for other in self.fetches.prefetches())
        if ahead + size_bytes > PREFETCH_SHARE * self._limits.limit_bytes:
            raise PrefetchSkipped(
                f"{flight.info.id}: not prefetched, {say_bytes(ahead)} that nobody has asked for yet are here already."
            )
        if not self.make_room(size_bytes):
            raise PrefetchSkipped(f"{flight.info.id}: not prefetched, running frames hold the cache.")

    def _refuse(self, flight: Flight) -> None:
        """Raise CacheTooSmall unless waiting may help: somebody else can still finish and let go."""
        limit = self._limits.limit_bytes
        asking = {party_of(holder) for holder in flight.holders}
        needs = [self._needed_by(party) for party in asking] or [flight.info.size_bytes]
        if min(needs) > limit:
            raise CacheTooSmall(
                f"one frame needs at least {say_bytes(min(needs))} of inputs at once; the cache at "
                f"{self._layout.root} holds {say_bytes(limit)}. Raise cache.limit."
            )
        stuck = asking | {party_of(holder) for parked in self.fetches.parked for holder in parked.holders}
        unwanted = any(not running.holders for running in self.fetches.running)
        busy = set(self._leases.holders).union(*(running.holders for running in self.fetches.running))
        moving = {party_of(holder) for holder in busy} - stuck
        if not unwanted and not moving:
            together = self._leases.leased_bytes + sum(self.booked.values()) + flight.info.size_bytes
            raise CacheTooSmall(
                f"the frames that run on this node need at least {say_bytes(together)} of inputs together; the cache "
                f"at {self._layout.root} holds {say_bytes(limit)}. Raise cache.limit or run fewer workers."
            )

    def _needed_by(self, party: str) -> int:
        on_its_way = sum(
            flight.info.size_bytes
            for flight in self.fetches.flights.values()
            if party in map(party_of, flight.holders) and flight.info.size_bytes <= self._limits.limit_bytes
        )
        held = self._leases.sizes_of(party)
        return sum(size for digest, size in held.items() if digest not in self.surplus) + on_its_way

    def _held_bytes(self) -> int:
        outside = sum(size for digest, size in self.surplus.items() if digest in self._leases or digest in self.booked)
        return self._leases.leased_bytes + sum(self.booked.values()) - outside

    def _spared(self, digest: str) -> bool:
        return digest in self._leases or digest in self.fetches.flights

    def _evictable(self) -> Iterator[Entry]:
        return self._index.oldest(self._spared)

    def trim(self) -> None:
        """Go on evicting down to 95 % of the limit, a slice at a time in between other work."""
        if self._trim is None:
            self._trim = asyncio.get_running_loop().call_soon(self._trim_slice)

    def _trim_slice(self) -> None:
        self._trim = None
        for count, entry in enumerate(self._evictable()):
            if self.charged() <= STOP_AT * self._limits.limit_bytes:
                return
            if count == SLICE_ENTRIES:
                self.trim()
                return
            self.evict(entry)

    def _has_plenty(self, size_bytes: int) -> bool:
        """Whether the last look at the disk leaves no doubt: a look at each of many small objects is what they cost."""
        self._unlooked -= 1
        self._plenty_bytes -= size_bytes
        return self._unlooked > 0 and self._plenty_bytes > 0

    def _short(self) -> tuple[int, int]:
        """How many bytes and inodes the disk lacks for what is booked; zero or less is none."""
        disk = os.statvfs(self._layout.root)
        written = sum(flight.written() for flight in self.fetches.running)
        short = sum(self.booked.values()) - written + self._limits.free_space_bytes - disk.f_bavail * disk.f_frsize
        short_inodes = 0
        if disk.f_files:  # not on file systems that make inodes as they go, like btrfs
            spare = min(SPARE_INODES, disk.f_files // 100)
            short_inodes = len(self.booked) * INODES_PER_OBJECT + spare - disk.f_favail
        has_inodes = not disk.f_files or short_inodes < -LOOK_EVERY * INODES_PER_OBJECT
        self._unlooked = LOOK_EVERY if has_inodes else 0
        self._plenty_bytes = -short - PLENTY_BYTES
        return short, short_inodes

    def _removed(self, future: Future[None]) -> None:
        with self._removing_lock:
            self._removing.discard(future)
