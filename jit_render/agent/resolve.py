"""A name becomes a file on this disk, or a reason why there is none.

Under a *read* rule: the version this job has pinned (at first touch), from the cache or fetched, held for the scope
that asks, and linked at its place in the job's view. That the bucket has none is believed for a few seconds.

Under a *write* rule the same name may be an output about to be written, one in the making, one on its way to the
bucket, or one that is there. What is whole is given, in that order of freshness; what another process is still
writing never is. What is nowhere is answered with its place, because Nuke may be about to write it there.

*Absent* is said only when the bucket says so; whatever keeps it from answering is *failed*.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jit_render.agent import answers, siblings
from jit_render.agent.answers import Answer
from jit_render.agent.entry import UNKNOWN, ReadBack
from jit_render.agent.jobs import Job, Located
from jit_render.agent.outputs import Outputs, is_left_whole, is_link_to, make_folder, put_link, remove_incomplete
from jit_render.agent.scope import Scope
from jit_render.agent.uploads import Uploads
from jit_render.cache import NodeCache, Priority
from jit_render.model.clock import Clock
from jit_render.model.errors import CacheError, GenerationGone, JitRenderError, ObjectNotFound
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.store.port import Store

LOG = logging.getLogger(__name__)
MOST_OVERWRITES = 3  # of an object that is followed and not pinned, between asking what it is and fetching it
PREFETCH_LOOKS = 4  # metadata requests at a time, so that a demand finds a free thread


@dataclass(frozen=True, slots=True)
class Asker:
    """On whose behalf a name is looked for."""

    job: Job
    session: int
    scope: Scope


class Resolver:
    """Answers `resolve` and `ensure`."""

    def __init__(
        self, *, cache: NodeCache, store: Store, outputs: Outputs, uploads: Uploads, threads: Executor, clock: Clock
    ) -> None:
        self._cache = cache
        self._store = store
        self._outputs = outputs
        self._uploads = uploads
        self._threads = threads
        self._clock = clock
        self._prefetches: set[asyncio.Task[None]] = set()
        self._prefetching: set[tuple[str, ObjectUrl]] = set()
        self._looks = asyncio.Semaphore(PREFETCH_LOOKS)
        self.is_draining = False

    def quick(self, asker: Asker, name: str) -> Answer | None:
        """The answer where no waiting is needed: a pinned object that is here. None: ask `resolve`."""
        try:
            located = asker.job.locate(name)
            if located is None:
                return answers.unmapped(name)
            if located.mode != "read" or not located.is_single:
                return None
            info = self._known(asker, located.url)
            if info is None:
                return None
            path = self._cache.lease_cached(asker.scope.holder, info.id)
            if path is None:
                return None
            asker.scope.leased(info, hit=True)
            return answers.local(name, _link(asker.job, located, str(path)), located.url, leased=True)
        except (JitRenderError, OSError) as error:
            return answers.failed(name, error)

    async def resolve(self, asker: Asker, name: str, *, must_exist: bool = False) -> Answer:
        """Where `name` is. With `must_exist`, an output that is nowhere is absent and not its place."""
        try:
            located = asker.job.locate(name)
        except (JitRenderError, OSError) as error:
            return answers.failed(name, error)
        if located is None:
            return answers.unmapped(name)
        return await self._resolve(asker, name, located, must_exist=must_exist)

    async def _resolve(self, asker: Asker, name: str, located: Located, *, must_exist: bool) -> Answer:
        url = located.url
        try:
            if not located.is_single:
                make_folder(located.place.parent)
                return answers.local(name, located.shown, url, leased=False)
            if located.mode == "read":
                return await self._input(asker, name, located)
            return await self._output(asker, name, located, must_exist=must_exist)
        except (JitRenderError, OSError) as error:
            return answers.failed(name, error, url)

    async def ensure(self, asker: Asker, wanted: Sequence[tuple[str, str]]) -> list[Answer]:
        """All of `wanted` (name, on_error) at once; in order.

        What only has to be fetched is begun here and now, so that one after the other can be waited for; whatever has
        to be looked at first is a task of its own.
        """
        folders = siblings.Folders(self._store, self._threads)
        holder, infos = asker.scope.holder, self._look_up(asker, [name for name, _ in wanted])
        known = [info for info in infos if info is not None]
        others = [each for each, info in zip(wanted, infos, strict=True) if info is None]
        looking = asyncio.gather(*(self._ensure_one(asker, folders, *each) for each in others))
        try:
            with contextlib.suppress(CacheError):  # said of each
                for info in known:
                    self._cache.begin(holder, info)
            settled = zip(wanted, infos, strict=True)
            found = [None if info is None else await self._ensure_one(asker, folders, *each) for each, info in settled]
            looked = iter(await looking)
        except BaseException:
            looking.cancel()
            await asyncio.wait({looking})
            raise
        finally:
            self._cache.give_up(holder, known)
        return [next(looked) if answer is None else answer for answer in found]

    def _look_up(self, asker: Asker, names: list[str]) -> list[ObjectInfo | None]:
        """The version of each that is settled, all of which the index has been asked for then."""
        infos = [self._settled(asker, name) for name in names]
        self._cache.look_up([info.id for info in infos if info is not None])
        return infos

    def _settled(self, asker: Asker, name: str) -> ObjectInfo | None:
        try:
            located = asker.job.locate(name)
            is_input = located is not None and located.mode == "read" and located.is_single
            return self._known(asker, located.url) if located is not None and is_input else None
        except (JitRenderError, OSError):
            return None  # said when it is asked for

    async def _ensure_one(self, asker: Asker, folders: siblings.Folders, name: str, on_error: str) -> Answer:
        answer = await self.resolve(asker, name, must_exist=True)
        if answer["state"] != "absent" or on_error != siblings.NEAREST_FRAME:
            return answer
        try:
            near = await folders.nearest(ObjectUrl.parse(answer["object"]))
        except JitRenderError as error:
            return answers.failed(name, error)
        for url in near:
            found = await self._resolve(asker, str(url), asker.job.locate_object(url), must_exist=True)
            if found["state"] == "failed":
                return {**found, "name": name}
        answer["reason"] = f"in place instead: {', '.join(url.name for url in near)}" if near else ""
        return answer

    def prefetch(self, asker: Asker, names: Sequence[str]) -> None:
        """Begin to fetch `names`, after everything that somebody waits for."""
        for name in names:
            try:
                located = asker.job.locate(name)
            except JitRenderError:
                continue  # said when it is asked for in earnest
            if located is None or self.is_draining or not located.is_single:
                continue
            if located.mode != "read" or (asker.job.id, located.url) in self._prefetching:
                continue
            task = asyncio.ensure_future(self._prefetch(asker, located))
            self._prefetches.add(task)
            task.add_done_callback(self._prefetches.discard)

    def stop_prefetching(self) -> None:
        """From now on only what somebody waits for."""
        self.is_draining = True
        for task in self._prefetches:
            task.cancel()

    async def _prefetch(self, asker: Asker, located: Located) -> None:
        key = (asker.job.id, located.url)
        self._prefetching.add(key)
        try:
            async with self._looks:
                info = self._known(asker, located.url) or await self.look(asker.job, located.url)
            got = await self._cache.acquire("", info, Priority.PREFETCH)
            asker.scope.tally.bytes_fetched += got.fetched_bytes
        except (JitRenderError, OSError) as error:
            LOG.debug("prefetch of %s: %s", located.url, error)  # whoever needs it will be told
        finally:
            self._prefetching.discard(key)

    def _known(self, asker: Asker, url: ObjectUrl) -> ObjectInfo | None:
        """The version this scope, or this job, has settled on."""
        info = asker.scope.inputs.get(url)
        if info is not None or asker.job.latest:
            return info
        planned = asker.job.planned.known(url) if asker.job.planned is not None else None
        return planned or self._cache.pin(asker.job.id, url)

    async def _input(self, asker: Asker, name: str, located: Located) -> Answer:
        job, url = asker.job, located.url
        for overwrites in range(MOST_OVERWRITES):
            info = self._known(asker, url)
            try:
                info = info or await self.look(job, url)
                path = await self._acquire(asker, info)
            except ObjectNotFound:
                asker.scope.absent.add(url)
                if job.latest:
                    job.view.hide(job.id, url)  # an older version may still be shown there
                return answers.absent(name, located.shown, url)
            except GenerationGone:
                assert info is not None
                if not job.latest or overwrites == MOST_OVERWRITES - 1:
                    raise await self._overwritten(info) from None
                asker.scope.inputs.pop(url, None)
                continue
            break
        return answers.local(name, _link(job, located, path), url, leased=True)

    async def look(self, job: Job, url: ObjectUrl) -> ObjectInfo:
        """The planned version, or the live one, which becomes this job's.

        Raises ObjectNotFound, at once if it was just absent.
        """
        if job.planned is not None:
            planned = await job.planned.find(url)
            if planned is not None and not job.latest:
                return planned
        if job.is_absent(url, self._clock.monotonic()):
            raise ObjectNotFound(f"{url} does not exist.")
        try:
            return await job.look_once(url, lambda: self._look(job, url))
        except ObjectNotFound:
            job.remember_absent(url, self._clock.monotonic())
            raise

    async def _look(self, job: Job, url: ObjectUrl) -> ObjectInfo:
        """Look and pin in one go: whoever comes after the look must find the pin, not look again."""
        info = await self._stat(url)
        return info if job.latest else self._cache.remember_pin(job.id, info)

    async def _overwritten(self, info: ObjectInfo) -> GenerationGone:
        """What became of a version that is no longer there, and what can be done."""
        try:
            live = await self._stat(info.url)
        except JitRenderError as error:
            what = "was removed" if isinstance(error, ObjectNotFound) else f"is gone ({error})"
        else:
            by = f"by job {live.writer}" if live.writer else "by no job of ours"
            when = datetime.fromtimestamp(live.updated, UTC).isoformat(" ", "seconds") if live.updated else "unknown"
            what = f"was overwritten {by}, time {when}: generation {live.id.generation} is live"
        return GenerationGone(
            f"{info.url}: generation {info.id.generation}, which this job reads, {what}; no older one is kept. "
            "Submit again to read the live version, or with --latest to follow overwrites."
        )

    async def _stat(self, url: ObjectUrl) -> ObjectInfo:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._store.stat, url)

    @staticmethod
    async def _planned(job: Job, url: ObjectUrl) -> ObjectInfo | None:
        """The pinned version of what an earlier job wrote; a job's own outputs are never planned inputs."""
        return await job.planned.find(url) if job.planned is not None and not job.latest else None

    async def _acquire(self, asker: Asker, info: ObjectInfo) -> str:
        path = self._cache.lease_cached(asker.scope.holder, info.id)
        if path is not None:
            asker.scope.leased(info, hit=True)
            await self._cache.pins_written()  # it may be another job's copy that this one has pinned just now
            return str(path)
        got = await self._cache.acquire(asker.scope.holder, info)
        asker.scope.leased(info, hit=got.hit, wait_seconds=got.wait_seconds, fetched_bytes=got.fetched_bytes)
        return got.place

    async def _output(self, asker: Asker, name: str, located: Located, *, must_exist: bool) -> Answer:
        job, url, place = asker.job, located.url, located.place
        writer = self._outputs.holder(job, url)
        if writer == asker.session and not must_exist:
            return answers.local(name, place, url, leased=False)
        if writer is None:
            spooled = self._uploads.spooled(str(job.home), url)
            if spooled is not None and spooled.crc32c == UNKNOWN:
                await self._uploads.wait_for_sum(spooled)
                return await self._output(asker, name, located, must_exist=must_exist)  # all may be different now
            if spooled is not None:
                if not is_link_to(place, spooled.path):
                    make_folder(place.parent)
                    put_link(place, spooled.path)
                self._uploads.lease(spooled, asker.scope.holder)
                asker.scope.own[url] = ReadBack(url, spooled.size_bytes, spooled.crc32c)
                return answers.local(name, place, url, leased=True)
            if await self._is_left_whole(job, url, place):
                return answers.local(name, place, url, leased=False)
        try:
            info = asker.scope.inputs.get(url) or await self._planned(job, url) or await self._stat(url)
            path = await self._acquire(asker, info)
        except ObjectNotFound:
            if must_exist:
                asker.scope.absent.add(url)
                return answers.absent(name, place, url)
            make_folder(place.parent)
            return answers.local(name, place, url, leased=False)
        # While somebody writes at the place it must not become a link: they would write through it.
        shown = path if self._outputs.holder(job, url) is not None else _link(job, located, path)
        return answers.local(name, shown, url, leased=True)

    async def _is_left_whole(self, job: Job, url: ObjectUrl, place: Path) -> bool:
        """Whether an unpublished output of a process that is gone stands there; one that is incomplete is removed."""
        whole = await asyncio.get_running_loop().run_in_executor(self._threads, is_left_whole, place)
        if self._outputs.holder(job, url) is not None:  # meanwhile somebody began to write: it is theirs
            return False
        if whole is False:
            remove_incomplete(place)
        return bool(whole)


def _link(job: Job, located: Located, path: str) -> str:
    """The object's place, linked to `path`."""
    job.view.link_at(located.shown, located.url, path)
    return located.shown
