"""Fetching ahead keeps its bounds: in frames, in bytes, and behind what somebody holds."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jit_render.agent.ahead import Ahead, Prefetcher
from jit_render.agent.attempts import AttemptKey, Tally
from jit_render.agent.jobs import Job
from jit_render.agent.planned import PlannedInputs
from jit_render.cache import Acquired, NodeCache, Priority
from jit_render.farm.pinning import put_manifest
from jit_render.model.errors import PrefetchSkipped
from jit_render.model.identity import ObjectId, ObjectInfo, ObjectUrl
from jit_render.model.job import JobPaths
from jit_render.model.manifest import Manifest
from jit_render.model.pathmap import PathMap
from jit_render.model.script_place import script_place
from jit_render.model.settings import StoreSettings
from jit_render.store import ABSENT, Store, open_store
from jit_render.testing.cache_house import CacheHouse, run, turns, until

FRAMES = range(1, 9)
PLATE_BYTES = 100


@pytest.fixture
def store():
    opened = open_store(StoreSettings())
    yield opened
    opened.close()


class Bench:
    """One attempt that renders eight frames of one plate each, over a cache of `limit` bytes."""

    def __init__(self, store: Store, root: Path, threads: ThreadPoolExecutor, *, limit: int, lookahead: int) -> None:
        bucket = ObjectUrl.parse(f"file://{root}/bucket")
        self.infos: dict[int, ObjectInfo] = {}
        for frame in FRAMES:
            url = bucket / f"p.{frame:04d}.exr"
            self.infos[frame] = store.write(url, bytes([frame]) * PLATE_BYTES, if_generation=ABSENT)
        paths = JobPaths(bucket / "state/jobs/j")
        manifest = Manifest(list(self.infos.values()), {frame: [frame - 1] for frame in FRAMES})
        put_manifest(store, paths, manifest.encode([tuple(FRAMES)]))
        self.house = CacheHouse(root / "cache", store, limit=limit)
        self.planned = PlannedInputs(paths.inputs, store, threads)
        self.lookahead = lookahead
        self.paths = paths
        self.tally = Tally()

    def begin(self, cache: NodeCache | NarrowCache) -> tuple[Prefetcher, Ahead]:
        async def look(_job: Job, _url: ObjectUrl) -> ObjectInfo:
            raise AssertionError("everything is planned")

        place = script_place(PathMap(), "/s.nk", "s.nk")
        job = Job(
            self.paths.home, "j", PathMap(), False, cache.view, place, tasks=[tuple(FRAMES)], planned=self.planned
        )
        prefetcher = Prefetcher(cache, look, lookahead=self.lookahead, width=2)
        return prefetcher, prefetcher.of(AttemptKey("j", 0, 1), job, self.tally)

    def plates(self, asked: list[ObjectId]) -> list[int]:
        return [frame for asked_id in asked for frame, info in self.infos.items() if info.id == asked_id]

    def here(self, cache: NodeCache) -> list[int]:
        return [frame for frame, info in self.infos.items() if cache.has(info.id)]


class NarrowCache:
    """A cache that answers for some objects only when it is told to, and has no room for some of them."""

    def __init__(self, cache: NodeCache, full_for: ObjectInfo, *slow: ObjectInfo) -> None:
        self._cache = cache
        self._full_for = full_for.id
        self.answers = {info.id: asyncio.Event() for info in slow}
        self.asked: list[ObjectId] = []
        self.has, self.view = cache.has, cache.view

    async def acquire(self, holder: str, info: ObjectInfo, priority: Priority) -> Acquired:
        self.asked.append(info.id)
        if info.id in self.answers:
            await self.answers[info.id].wait()
        if info.id == self._full_for:
            raise PrefetchSkipped("no room")
        return await self._cache.acquire(holder, info, priority)


@pytest.fixture
def threads():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_no_more_frames_come_than_it_looks_ahead(tmp_path, store, threads):
    bench = Bench(store, tmp_path, threads, limit=100_000, lookahead=3)

    async def body() -> None:
        async with bench.house.cache() as cache:
            prefetcher, ahead = bench.begin(cache)
            prefetcher.first(ahead)
            await until(lambda: ahead.running is not None and ahead.running.done() and cache.stats().entries == 3)
            assert bench.here(cache) == [1, 2, 3]
            prefetcher.begun(ahead, 3)
            await until(lambda: ahead.running.done() and cache.stats().entries == 6)
            assert bench.here(cache) == [1, 2, 3, 4, 5, 6]
            prefetcher.begun(ahead, 8)
            prefetcher.end(ahead)
            assert bench.tally.prefetch_wasted == 6

    run(body())


def test_it_stops_where_its_share_of_the_cache_is_used_and_goes_on_when_frames_have_asked(tmp_path, store, threads):
    bench = Bench(store, tmp_path, threads, limit=1_000, lookahead=8)

    async def body() -> None:
        async with bench.house.cache() as cache:
            held = await cache.acquire("1/1", bench.infos[8])
            prefetcher, ahead = bench.begin(cache)
            prefetcher.first(ahead)
            await until(lambda: ahead.running.done() and cache.stats().fetches_running == 0)
            assert bench.here(cache) == [1, 2, 8], "a quarter of the cache"
            got = await cache.acquire("1/2", bench.infos[1])
            ahead.asked(bench.infos[1], hit=got.hit, fetched_bytes=got.fetched_bytes)
            prefetcher.begun(ahead, 1)
            await until(lambda: 3 in bench.here(cache))
            assert bench.tally.prefetch_useful == 1
            assert held.path.read_bytes() == bytes([8]) * PLATE_BYTES

    run(body())


def test_what_waited_for_its_turn_is_not_begun_after_there_was_no_room(tmp_path, store, threads):
    bench = Bench(store, tmp_path, threads, limit=100_000, lookahead=8)

    async def body() -> None:
        async with bench.house.cache() as cache:
            second = bench.infos[2]
            narrow = NarrowCache(cache, bench.infos[3], second)
            prefetcher, ahead = bench.begin(narrow)
            prefetcher.first(ahead)
            await until(ahead.running.done)
            assert bench.plates(narrow.asked) == [1, 2, 3], "4 would take the room that 3 must have first"
            narrow.answers[second.id].set()
            await until(lambda: bench.here(cache) == [1, 2])
            await turns()
            assert bench.plates(narrow.asked) == [1, 2, 3]

    run(body())


def test_a_late_answer_that_there_was_no_room_does_not_end_what_is_fetched_for_the_next_frame(tmp_path, store, threads):
    bench = Bench(store, tmp_path, threads, limit=100_000, lookahead=4)

    async def body() -> None:
        async with bench.house.cache() as cache:
            third, fifth = bench.infos[3], bench.infos[5]
            narrow = NarrowCache(cache, third, third, fifth)
            prefetcher, ahead = bench.begin(narrow)
            prefetcher.first(ahead)
            await until(lambda: bench.here(cache) == [1, 2, 4] and ahead.running.done())
            prefetcher.begun(ahead, 3)
            await until(lambda: bench.plates(narrow.asked) == [1, 2, 3, 4, 5])
            narrow.answers[third.id].set()
            await until(lambda: 7 in bench.here(cache))
            narrow.answers[fifth.id].set()
            await until(lambda: bench.here(cache) == [1, 2, 4, 5, 6, 7])

    run(body())


def test_nothing_is_begun_once_the_agent_drains(tmp_path, store, threads):
    bench = Bench(store, tmp_path, threads, limit=100_000, lookahead=3)

    async def body() -> None:
        async with bench.house.cache() as cache:
            prefetcher, ahead = bench.begin(cache)
            prefetcher.stop()
            prefetcher.first(ahead)
            assert ahead.running is None

    run(body())
