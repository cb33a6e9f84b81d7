"""One fetch per object, however many ask; who goes first; what a failure means to whom."""

from __future__ import annotations

import asyncio
import os

import pytest

from jit_render.cache import Priority
from jit_render.model.errors import (
    CacheError,
    ChecksumMismatch,
    GenerationGone,
    ObjectNotFound,
    PrefetchSkipped,
    TransientStoreError,
)
from jit_render.testing.cache_house import CacheHouse, run, turns, until
from jit_render.testing.gated_store import GatedStore

MIB = 1 << 20


@pytest.fixture
def store():
    return GatedStore()


@pytest.fixture
def house(tmp_path, store):
    return CacheHouse(tmp_path / "cache", store)


def test_fetches_once_and_finds_it_again_after_a_restart(house, store):
    info = store.put("gs://show/a/plate.1001.exr", os.urandom(300_000))

    async def first_run():
        async with house.cache(start=True) as cache:
            assert cache.lease_cached("s1", info.id) is None
            first = await cache.acquire("s1", info)
            again = await cache.acquire("s1", info)
            assert cache.lease_cached("s2", info.id) == first.path
            stats = cache.stats()
            assert (stats.hits, stats.misses, stats.entries, stats.used_bytes) == (2, 1, 1, 300_000)
            return first, again

    async def second_run():
        async with house.cache() as cache:
            return cache.lease_cached("s1", info.id)

    first, again = run(first_run())
    assert first.path.read_bytes() == store.read(info.url)[0]
    assert first.path.name == f"{info.id.digest}.exr"
    assert first.path.stat().st_mode & 0o777 == 0o444
    assert (first.hit, first.fetched_bytes) == (False, 300_000)
    assert (again.hit, again.fetched_bytes, again.path) == (True, 0, first.path)
    assert run(second_run()) == first.path
    assert store.downloads[info.id] == 1


def test_an_empty_object_is_an_object(house, store):
    info = store.put("gs://show/empty.txt", b"")

    async def body():
        async with house.cache() as cache:
            return (await cache.acquire("s", info)).path.read_bytes()

    assert run(body()) == b""


def test_an_overwritten_object_is_another_entry(house, store):
    old = store.put("gs://show/a.exr", b"old")

    async def body():
        async with house.cache() as cache:
            before = (await cache.acquire("s", old)).path
            new = store.put("gs://show/a.exr", b"new")
            after = (await cache.acquire("s", new)).path
            return before.read_bytes(), after.read_bytes()

    assert run(body()) == (b"old", b"new")


def test_many_that_ask_at_once_share_one_download(house, store):
    info = store.put("gs://show/a.exr", os.urandom(MIB))
    store.gate.clear()

    async def body():
        async with house.cache() as cache:
            asked = [asyncio.create_task(cache.acquire(f"s{number}", info)) for number in range(20)]
            await until(lambda: store.downloads[info.id] == 1)
            store.gate.set()
            got = await asyncio.gather(*asked)
            assert {acquired.path for acquired in got} == {got[0].path}
            assert sum(acquired.fetched_bytes for acquired in got) == MIB
            assert not any(acquired.hit for acquired in got)

    run(body())
    assert store.downloads[info.id] == 1


def test_a_leader_that_goes_away_does_not_take_the_fetch_with_it(house, store):
    info = store.put("gs://show/a.exr", b"x" * 1000)
    store.gate.clear()

    async def body():
        async with house.cache() as cache:
            leader = asyncio.create_task(cache.acquire("leader", info))
            follower = asyncio.create_task(cache.acquire("follower", info))
            await until(lambda: store.downloads[info.id] == 1)
            leader.cancel()
            await turns()
            store.gate.set()
            assert (await follower).path.read_bytes() == b"x" * 1000
            cache.release("follower")
            assert cache.stats().leased_entries == 0

    run(body())
    assert store.downloads[info.id] == 1


def test_a_fetch_nobody_waits_for_any_more_ends_well_and_is_held_by_nobody(house, store):
    info = store.put("gs://show/a.exr", b"x" * 1000)
    store.gate.clear()

    async def body():
        async with house.cache() as cache:
            only = asyncio.create_task(cache.acquire("s", info))
            await until(lambda: store.downloads[info.id] == 1)
            only.cancel()
            await turns()
            store.gate.set()
            await until(lambda: cache.stats().entries == 1)
            assert cache.stats().leased_entries == 0
            assert cache.lease_cached("t", info.id) is not None

    run(body())


def test_a_queued_fetch_nobody_waits_for_is_dropped(tmp_path, store):
    house = CacheHouse(tmp_path / "cache", store, fetchers=1)
    first, second = store.put("gs://show/1", b"1"), store.put("gs://show/2", b"2")
    store.gate.clear()

    async def body():
        async with house.cache() as cache:
            running = asyncio.create_task(cache.acquire("s", first))
            queued = asyncio.create_task(cache.acquire("s", second))
            await until(lambda: store.downloads[first.id] == 1)
            queued.cancel()
            await turns()
            store.gate.set()
            await running
            assert cache.stats().fetches_queued == 0

    run(body())
    assert store.downloads[second.id] == 0


def test_a_holder_that_ends_gets_nothing_afterwards(house, store):
    info = store.put("gs://show/a.exr", b"x")
    store.gate.clear()

    async def body():
        async with house.cache() as cache:
            gone = asyncio.create_task(cache.acquire("gone", info))
            stays = asyncio.create_task(cache.acquire("stays", info))
            await until(lambda: store.downloads[info.id] == 1)
            cache.release("gone")
            store.gate.set()
            with pytest.raises(CacheError, match="ended before"):
                await gone
            await stays
            cache.release("stays")
            assert cache.stats().leased_entries == 0

    run(body())


def test_what_was_begun_together_is_fetched_together_and_acquired_one_after_the_other(house, store):
    infos = [store.put(f"gs://show/{number}", b"%d" % number) for number in range(3)]
    store.gate.clear()

    async def body():
        async with house.cache() as cache:
            await_it = [*infos, infos[0]]
            for info in await_it:
                cache.begin("s", info)
            await until(lambda: len(store.order) == 3)
            store.gate.set()
            await until(lambda: cache.stats().entries == 3)
            assert cache.stats().leased_entries == 3, "it came for its holder, who has only not taken it yet"
            assert cache.lease_cached("s", infos[1].id) is None, "that would make a hit of a fetch"
            got = [await cache.acquire("s", info) for info in await_it]
            cache.give_up("s", infos)
            assert (cache.stats().hits, cache.stats().misses) == (1, 3)
            return got

    got = run(body())
    assert [acquired.path.read_bytes() for acquired in got] == [b"0", b"1", b"2", b"0"]
    assert [(acquired.hit, acquired.fetched_bytes) for acquired in got] == [(False, 1)] * 3 + [(True, 0)]


def test_what_was_begun_and_given_up_is_not_fetched_any_more(tmp_path, store):
    house = CacheHouse(tmp_path / "cache", store, fetchers=1)
    infos = [store.put(f"gs://show/{number}", b"x") for number in range(3)]
    store.failures = [TransientStoreError("down")]
    store.gate.clear()

    async def body():
        async with house.cache() as cache:
            for info in infos:
                cache.begin("s", info)
            await until(lambda: len(store.order) == 1)
            cache.give_up("s", infos)
            store.gate.set()
            await until(lambda: not cache.stats().fetches_running)
            assert (cache.stats().fetches_queued, cache.stats().leased_entries) == (0, 0)
            assert (await cache.acquire("s", infos[2])).path.read_bytes() == b"x"

    run(body())
    assert store.order == [infos[0].id, infos[2].id]


def test_what_was_begun_by_one_that_leads_and_one_that_follows_fails_as_it_would_have(house, store):
    info = store.put("gs://show/a.exr", b"x")
    store.failures = [TransientStoreError("the network had a moment")]
    store.gate.clear()

    async def body():
        async with house.cache() as cache:
            for holder in ("first", "second"):
                cache.begin(holder, info)
            store.gate.set()
            await until(lambda: not cache.stats().fetches_running)
            with pytest.raises(TransientStoreError):
                await cache.acquire("first", info)
            return await cache.acquire("second", info)

    assert run(body()).path.read_bytes() == b"x"


def test_a_demand_goes_before_prefetches_and_promotes_the_one_it_wants(tmp_path, store):
    house = CacheHouse(tmp_path / "cache", store, fetchers=1)
    infos = [store.put(f"gs://show/{number}", b"%d" % number) for number in range(6)]
    store.gate.clear()

    async def body():
        async with house.cache() as cache:
            ahead = [asyncio.create_task(cache.acquire("", info, Priority.PREFETCH)) for info in infos[:5]]
            await until(lambda: len(store.order) == 1)
            demands = [asyncio.create_task(cache.acquire("s", infos[number])) for number in (5, 3)]
            await turns()
            store.gate.set()
            await asyncio.gather(*ahead, *demands)

    run(body())
    assert [infos.index(next(info for info in infos if info.id == asked)) for asked in store.order] == [
        0,
        5,
        3,
        1,
        2,
        4,
    ]


def test_prefetches_leave_a_slot_to_demands(tmp_path, store):
    house = CacheHouse(tmp_path / "cache", store, fetchers=2)
    infos = [store.put(f"gs://show/{number}", b"%d" % number) for number in range(3)]
    store.gate.clear()

    async def body():
        async with house.cache() as cache:
            ahead = [asyncio.create_task(cache.acquire("", info, Priority.PREFETCH)) for info in infos[:2]]
            await until(lambda: len(store.order) == 1)
            demand = asyncio.create_task(cache.acquire("s", infos[2]))
            await until(lambda: len(store.order) == 2)
            store.gate.set()
            await asyncio.gather(demand, *ahead)

    run(body())
    assert store.order[1] == infos[2].id


def test_followers_of_a_leader_that_failed_in_passing_elect_a_new_one(house, store):
    info = store.put("gs://show/a.exr", b"x" * 100)
    store.failures = [TransientStoreError("the network had a moment")]
    store.gate.clear()

    async def body():
        async with house.cache() as cache:
            asked = [asyncio.create_task(cache.acquire(f"s{number}", info)) for number in range(5)]
            await until(lambda: store.downloads[info.id] == 1)
            store.gate.set()
            return await asyncio.gather(*asked, return_exceptions=True)

    leader, *followers = run(body())
    assert isinstance(leader, TransientStoreError)
    assert {follower.path.read_bytes() for follower in followers} == {b"x" * 100}
    assert store.downloads[info.id] == 2


def test_elections_are_bounded(house, store):
    info = store.put("gs://show/a.exr", b"x")
    store.failures = [TransientStoreError("down")] * 100

    async def body():
        async with house.cache() as cache:
            asked = [cache.acquire(f"s{number}", info) for number in range(10)]
            return await asyncio.gather(*asked, return_exceptions=True)

    assert all(isinstance(outcome, TransientStoreError) for outcome in run(body()))
    assert store.downloads[info.id] == 3


@pytest.mark.parametrize("error", [ObjectNotFound("gone"), GenerationGone("overwritten")])
def test_a_failure_that_lasts_is_everybodys_at_once(house, store, error):
    info = store.put("gs://show/a.exr", b"x")
    store.failures = [error]

    async def body():
        async with house.cache() as cache:
            return await asyncio.gather(*(cache.acquire("s", info) for _ in range(5)), return_exceptions=True)

    assert all(type(outcome) is type(error) for outcome in run(body()))
    assert store.downloads[info.id] == 1
    assert house.objects() == []


@pytest.mark.parametrize(
    "spoil",
    [lambda data: data[:-1], lambda data: data + b"!", lambda data: b"?" + data[1:], lambda data: b""],
    ids=["short", "long", "flipped", "nothing"],
)
def test_wrong_bytes_are_thrown_away_and_fetched_again(house, store, spoil):
    info = store.put("gs://show/a.exr", b"x" * 200_000)
    store.failures = [spoil, spoil]

    async def body():
        async with house.cache() as cache:
            return (await cache.acquire("s", info)).path.read_bytes()

    assert run(body()) == b"x" * 200_000
    assert store.downloads[info.id] == 3
    assert list((house.root / "incoming").iterdir()) == []


def test_bytes_that_stay_wrong_are_an_error_and_leave_nothing(house, store):
    info = store.put("gs://show/a.exr", b"x" * 1000)
    store.failures = [lambda data: data[:-1]] * 3

    async def body():
        async with house.cache() as cache:
            with pytest.raises(ChecksumMismatch, match=r"gs://show/a\.exr#1: 999 of 1,000 bytes came"):
                await cache.acquire("s", info)

    run(body())
    assert house.objects() == []
    assert list((house.root / "incoming").iterdir()) == []


def test_an_object_without_a_checksum_gets_the_one_its_bytes_have(tmp_path):
    store = GatedStore(checksums=False)
    house = CacheHouse(tmp_path / "cache", store)
    info = store.put("file:///show/a.exr", b"x" * 1000)

    async def body():
        async with house.cache() as cache:
            path = (await cache.acquire("s", info)).path
            path.chmod(0o644)
            path.write_bytes(b"y" * 1000)
            return await cache.verify()

    assert run(body()).bad == (str(info.id),)


def test_a_large_object_comes_in_parts_of_one_generation(house, store, monkeypatch):
    monkeypatch.setattr("jit_render.cache.carrier.PARTS_FROM_BYTES", MIB)
    monkeypatch.setattr("jit_render.cache.transfer.PART_BYTES", MIB // 4)
    data = os.urandom(2 * MIB + 12_345)
    info = store.put("gs://show/a.abc", data)

    async def body():
        async with house.cache() as cache:
            return (await cache.acquire("s", info)).path.read_bytes()

    assert run(body()) == data
    assert store.downloads[info.id] == 9


def test_a_large_object_with_one_bad_part_is_fetched_again(house, store, monkeypatch):
    monkeypatch.setattr("jit_render.cache.carrier.PARTS_FROM_BYTES", MIB)
    monkeypatch.setattr("jit_render.cache.transfer.PART_BYTES", MIB // 2)
    data = os.urandom(2 * MIB)
    info = store.put("gs://show/a.abc", data)
    store.failures = [lambda part: b"\0" * len(part)]

    async def body():
        async with house.cache() as cache:
            return (await cache.acquire("s", info)).path.read_bytes()

    assert run(body()) == data
    assert store.downloads[info.id] == 8


def test_a_large_object_whose_part_fails_is_one_failure(house, store, monkeypatch):
    monkeypatch.setattr("jit_render.cache.carrier.PARTS_FROM_BYTES", MIB)
    monkeypatch.setattr("jit_render.cache.transfer.PART_BYTES", MIB // 2)
    info = store.put("gs://show/a.abc", os.urandom(2 * MIB))
    store.failures = [GenerationGone("overwritten meanwhile")]

    async def body():
        async with house.cache() as cache:
            with pytest.raises(GenerationGone):
                await cache.acquire("s", info)

    run(body())
    assert house.objects() == []
    assert list((house.root / "incoming").iterdir()) == []


def test_closing_ends_what_runs_and_what_waits(house, store):
    infos = [store.put(f"gs://show/{number}", b"x" * 1000) for number in range(8)]
    store.gate.clear()

    async def body():
        cache = house.open()
        asked = [asyncio.create_task(cache.acquire("s", info)) for info in infos]
        await until(lambda: len(store.order) == 4)
        closing = asyncio.create_task(cache.close())
        await turns()
        store.gate.set()
        await closing
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(outcome, CacheError) for outcome in outcomes)
        with pytest.raises(CacheError, match="closed"):
            await cache.acquire("s", infos[0])

    run(body())
    assert house.objects() == []


def test_the_prefetch_queue_is_bounded(tmp_path, store, monkeypatch):
    monkeypatch.setattr("jit_render.cache.cache.MOST_PREFETCHES", 3)
    house = CacheHouse(tmp_path / "cache", store, fetchers=1)
    infos = [store.put(f"gs://show/{number}", b"x") for number in range(5)]
    store.gate.clear()

    async def body():
        async with house.cache() as cache:
            ahead = [asyncio.create_task(cache.acquire("", info, Priority.PREFETCH)) for info in infos[:4]]
            await turns()
            with pytest.raises(PrefetchSkipped, match="3 others wait"):
                await cache.acquire("", infos[4], Priority.PREFETCH)
            store.gate.set()
            await asyncio.gather(*ahead)

    run(body())
