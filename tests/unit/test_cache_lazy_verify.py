"""Re-reading in idle time: bounded, in nobody's way, in turn, and a bad copy is replaced before anybody asks."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from jit_render.cache.lazy_verify import ENTRY_BYTES, QUIET_SECONDS, ROUND_SECONDS
from jit_render.testing.cache_house import CacheHouse, run, until
from jit_render.testing.gated_store import GatedStore

SIZE = 3_000_000
RATE = 1_000_000


class Pauses:
    """Stands in for sleeping: notes each pause, and after `stop` of them waits for ever."""

    def __init__(self, clock, stop: int = 10_000) -> None:
        self.clock = clock
        self.stop = stop
        self.taken: list[float] = []
        self.during = lambda seconds: None

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        if len(self.taken) >= self.stop or seconds >= ROUND_SECONDS / 2:
            await asyncio.Event().wait()
        self.clock.advance(seconds)
        self.during(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def store():
    return GatedStore()


@pytest.fixture
def house(tmp_path, store):
    return CacheHouse(tmp_path / "cache", store)


async def filled(cache, store, count=4):
    infos = [store.put(f"gs://show/{number}", bytes([number]) * SIZE) for number in range(count)]
    paths = [(await cache.acquire("s", info)).path for info in infos]
    await cache._index.flush()
    return infos, paths


def begin(cache, clock, stop=10_000):
    cache._lazy.bytes_per_second = RATE
    pauses = cache._lazy.pause = Pauses(clock, stop)
    return pauses, asyncio.create_task(cache._lazy.run())


async def end(task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def spoil(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(SIZE // 2)
        file.write(b"rot")


def test_a_copy_that_rots_is_found_in_idle_time_and_fetched_again(house, store):
    async def body():
        async with house.cache() as cache:
            infos, paths = await filled(cache, store)
            spoil(paths[2])
            _, task = begin(cache, house.clock)
            await until(lambda: cache.stats().verified_entries == 4 and store.downloads[infos[2].id] == 2)
            await until(lambda: cache.has(infos[2].id) and not cache._fetches.flights)
            await end(task)
            assert (await cache.acquire("t", infos[2])).hit
            assert paths[2].read_bytes() == b"\2" * SIZE
            assert cache.stats().quarantined == 1
            assert cache.stats().verified_bytes == 4 * SIZE
            cache.release("s")

    run(body())
    assert sum(store.downloads.values()) == 5


def test_it_reads_no_faster_than_it_may(house, store):
    async def body():
        async with house.cache() as cache:
            await filled(cache, store)
            began = house.clock.monotonic()
            pauses, task = begin(cache, house.clock)
            await until(lambda: pauses.taken[-1:] == [ROUND_SECONDS])
            await end(task)
            assert house.clock.monotonic() - began >= 4 * SIZE / RATE
            assert max(pauses.taken[:-1]) <= QUIET_SECONDS

    run(body())


def test_tiny_files_are_opened_no_faster_than_it_may(house, store):
    async def body():
        async with house.cache() as cache:
            for number in range(100):
                await cache.acquire("s", store.put(f"gs://show/{number}", b"tiny"))
            await cache._index.flush()
            began = house.clock.monotonic()
            pauses, task = begin(cache, house.clock)
            await until(lambda: pauses.taken[-1:] == [ROUND_SECONDS])
            await end(task)
            assert house.clock.monotonic() - began >= 100 * ENTRY_BYTES / RATE
            assert max(pauses.taken[:-1]) <= QUIET_SECONDS

    run(body())


def test_it_pauses_at_once_when_somebody_asks_for_something(house, store):
    async def body():
        async with house.cache() as cache:
            infos, _ = await filled(cache, store)
            pauses, task = begin(cache, house.clock)
            read_at = []

            def ask(seconds):
                read_at.append(cache.stats().verified_bytes)
                if 0 < seconds < QUIET_SECONDS:  # it waits between two blocks
                    assert cache.lease_cached("t", infos[0].id)

            pauses.during = ask
            await until(lambda: pauses.taken[-1:] == [ROUND_SECONDS])
            await end(task)
            blocks = [at for at, seconds in enumerate(pauses.taken) if 0 < seconds < QUIET_SECONDS]
            assert len(blocks) > 4
            assert {pauses.taken[at + 1] for at in blocks} == {QUIET_SECONDS}
            assert all(read_at[at] == read_at[at + 1] for at in blocks)  # not a byte in between

    run(body())


def test_a_busy_agent_does_not_verify(house, store):
    async def body():
        async with house.cache() as cache:
            await filled(cache, store)
            cache._is_busy = lambda: True
            pauses, task = begin(cache, house.clock, stop=50)
            await until(lambda: len(pauses.taken) == 50)
            await end(task)
            assert cache.stats().verified_bytes == 0

    run(body())


def test_the_next_agent_goes_on_where_the_last_was(house, store):
    async def before():
        async with house.cache() as cache:
            await filled(cache, store)
            _, task = begin(cache, house.clock)
            await until(lambda: cache.stats().verified_entries == 2)
            await end(task)

    async def after(entries):
        async with house.cache() as cache:
            pauses, task = begin(cache, house.clock)
            await until(lambda: pauses.taken[-1:] == [pytest.approx(ROUND_SECONDS, rel=0.1)])
            await end(task)
            assert cache.stats().verified_entries == entries

    run(before())
    run(after(2))
    run(after(0))  # a round a day is enough
    house.clock.advance(ROUND_SECONDS)
    run(after(4))
    house.clock.advance(-10 * ROUND_SECONDS)  # a clock that was set back does not put it off
    run(after(4))
    note = house.root / "verified"
    assert json.loads(note.read_text())["after"] == ""
    note.write_text("garbage")
    run(after(4))


def test_a_copy_whose_object_is_gone_is_thrown_away_all_the_same(house, store):
    async def body():
        async with house.cache() as cache:
            infos, paths = await filled(cache, store)
            spoil(paths[1])
            store.delete(infos[1].url)
            _, task = begin(cache, house.clock)
            await until(lambda: cache.stats().verified_entries == 4 and not cache._fetches.flights)
            await end(task)
            assert not cache.has(infos[1].id)
            cache.release("s")

    run(body())
