"""From the spool to the bucket: look through, sum, upload, verify, commit, hand over to the cache.

What an upload does when something is there already is in `winning.py`. Then the commit records are created, each only
if it does not exist. So whatever is killed, repeated or raced, each frame has one record, and the record names a
version that is in the bucket. What may pass (time-outs, 5xx) is tried again for as long as the agent lives, and by the
next agent after it; what cannot pass is put aside and reported.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from jit_render.agent.answers import as_known
from jit_render.agent.aside import Aside
from jit_render.agent.attempts import Ledger
from jit_render.agent.commit import commit
from jit_render.agent.entry import Entry, SpoolFile
from jit_render.agent.outputs import check_whole, is_link_to
from jit_render.agent.settings import AgentSettings
from jit_render.agent.spool import Spool
from jit_render.agent.winning import bring_to_bucket, is_same
from jit_render.cache import NodeCache
from jit_render.model.clock import Clock
from jit_render.model.errors import CacheError, JitRenderError
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.store.port import Store

LOG = logging.getLogger(__name__)
MOST_REMEMBERED = 100_000
SUMMERS = 2
REPLY_SECONDS = 0.005  # a renderer waits for its reply, and a checksum takes the interpreter from whoever makes it
SEAL_AFTER_SECONDS = 2.0  # most are in the bucket by then, and a sync would hold up the frames that are being written

_T = TypeVar("_T")


@dataclass(slots=True)
class _Pending:
    entry: Entry
    readers: dict[ObjectUrl, set[str]] = field(default_factory=dict)
    """Holders in the cache that were given the spooled file; they get a lease when it moves on."""
    running: bool = False
    summed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, too, when it could not be and the entry is gone."""
    is_handed_over: bool = False
    """It is in the bucket, and its files are about to go from the spool: nobody may be led to them any more."""


class Uploads:
    """Every entry of the spool, each with a task of its own."""

    def __init__(
        self, settings: AgentSettings, *, store: Store, cache: NodeCache, spool: Spool, ledger: Ledger, clock: Clock
    ) -> None:
        self._settings = settings
        self._store = store
        self._cache = cache
        self._spool = spool
        self._ledger = ledger
        self._clock = clock
        self._threads = ThreadPoolExecutor(settings.cache.uploaders, "upload")
        self._summing = ThreadPoolExecutor(SUMMERS, "sum")  # of their own: a slow line must not hold them up
        self._sealing = ThreadPoolExecutor(1, "seal")
        self._slots = asyncio.Semaphore(settings.cache.uploaders)
        self._pending: dict[str, _Pending] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._aside = Aside(spool, store, ledger, cache.view, self._threads)
        self._published: dict[tuple[str, ObjectUrl], None] = {}
        self._changed = asyncio.Event()
        self.on_change: Callable[[], None] = lambda: None
        self.spooled_bytes = 0
        self.uploaded_bytes = 0
        self.uploaded_entries = 0
        self.retries = 0

    @property
    def spooled_entries(self) -> int:
        return len(self._pending)

    @property
    def failed_entries(self) -> int:
        return self._aside.count

    @property
    def running(self) -> int:
        return sum(pending.running for pending in self._pending.values())

    def add(self, entry: Entry) -> None:
        """Begin to bring `entry`, which the spool has taken, to the bucket."""
        self._pending[entry.name] = _Pending(entry)
        self.spooled_bytes += entry.size_bytes
        for file in entry.files:
            self._remember(entry.attempt.job, file.url)
        task = asyncio.ensure_future(self._bring(self._pending[entry.name]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def spooled(self, job: str, url: ObjectUrl) -> SpoolFile | None:
        """The newest file of this job on its way to `url`."""
        for pending in reversed(self._pending.values()):
            for file in pending.entry.files:
                if file.url == url and pending.entry.attempt.job == job and not pending.is_handed_over:
                    return file
        return None

    async def wait_for_sum(self, file: SpoolFile) -> None:
        """Return once the crc32c of `file` is known, or `file` is gone."""
        for pending in list(self._pending.values()):
            if any(other is file for other in pending.entry.files):
                await pending.summed.wait()

    def lease(self, file: SpoolFile, holder: str) -> None:
        """`holder` reads `file`; it keeps it when it moves from the spool into the cache."""
        for pending in self._pending.values():
            if any(other is file for other in pending.entry.files):
                pending.readers.setdefault(file.url, set()).add(holder)

    def release(self, holder: str) -> None:
        for pending in self._pending.values():
            for holders in pending.readers.values():
                holders.discard(holder)

    def was_published(self, job: str, url: ObjectUrl) -> bool:
        """Whether this job's output for `url` was taken in, by this agent or the one before."""
        return (job, url) in self._published

    async def wait_for_room(self) -> None:
        """Back-pressure: return once the spool is under its limit."""
        while self.spooled_bytes > self._settings.cache.spool_limit:
            await self._changed.wait()

    async def wait_for(self, wanted: Callable[[Entry], bool]) -> None:
        """Return once no entry that is `wanted` is on its way any more."""
        while any(wanted(pending.entry) for pending in self._pending.values()):
            await self._changed.wait()

    def close(self) -> None:
        """Stop; entries stay in the spool for the next agent. Uploads in threads may still run."""
        for task in self._tasks:
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._summing.shutdown(wait=False, cancel_futures=True)
        self._sealing.shutdown(wait=False, cancel_futures=True)

    def _remember(self, job: str, url: ObjectUrl) -> None:
        self._published[(job, url)] = None
        if len(self._published) > MOST_REMEMBERED:
            del self._published[next(iter(self._published))]

    async def _bring(self, pending: _Pending) -> None:
        entry = pending.entry
        await asyncio.sleep(REPLY_SECONDS)
        if not await self._sum(pending):
            return
        sealing = asyncio.get_running_loop().call_later(SEAL_AFTER_SECONDS, self._sealing.submit, self._seal, entry)
        try:
            await self._bring_summed(pending)
        finally:
            sealing.cancel()

    async def _bring_summed(self, pending: _Pending) -> None:
        entry = pending.entry
        wait = self._settings.retry_seconds
        while True:
            try:
                stored = await self._upload_and_commit(entry)
                await self._finish(pending, stored)
                return
            except JitRenderError as error:
                if not error.retryable:
                    await self._give_up(entry, error)
                    return
                LOG.warning("%s: %s: %s; trying again", entry.files[0].url, error.kind, error)
            except Exception as error:  # a bug or a dying disk: the entry stays on disk, people are told
                LOG.exception("%s: upload failed", entry.files[0].url)
                await self._give_up(entry, CacheError(f"{entry.files[0].url}: cannot be uploaded: {error!r}"))
                return
            finally:
                pending.running = False
            self.retries += 1
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, keeps no secret
            wait = min(wait * 2, self._settings.retry_limit_seconds)

    async def _sum(self, pending: _Pending) -> bool:
        """Whether the entry is whole and summed. One that is not is gone, and its attempt is told."""
        entry = pending.entry
        try:
            await asyncio.get_running_loop().run_in_executor(self._summing, self._spool.sum, entry, check_whole)
        except (JitRenderError, OSError) as error:
            self._aside.drop(entry, as_known(error))
            self._end(entry)
            return False
        finally:
            pending.summed.set()
        return True

    def _seal(self, entry: Entry) -> None:
        """In a thread. What cannot be sealed is uploaded all the same; only power must not fail before."""
        try:
            if entry.name in self._pending and not entry.sealed:
                self._spool.seal(entry)
        except FileNotFoundError:
            return  # it was removed meanwhile
        except OSError as error:
            LOG.warning("%s would not survive a loss of power: %s", entry.files[0].url, error)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _upload_and_commit(self, entry: Entry) -> list[ObjectInfo]:
        """The version of each file that is committed, ours or an earlier attempt's.

        What the entry read of its job's own outputs is brought first, so that the record can name its version. Only
        older entries are waited for, which wait for none that is younger.
        """
        read = {one.url for one in entry.own}
        await self.wait_for(lambda other: other.name < entry.name and not read.isdisjoint(other.urls))
        async with self._slots:
            self._pending[entry.name].running = True
            return await self._in_thread(lambda: self._in_bucket(entry))

    def _in_bucket(self, entry: Entry) -> list[ObjectInfo]:
        stored = [self._upload(entry, file) for file in entry.files]
        commit(self._store, entry, stored, self._clock.wall())
        for file, info in zip(entry.files, stored, strict=True):
            if is_same(info, file):
                self._place(file, info)
        return stored

    def _place(self, file: SpoolFile, info: ObjectInfo) -> None:
        try:
            self._cache.place(info, file.path)
        except (OSError, JitRenderError) as error:  # it is in the bucket; this node will fetch it if it wants it
            LOG.warning("%s is uploaded but cannot be kept in the cache: %s", file.url, error)

    def _upload(self, entry: Entry, file: SpoolFile) -> ObjectInfo:
        def on_session(session: str) -> None:
            file.session = session
            with contextlib.suppress(OSError):  # a full disk costs the resuming, not the upload
                self._spool.save_sessions(entry)

        return bring_to_bucket(self._store, entry, file, on_session)

    async def _finish(self, pending: _Pending, stored: list[ObjectInfo]) -> None:
        entry = pending.entry
        attempt = self._ledger.of(entry.attempt)
        pending.is_handed_over = True
        for file, info in zip(entry.files, stored, strict=True):
            if is_same(info, file):
                attempt.tally.bytes_uploaded += file.size_bytes
                self.uploaded_bytes += file.size_bytes
            self._hand_over(pending, file, info)
        try:
            await self._in_thread(lambda: self._spool.remove(entry))
        except OSError as error:  # the next agent uploads it again, and finds that it has won already
            LOG.warning("%s is committed but its spool entry stays: %s", entry.files[0].url, error)
        attempt.committed.update(dict.fromkeys(entry.keys))
        self.uploaded_entries += 1
        await self._aside.forget(entry)
        self._end(entry)

    def _hand_over(self, pending: _Pending, file: SpoolFile, info: ObjectInfo) -> None:
        """Into the cache under its new identity. Another attempt's bytes won: ours leave the view."""
        job = pending.entry.job_id
        linked, place = False, file.path
        try:
            place = self._cache.view.place(job, file.url)
            linked = is_link_to(place, file.path)
            if not is_same(info, file):
                if linked:
                    place.unlink()
                return
            target = self._cache.adopt(info)
            for holder in pending.readers.get(file.url, ()):
                self._cache.lease_cached(holder, info.id)
            if linked:
                self._cache.view.link(job, file.url, target)
        except (OSError, JitRenderError) as error:
            LOG.warning("%s is uploaded but not in the cache: %s", file.url, error)
            if linked:
                place.unlink(missing_ok=True)

    async def _give_up(self, entry: Entry, error: JitRenderError) -> None:
        try:
            await self._aside.put(entry, error)
        finally:
            self._end(entry)

    def _end(self, entry: Entry) -> None:
        del self._pending[entry.name]
        self.spooled_bytes -= entry.size_bytes
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        self.on_change()
