"""Room: who gets it, who goes, who waits, and when there can be none."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from jit_render.cache import Priority, files
from jit_render.model.errors import CacheError, CacheTooSmall, DiskFull, PrefetchSkipped
from jit_render.testing.cache_house import CacheHouse, run, turns, until
from jit_render.testing.gated_store import GatedStore


@pytest.fixture
def store():
    return GatedStore()


@pytest.fixture
def house(tmp_path, store):
    return CacheHouse(tmp_path / "cache", store, limit=1000)


def put(store, size, count=1):
    infos = [store.put(f"gs://show/{size}/{number}.exr", bytes([number % 256]) * size) for number in range(count)]
    return infos if count > 1 else infos[0]


async def bring(cache, holder, infos):
    return await asyncio.gather(*(cache.acquire(holder, info) for info in infos))


async def here(cache, infos):
    found = [cache.lease_cached("", info.id) is not None for info in infos]
    await turns(1)
    return found


def test_what_was_used_longest_ago_goes_first_down_to_95_percent(house, store):
    infos = put(store, 100, 11)

    async def body():
        async with house.cache() as cache:
            for info in infos[:10]:
                await cache.acquire("s", info)
            cache.release("s")
            assert cache.stats().used_bytes == 1000
            cache.lease_cached("", infos[0].id)
            await cache.acquire("s", infos[10])
            await until(lambda: cache.stats().used_bytes <= 950)
            assert cache.stats().evictions == 2
            assert await here(cache, infos) == [True, False, False] + [True] * 8

    run(body())
    assert len(house.objects()) == 9


def test_what_is_held_stays_however_old(house, store):
    infos = put(store, 100, 20)

    async def body():
        async with house.cache() as cache:
            held = await bring(cache, "frame", infos[:5])
            for info in infos[5:]:
                await cache.acquire("other", info)
                cache.release("other")
                assert cache.stats().used_bytes <= 1000
                cache.check()
            assert all(acquired.path.exists() for acquired in held)

    run(body())


def test_one_frame_that_needs_more_than_the_limit_is_told_how_much(house, store):
    infos = put(store, 300, 4)

    async def body():
        async with house.cache() as cache:
            outcomes = await asyncio.gather(*(cache.acquire("frame", info) for info in infos), return_exceptions=True)
            (refusal,) = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
            assert isinstance(refusal, CacheTooSmall)
            assert "at least 1.2 KiB (1,200 bytes)" in str(refusal)
            assert "1000 bytes" in str(refusal) or "1,000 bytes" in str(refusal)
            assert "cache.limit" in str(refusal)
            assert "\n" not in str(refusal)

    run(body())


def test_a_frame_waits_for_another_to_let_go(house, store):
    first, second = put(store, 600, 2)

    async def body():
        async with house.cache() as cache:
            await cache.acquire("a", first)
            waits = asyncio.create_task(cache.acquire("b", second))
            await turns()
            assert not waits.done()
            cache.release("a")
            assert (await waits).path.exists()
            assert await here(cache, [first]) == [False]

    run(body())


def test_a_frame_waits_for_a_download_that_another_wants(house, store):
    first, second = put(store, 600, 2)
    store.gate.clear()

    async def body():
        async with house.cache() as cache:
            running = asyncio.create_task(cache.acquire("a", first))
            await until(lambda: store.order)
            waits = asyncio.create_task(cache.acquire("b", second))
            await turns()
            assert cache.stats().reserved_bytes == 600
            store.gate.set()
            await running
            await turns()
            assert not waits.done()
            cache.release("a")
            await waits

    run(body())


def test_two_frames_in_each_others_way_do_not_wait_for_ever(house, store):
    infos = put(store, 300, 4)

    async def body():
        async with house.cache() as cache:
            await cache.acquire("a", infos[0])
            await cache.acquire("b", infos[1])
            await cache.acquire("a", infos[2])
            waits = asyncio.create_task(cache.acquire("a", infos[3]))
            with pytest.raises(CacheTooSmall):  # a alone would need 900, which it can have once b is done
                await asyncio.wait_for(cache.acquire("b", store.put("gs://show/b", b"b" * 300)), 10)
            cache.release("b")
            assert (await waits).path.exists()

    run(body())


def test_those_who_wait_for_room_are_not_in_the_way_of_others(tmp_path, store):
    house = CacheHouse(tmp_path / "cache", store, limit=1000, fetchers=1)
    large, small, tiny = (
        store.put("gs://s/l", b"l" * 700),
        store.put("gs://s/s", b"s" * 600),
        store.put("gs://s/t", b"t"),
    )

    async def body():
        async with house.cache() as cache:
            await cache.acquire("a", large)
            waits = asyncio.create_task(cache.acquire("b", small))
            await turns()
            await cache.acquire("a", tiny)
            assert not waits.done()
            cache.release("a")
            await waits

    run(body())


def test_waiting_for_room_ends_at_last(house, store, monkeypatch):
    monkeypatch.setattr("jit_render.cache.fetch.LONGEST_PARKING_SECONDS", 0.01)
    first, second = put(store, 600, 2)

    async def body():
        async with house.cache() as cache:
            await cache.acquire("a", first)
            with pytest.raises(CacheTooSmall, match="have held the cache full"):
                await cache.acquire("b", second)

    run(body())


def test_an_object_larger_than_the_cache_is_there_while_it_is_held(house, store, caplog):
    giant, normal = put(store, 5000), put(store, 400, 2)

    async def body():
        async with house.cache() as cache:
            await bring(cache, "s", normal)
            path = (await cache.acquire("s", giant)).path
            assert path.stat().st_size == 5000
            assert await here(cache, normal) == [True, True]
            cache.check()
            cache.release("s")
            assert await here(cache, [giant, *normal]) == [False, True, True]
            assert cache.stats().used_bytes == 800

    run(body())
    assert "larger" in caplog.text


def test_prefetch_takes_a_quarter_at_most_until_it_is_asked_for(house, store):
    infos = put(store, 100, 4)

    async def body():
        async with house.cache() as cache:
            for info in infos[:2]:
                await cache.acquire("", info, Priority.PREFETCH)
            with pytest.raises(PrefetchSkipped, match="not prefetched"):
                await cache.acquire("", infos[2], Priority.PREFETCH)
            assert cache.lease_cached("s", infos[0].id) is not None
            await cache.acquire("", infos[2], Priority.PREFETCH)
            assert (await cache.acquire("s", infos[3])).path.exists()

    run(body())


def test_prefetch_does_not_push_out_what_is_held(house, store):
    infos = put(store, 200, 6)

    async def body():
        async with house.cache() as cache:
            await bring(cache, "s", infos[:5])
            with pytest.raises(PrefetchSkipped, match="running frames hold the cache"):
                await cache.acquire("", infos[5], Priority.PREFETCH)

    run(body())


def test_a_demand_that_joins_a_prefetch_is_not_skipped_with_it(house, store):
    infos = put(store, 100, 4)

    async def body():
        async with house.cache() as cache:
            outcomes = await asyncio.gather(
                *(cache.acquire("", info, Priority.PREFETCH) for info in infos),
                *(cache.acquire("s", info) for info in infos),
                return_exceptions=True,
            )
            assert all(not isinstance(outcome, Exception) for outcome in outcomes[4:])

    run(body())


def test_a_lowered_limit_is_kept_from_the_start(house, store, tmp_path):
    infos = put(store, 100, 10)

    async def fill():
        async with house.cache() as cache:
            await bring(cache, "s", infos)

    async def start_smaller():
        async with CacheHouse(house.root, store, limit=500).cache(start=True) as cache:
            await until(lambda: cache.stats().used_bytes <= 500)

    run(fill())
    run(start_smaller())
    assert len(house.objects()) <= 5


def _disk(free_bytes, free_inodes=10**6):
    return lambda path: SimpleNamespace(
        f_bavail=free_bytes, f_frsize=1, f_files=10**9 if free_inodes is not None else 0, f_favail=free_inodes or 0
    )


def test_evicts_for_the_disks_sake_below_the_limit(house, store, monkeypatch):
    infos = put(store, 100, 5)
    new = store.put("gs://show/new", b"n" * 100)
    monkeypatch.setattr("jit_render.cache.eviction.os.statvfs", _disk(10_000))  # so little that each look counts

    async def body():
        async with house.cache() as cache:
            await bring(cache, "s", infos)
            cache.release("s")
            looks = [_disk(500)("/"), _disk(50)("/")]
            monkeypatch.setattr("jit_render.cache.eviction.os.statvfs", lambda path: looks.pop())
            await cache.acquire("s", new)
            assert cache.stats().evictions >= 1

    run(body())


def test_a_disk_with_much_room_is_not_looked_at_for_every_object(house, store, monkeypatch):
    looks = []
    monkeypatch.setattr("jit_render.cache.eviction.os.statvfs", lambda path: looks.append(path) or _disk(10**12)(path))
    infos = put(store, 1, 70)

    async def body():
        async with house.cache() as cache:
            await bring(cache, "s", infos)

    run(body())
    assert len(looks) == 2


def test_a_disk_that_stays_full_is_an_error_that_says_so(house, store, monkeypatch):
    info = put(store, 100)
    monkeypatch.setattr("jit_render.cache.eviction.os.statvfs", _disk(50))

    async def body():
        async with house.cache() as cache:
            with pytest.raises(DiskFull, match=r"gs://show/100/0\.exr.*50 bytes too little"):
                await cache.acquire("s", info)
            assert cache.stats().reserved_bytes == 0

    run(body())


def test_a_disk_without_inodes_is_noticed_and_one_that_counts_none_is_not(house, store, monkeypatch):
    infos = put(store, 100, 2)

    async def body():
        async with house.cache() as cache:
            monkeypatch.setattr("jit_render.cache.eviction.os.statvfs", _disk(10**9, 3))
            with pytest.raises(DiskFull, match="no inodes"):
                await cache.acquire("s", infos[0])
            monkeypatch.setattr("jit_render.cache.eviction.os.statvfs", _disk(10**9, None))
            await cache.acquire("s", infos[1])

    run(body())


def _published(house, store, data, name="gs://show/out/f.1001.exr"):
    source = house.root / "spool" / "out.exr"
    source.unlink(missing_ok=True)
    source.write_bytes(data)
    return store.put(name, data), source


def _adopt(cache, info, source):
    """As the agent does it: the disk's part in a thread, the rest on the loop."""
    cache.place(info, source)
    return cache.adopt(info)


def test_an_adopted_output_is_found_warm(house, store):
    async def body():
        async with house.cache() as cache:
            info, source = _published(house, store, b"o" * 300)
            path = _adopt(cache, info, source)
            assert cache.lease_cached("s", info.id) == path
            assert path.read_bytes() == b"o" * 300
            assert path.stat().st_mode & 0o777 == 0o444
            assert path.samefile(source)
            return info

    info = run(body())
    assert store.downloads[info.id] == 0


def test_adopting_evicts_and_where_all_is_held_stands_outside_the_limit(house, store):
    infos = put(store, 250, 4)

    async def body():
        async with house.cache() as cache:
            await bring(cache, "s", infos)
            info, source = _published(house, store, b"o" * 300)
            path = _adopt(cache, info, source)
            cache.check()
            assert path.exists()
            assert await here(cache, infos) == [True] * 4
            assert cache.lease_cached("t", info.id) == path
            cache.release("t")
            assert await here(cache, [info]) == [False]
            cache.release("s")
            again, source = _published(house, store, b"p" * 300)
            _adopt(cache, again, source)
            await turns()
            assert cache.stats().used_bytes <= 1000

    run(body())


def test_adopting_what_is_here_already_counts_it_once(house, store):
    async def body():
        async with house.cache() as cache:
            info, source = _published(house, store, b"o" * 300)
            path = (await cache.acquire("s", info)).path
            for _ in range(2):  # the second as by an agent that finds what one before it had done
                assert _adopt(cache, info, source) == path
            assert path.samefile(source)
            assert (cache.stats().used_bytes, cache.stats().entries) == (300, 1)
            assert not list((house.root / "incoming").iterdir())

    run(body())


def test_adopting_what_is_on_its_way_counts_it_once(house, store):
    async def body():
        async with house.cache() as cache:
            info, source = _published(house, store, b"o" * 300)
            store.gate.clear()
            asked = asyncio.create_task(cache.acquire("s", info))
            await until(lambda: store.order)
            _adopt(cache, info, source)
            store.gate.set()
            await asked
            assert (cache.stats().used_bytes, cache.stats().entries) == (300, 1)

    run(body())


def test_adopting_something_else_or_nothing_is_refused(house, store):
    async def body():
        async with house.cache() as cache:
            info, source = _published(house, store, b"o" * 300)
            source.write_bytes(b"o" * 299)
            with pytest.raises(CacheError, match="has 299 bytes"):
                _adopt(cache, info, source)
            assert source.exists()
            source.unlink()
            with pytest.raises(CacheError, match="cannot be linked"):
                _adopt(cache, info, source)

    run(body())


def test_what_was_placed_and_went_before_it_was_adopted_is_refused(house, store):
    async def body():
        async with house.cache() as cache:
            info, source = _published(house, store, b"o" * 300)
            cache.place(info, source)
            files.remove(cache._layout.object_path(info.id.digest, info.url.name))
            with pytest.raises(CacheError, match="not at its place"):
                cache.adopt(info)
            assert cache.stats().entries == 0

    run(body())


def test_clear_keeps_what_is_held(house, store):
    infos = put(store, 100, 5)

    async def body():
        async with house.cache() as cache:
            await bring(cache, "a", infos[:2])
            await bring(cache, "b", infos[2:])
            cache.release("b")
            report = await cache.clear()
            assert (report.removed, report.removed_bytes, report.kept, report.kept_bytes) == (3, 300, 2, 200)
            assert await here(cache, infos) == [True, True, False, False, False]

    run(body())
    assert len(house.objects()) == 2


def test_verify_throws_bad_copies_away_even_from_under_a_lease(house, store):
    infos = put(store, 100, 3)

    async def body():
        async with house.cache() as cache:
            paths = [acquired.path for acquired in await bring(cache, "s", infos)]
            paths[1].chmod(0o644)
            paths[1].write_bytes(b"?" * 100)
            told = []
            report = await cache.verify(lambda checked, size: told.append((checked, size)))
            assert report.bad == (str(infos[1].id),)
            assert (report.checked, told[-1]) == (3, (3, 300))
            assert not paths[1].exists()
            assert cache.stats().quarantined == 1
            cache.check()
            assert (await cache.acquire("s", infos[1])).path.read_bytes() == b"\1" * 100

    run(body())


def test_a_copy_that_somebody_removed_or_cut_is_fetched_again(house, store):
    infos = put(store, 100, 2)

    async def body():
        async with house.cache() as cache:
            paths = [acquired.path for acquired in await bring(cache, "s", infos)]
            paths[0].unlink()
            paths[1].chmod(0o644)
            paths[1].write_bytes(b"half")
            assert await here(cache, infos) == [False, False]
            assert [acquired.path.stat().st_size for acquired in await bring(cache, "s", infos)] == [100, 100]

    run(body())
