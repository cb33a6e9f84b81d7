"""The cache of one node: objects of the bucket on the node's own disk.

An object is known by its identity (bucket, name, generation), and content under one identity never changes. So there
is no staleness to manage, and everything here is about four other things:

* *Nothing partial or wrong is ever seen.* Bytes arrive under a temporary name and get their own when size and crc32c
  are those that were asked for (transfer.py). What another boot of the machine left is re-read before it is
  believed, for it was never synced. A copy found bad is thrown away and fetched again, also from under a lease: a
  reader of it then fails loudly, which beats wrong pixels.
* *One fetch per object*, however many ask (fetch.py).
* *Bounded.* Room is booked before a download and made by evicting what was used longest ago (eviction.py). What a
  holder has been handed is leased (leases.py) and stays until `release`.
* *It survives.* The index (index.py) makes the next start warm and instant. Whatever a crash left is put right in
  the background (reconcile.py). A broken index is an empty cache; a full or failing disk is an error of one
  request (health.py), never the end of the agent.

One thread, that of the asyncio loop, owns all state, so there are no locks; every method is called there. Only bytes
move in other threads, those of small objects excepted (small.py).

INVARIANT: a leased digest has an entry, and its file is there, whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jit_render.cache import files
from jit_render.cache.adopting import Adopter
from jit_render.cache.carrier import Carrier
from jit_render.cache.eviction import Space
from jit_render.cache.fetch import Fetches, Flight, Waiter
from jit_render.cache.health import DiskHealth
from jit_render.cache.index import Entry
from jit_render.cache.layout import Layout, take_lock, this_boot
from jit_render.cache.lazy_verify import LazyVerify
from jit_render.cache.leases import Leases
from jit_render.cache.opening import open_index
from jit_render.cache.pins import KEPT_SECONDS, Pins, today
from jit_render.cache.reconcile import Reconciler
from jit_render.cache.transfer import Gate
from jit_render.cache.upkeep import Progress, Upkeep
from jit_render.cache.values import Acquired, CacheLimits, CacheStats, ClearReport, Priority, VerifyReport
from jit_render.cache.view import ViewTree
from jit_render.model.clock import Clock
from jit_render.model.errors import CacheError, PrefetchSkipped, TransientStoreError
from jit_render.model.identity import ObjectId, ObjectInfo, ObjectUrl
from jit_render.store.port import Store

ELECTIONS = 3
"""How often one caller joins or leads a flight before a passing failure is its own."""
FLUSH_SECONDS = 0.5
CLOSE_GRACE_SECONDS = 5.0
MOST_PREFETCHES = 1000
_log = logging.getLogger(__name__)


class NodeCache:
    """One cache folder, owned by this process until `close`."""

    def __init__(
        self, layout: Layout, limits: CacheLimits, store: Store, *, clock: Clock, lock: int, boot: str
    ) -> None:
        """Use `open`."""
        self._layout = layout
        self._lock = lock
        self._limits = limits
        self._clock = clock
        self._boot = boot
        self._index = open_index(layout)
        self.today = today(layout, clock.wall())
        """Seconds since the epoch at `open`, by a clock that cannot jump far."""
        self._leases = Leases()
        self._pins = Pins(self._index, clock)
        self._housekeeping = ThreadPoolExecutor(2, "cache-housekeeping")
        self._gate = Gate()
        self._health = DiskHealth(str(layout.root), clock)
        self.view = ViewTree(layout, self._dispose)
        self._space = Space(layout, limits, self._index, self._leases, self.view.unlink_to)
        self._carrier = Carrier(
            layout, store, self._index, self._space, self._health,
            gate=self._gate, boot=boot, width=limits.fetchers, discard=self._discard,
        )  # fmt: skip
        self._fetches = Fetches(limits.fetchers, self._admit, self._carrier.carry, self._land, self._carrier.shares)
        self._space.fetches = self._fetches
        self._adopter = Adopter(layout, self._index, self._space, boot)
        self._upkeep = Upkeep(
            layout, self._index, self._leases, self._space, self._health, self._housekeeping, self._discard
        )
        self._is_busy: Callable[[], bool] = lambda: False
        self._lazy = LazyVerify(
            layout, self._index, self._health, self._housekeeping, clock,
            bytes_per_second=max(1, limits.verify_rate),
            demands=lambda: self._hits + self._misses,
            is_busy=lambda: bool(self._fetches.flights) or self._is_busy(),
            is_on_its_way=lambda digest: digest in self._fetches.flights,
            discard=self._discard,
            fetch=lambda info: self.acquire("", info, Priority.PREFETCH),
        )  # fmt: skip
        self._rereading: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._reconciling: asyncio.Task[None] | None = None
        self._begun: dict[tuple[str, str], tuple[Waiter, bool, float]] = {}
        """By holder and digest: what was begun for whoever will `acquire` it, and when."""
        self._hits = 0
        self._misses = 0
        self._quarantined = 0

    @classmethod
    def open(
        cls, root: Path, limits: CacheLimits, store: Store, clock: Clock, *, boot_id: str | None = None
    ) -> NodeCache:
        """Take the cache at `root` for this process. Raises CacheLocked, CacheUnusable.

        Instant whatever its size: nothing is scanned before the first answer.
        """
        layout = Layout(Path(files.absolute(root)))
        layout.make()
        lock = take_lock(layout)
        try:
            return cls(layout, limits, store, clock=clock, lock=lock, boot=boot_id or this_boot())
        except BaseException:
            os.close(lock)
            raise

    async def start(self, is_busy: Callable[[], bool] = lambda: False) -> None:
        """Begin the background work: what a crash left, writing the index; while not `is_busy`, re-reading."""
        for leftover in files.names_in(str(self._layout.incoming)):
            if not self._layout.is_ours(leftover):
                self._dispose(f"{self._layout.incoming}/{leftover}")
        self._trim_if_over()
        self._writing = asyncio.create_task(self._keep_writing())
        self._reconciling = asyncio.create_task(self._reconcile())
        self._is_busy = is_busy
        if self._limits.verify_rate:
            self._rereading = asyncio.create_task(self._lazy.run())

    def lease_cached(self, holder: str, object_id: ObjectId) -> Path | None:
        """The object for `holder`, if it is here and can be believed without reading it. Never waits.

        Not what `begin` has begun for it: that came for its sake.
        """
        digest = object_id.digest
        path = None if self._begun and (holder, digest) in self._begun else self._lease(holder, digest)
        if path is not None:
            self._hits += 1
        return path

    def look_up(self, object_ids: list[ObjectId]) -> None:
        """These are about to be asked for: read the index for all of them at once. Changes no answer."""
        self._index.look_up([object_id.digest for object_id in object_ids])

    def has(self, object_id: ObjectId) -> bool:
        """Whether the object is here or on its way. Changes nothing."""
        digest = object_id.digest
        entry = self._index.get(digest)
        return (entry is not None and entry.boot == self._boot) or digest in self._fetches.flights

    def begin(self, holder: str, info: ObjectInfo) -> None:
        """Set out for the object, unless it is here: `acquire` by the same holder takes that up.

        For many objects that one caller then acquires one after the other. What it does not acquire it must `give_up`.
        Raises CacheError once the cache is closed.
        """
        digest = info.id.digest
        entry = self._index.get(digest)
        if (holder, digest) not in self._begun and (entry is None or entry.boot != self._boot):
            began = self._clock.monotonic()
            self._begun[holder, digest] = (*self._fetches.join(info, holder, Priority.DEMAND), began)

    def give_up(self, holder: str, infos: Iterable[ObjectInfo]) -> None:
        """Nobody will acquire these, if they were begun and are not acquired yet."""
        for digest in [info.id.digest for info in infos]:
            begun = self._begun.pop((holder, digest), None)
            if begun is not None:
                waiter = begun[0]
                if not waiter.future.cancel():
                    waiter.future.exception()  # seen, and nobody's
                self._fetches.leave(digest, waiter)

    async def acquire(self, holder: str, info: ObjectInfo, priority: Priority = Priority.DEMAND) -> Acquired:
        """Bring the object here if it is not, and lease it for `holder` until `release`; ``""`` leases nothing.

        Raises StoreError, CacheTooSmall, DiskFull, DiskFailing; PrefetchSkipped for a prefetch that
        would be in the way.

        What a job has pinned, and the row of what was fetched for it, are on the disk before the bytes are handed out:
        another agent, after a kill, must not give the same frame another version, and has this one.
        """
        got = await self._acquire(holder, info, priority)
        if priority is Priority.DEMAND:
            await self.pins_written()
        return got

    async def _acquire(self, holder: str, info: ObjectInfo, priority: Priority) -> Acquired:
        digest = info.id.digest
        waiter, leads, began = self._begun.pop((holder, digest), None) or (None, False, self._clock.monotonic())
        for election in range(1, ELECTIONS + 1):
            if waiter is None:
                path = self._lease(holder, digest) if self._agrees(digest, info) else None
                if path is not None:
                    self._hits += 1
                    return Acquired(str(path), True, self._clock.monotonic() - began, 0)
                if priority is Priority.PREFETCH and self._fetches.waiting() >= MOST_PREFETCHES:
                    raise PrefetchSkipped(f"{info.id}: not prefetched, {MOST_PREFETCHES} others wait already.")
                waiter, leads = self._fetches.join(info, holder, priority)
            try:
                landing = await waiter.future
            except asyncio.CancelledError:
                self._fetches.leave(digest, waiter)
                raise
            except (TransientStoreError, PrefetchSkipped):
                if leads or election == ELECTIONS:
                    raise
                waiter = None
                continue
            self._hits, self._misses = self._hits + landing.hit, self._misses + (not landing.hit)
            return Acquired(
                landing.place, landing.hit, self._clock.monotonic() - began, landing.fetched_bytes if leads else 0
            )
        raise AssertionError("unreachable: the last election returns or raises")

    def release(self, holder: str) -> None:
        """End all leases of `holder`. What it still waits for is given up."""
        freed = self._leases.release(holder)
        self._fetches.forget(holder)
        if freed:
            self._space.drop_surplus()
            self._trim_if_over()
            self._fetches.room_changed()

    def place(self, info: ObjectInfo, source: Path) -> None:
        """Put a published output, a file on this file system that nobody writes any more, where `adopt` finds it.

        `source` stays, as a second name of the same file. In a thread. Raises CacheError where it cannot be linked.
        """
        self._adopter.place(info, source)

    def adopt(self, info: ObjectInfo) -> Path:
        """Take in, under its identity, what was placed; `info` has its crc32c.

        Evicts for it; where everything is held, it stands outside the limit until it can go. Raises CacheError where
        it is gone.
        """
        return self._adopter.adopt(info)

    def pin(self, job: str, url: ObjectUrl) -> ObjectInfo | None:
        """The version of `url` that `job` saw first, if any."""
        return self._pins.get(job, url)

    def remember_pin(self, job: str, info: ObjectInfo) -> ObjectInfo:
        """Pin `info` for `job` unless its place is pinned already; gives the version that holds."""
        return self._pins.add(job, info)

    async def pins_written(self) -> None:
        """Return once every pin so far survives a kill. Who hands out a path of `lease_cached` waits for it, too."""
        if self._index.has_unwritten_pins:
            await self._index.pins_written()

    def stats(self) -> CacheStats:
        """The cache at this moment."""
        return CacheStats(
            limit_bytes=self._limits.limit_bytes,
            used_bytes=self._index.used_bytes,
            reserved_bytes=sum(self._space.booked.values()),
            leased_bytes=self._leases.leased_bytes,
            entries=self._index.entries,
            leased_entries=len(self._leases),
            hits=self._hits,
            misses=self._misses,
            evictions=self._space.evictions,
            evicted_bytes=self._space.evicted_bytes,
            quarantined=self._quarantined,
            fetched_bytes=self._carrier.fetched_bytes,
            fetches=self._carrier.fetches,
            fetches_running=len(self._fetches.running),
            fetches_queued=self._fetches.queued,
            disk_errors=self._health.errors,
            verified_entries=self._lazy.entries,
            verified_bytes=self._lazy.verified_bytes,
            reconciling=self._reconciling is not None and not self._reconciling.done(),
        )

    async def verify(self, progress: Progress | None = None) -> VerifyReport:
        """Re-read every entry against its crc32c and throw bad ones away, held or not.

        `progress` is told entries and bytes so far.
        """
        return await self._upkeep.verify(progress)

    async def verify_some(self, after: str, is_enough: Callable[[], bool]) -> tuple[VerifyReport, str | None]:
        """The same for some entries: those behind `after` (empty: the first), until `is_enough`.

        The second value is where to go on; None at the end.
        """
        return await self._upkeep.verify_some(after, is_enough)

    async def clear(self) -> ClearReport:
        """Remove everything that nobody holds."""
        return await self._upkeep.clear()

    async def close(self) -> None:
        """Stop fetching, write the index, let go of the folder."""
        self._gate.shut()
        self._closing.set()
        background = (self._reconciling, self._rereading)
        for task in filter(None, background):
            task.cancel()
        await asyncio.gather(*filter(None, (self._writing, *background)), return_exceptions=True)
        await self._fetches.close(CLOSE_GRACE_SECONDS)
        await self._index.flush()
        self._carrier.close()
        self._space.close()
        self._housekeeping.shutdown(wait=True)
        self._index.close()
        os.close(self._lock)

    def check(self) -> None:
        """Raise AssertionError where an invariant does not hold. Reads the whole index and looks at the disk."""
        self._index.check()
        self._leases.check()
        self._fetches.check()
        self._space.check()
        self.view.check()
        for digest in self._leases.digests:
            entry = self._index.get(digest)
            assert entry is not None, digest
            assert Path(self._layout.object_path(digest, entry.name)).stat().st_size == entry.size_bytes

    def _lease(self, holder: str, digest: str) -> Path | None:
        entry = self._index.get(digest)
        if entry is None or entry.boot != self._boot:
            return None
        if entry.path is None:
            entry.path = Path(self._layout.object_path(digest, entry.name))
        if files.size_of(str(entry.path)) != entry.size_bytes:
            _log.warning("cache %s: %s was removed or changed by somebody else", self._layout.root, entry)
            self._discard(entry)
            return None
        self._leases.add(holder, digest, entry.size_bytes)
        self._index.touch(entry)
        self._space.unread.pop(digest, None)
        return entry.path

    def _agrees(self, digest: str, info: ObjectInfo) -> bool:
        """Is the entry, if any, what was asked for? If not, whoever carries it finds that out for good."""
        entry = self._index.get(digest)
        return entry is None or self._carrier.agrees(entry, info)

    def _admit(self, flight: Flight) -> bool:
        if self._index.get(flight.digest) is not None:
            return True
        self._health.admit()
        return self._space.admit(flight)

    def _land(self, flight: Flight) -> None:
        for holder in flight.holders:
            self._leases.add(holder, flight.digest, flight.info.size_bytes)
        if flight.priority is Priority.PREFETCH:
            self._space.unread[flight.digest] = flight.info.size_bytes

    def _discard(self, entry: Entry) -> None:
        """A copy that cannot be believed goes, whoever holds it."""
        self._quarantined += 1
        self._leases.revoke(entry.digest)
        self._space.forget(entry)

    def _trim_if_over(self) -> None:
        """The limit may have been lowered since the last run, and what stood outside it then counts now."""
        if self._space.charged() > self._limits.limit_bytes:
            self._space.trim()

    def _dispose(self, aside: str) -> None:
        self._space.dispose(aside)

    async def _keep_writing(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), FLUSH_SECONDS)
            if self._index.changed.is_set() and await self._index.flush():
                if self._reconciling is not None:
                    await asyncio.wait({self._reconciling})
                self._reconciling = asyncio.create_task(self._reconcile())

    async def _reconcile(self) -> None:
        try:
            self._index.forget_pins(self.today - KEPT_SECONDS)
            await Reconciler(self._layout, self._index, self._leases, self._space, self.view, self._housekeeping).run()
        except (OSError, CacheError) as error:
            _log.warning(
                "cache %s: what a crash may have left could not all be put right: %s", self._layout.root, error
            )
