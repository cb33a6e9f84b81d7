"""The index: what it remembers, and what happens when its file is not what it should be."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from jit_render.cache import schema
from jit_render.cache.index import Entry, Index
from jit_render.model.identity import ObjectId, ObjectInfo, ObjectUrl
from jit_render.testing.cache_house import CacheHouse, crash, run, until
from jit_render.testing.gated_store import GatedStore


def entry(number, size=10):
    object_id = ObjectId(ObjectUrl.parse(f"gs://show/{number}.exr"), "1")
    return Entry(object_id.digest, str(object_id.url), "1", size, number, "boot-1")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "index.sqlite"


def opened(path):
    return Index(path, schema.connect(path)[0])


def names(entries):
    return [found.url.removeprefix("gs://show/") for found in entries]


def test_what_was_flushed_is_there_next_time_in_order_of_use(path):
    async def body():
        index = opened(path)
        entries = [entry(number) for number in range(5)]
        for one in entries:
            index.put(one)
        await index.flush()
        index.touch(entries[0])
        index.remove(entries[3].digest)
        index.check()
        await index.flush()
        index.check()
        index.close()
        index = opened(path)
        index.check()
        assert (index.entries, index.used_bytes) == (4, 40)
        assert names(index.oldest(lambda digest: False)) == ["1.exr", "2.exr", "4.exr", "0.exr"]
        index.put(entry(9))
        assert names(index.oldest(lambda digest: False))[-1] == "9.exr"
        index.close()

    run(body())


def test_what_was_not_flushed_is_seen_all_the_same(path):
    async def body():
        index = opened(path)
        for number in range(4):
            index.put(entry(number))
        await index.flush()
        index.put(entry(4))
        index.remove(entry(0).digest)
        index.touch(index.get(entry(1).digest))
        assert names(index.oldest(lambda digest: digest == entry(2).digest)) == ["3.exr", "4.exr", "1.exr"]
        assert index.get(entry(0).digest) is None
        assert (index.entries, index.used_bytes) == (4, 40)
        index.check()
        index.close()

    run(body())


def test_changes_made_while_a_flush_is_under_way_are_kept(path):
    async def body():
        index = opened(path)
        for number in range(100):
            index.put(entry(number))
        flushing = asyncio.create_task(index.flush())
        await asyncio.sleep(0)
        index.remove(entry(0).digest)
        index.put(entry(100))
        assert index.get(entry(0).digest) is None
        assert index.get(entry(50).digest) is not None
        index.check()
        flushing.cancel()
        await index.flush()
        index.check()
        index.close()
        index = opened(path)
        index.check()
        assert index.get(entry(0).digest) is None
        assert index.entries == 100
        index.close()

    run(body())


def test_entries_that_memory_has_no_room_for_are_read_again(path, monkeypatch):
    monkeypatch.setattr("jit_render.cache.index.HOT_ENTRIES", 3)

    async def body():
        index = opened(path)
        for number in range(20):
            index.put(entry(number))
            if number == 10:
                await index.flush()
        assert [index.get(entry(number).digest).crc32c for number in range(20)] == list(range(20))
        index.check()
        index.close()

    run(body())


def test_pins_are_kept_the_first_one_wins_and_old_ones_go(tmp_path):
    store = GatedStore()
    house = CacheHouse(tmp_path / "cache", store)
    url = ObjectUrl.parse("gs://show/a.exr")
    first = ObjectInfo(ObjectId(url, "1"), 10, None, 12.5, "job", "gzip")
    second = ObjectInfo(ObjectId(url, "2"), 20, 7)

    async def body():
        async with house.cache() as cache:
            assert cache.pin("job", url) is None
            assert cache.remember_pin("job", first) == first
            assert cache.remember_pin("job", second) == first
            assert cache.remember_pin("other", second) == second
        async with house.cache() as cache:
            assert cache.pin("job", url) == first
            assert cache.remember_pin("job", second) == first
        for _ in range(32):
            house.clock.advance(86400)
            async with house.cache():
                pass
        async with house.cache(start=True) as cache:
            await cache._reconciling
        async with house.cache() as cache:
            assert cache.pin("job", url) is None

    run(body())


def test_what_a_job_saw_first_survives_a_kill_right_after_it_was_handed_out(tmp_path):
    store = GatedStore()
    house = CacheHouse(tmp_path / "cache", store)
    infos = [store.put(f"gs://show/{number}", b"%d" % number) for number in range(20)]

    async def touch(cache, info):
        cache.remember_pin("job", info)
        return await cache.acquire("s", info)

    async def before():
        cache = house.open()
        got = await asyncio.gather(*(touch(cache, info) for info in infos))
        crash(cache)
        return got

    async def after():
        async with house.cache() as cache:
            assert [cache.pin("job", info.url) for info in infos] == infos

    run(before())
    run(after())


def test_a_clock_that_jumps_makes_no_job_forget_its_versions(tmp_path):
    house = CacheHouse(tmp_path / "cache", GatedStore())
    first = ObjectInfo(ObjectId(ObjectUrl.parse("gs://show/a.exr"), "1"), 10, 7)

    async def start():
        async with house.cache(start=True) as cache:
            assert cache.remember_pin("job", first) == first
            await cache._reconciling

    house.clock.advance(-house.clock.wall())  # the clock of a machine that has just come up: 1970
    for jump in (56 * 365 * 86400, -3 * 365 * 86400, 3 * 365 * 86400):
        run(start())
        house.clock.advance(jump)
    run(start())

    async def look():
        async with house.cache() as cache:
            assert cache.pin("job", first.url) == first

    run(look())


def _garbage(path):
    path.write_bytes(b"\xffgarbage" * 1000)


def _truncated(path):
    path.write_bytes(path.read_bytes()[:5000])


def _newer(path):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def _foreign(path):
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (cake TEXT)")
    connection.close()


def _folder(path):
    path.unlink()
    path.mkdir()


def _scrambled(path):
    data = bytearray(path.read_bytes())
    for position in range(4096, len(data), 4096):
        data[position : position + 2000] = b"\xaa" * 2000
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("harm", [_garbage, _truncated, _newer, _foreign, _folder, _scrambled])
def test_a_broken_index_is_an_empty_cache(tmp_path, harm, caplog):
    store = GatedStore()
    house = CacheHouse(tmp_path / "cache", store)
    info = store.put("gs://show/a.exr", b"a" * 100)

    async def body():
        async with house.cache() as cache:
            await cache.acquire("s", info)
        path = house.root / "index.sqlite"
        for extra in ("-wal", "-shm"):
            path.with_name(path.name + extra).unlink(missing_ok=True)
        harm(path)
        async with house.cache(start=True) as cache:
            assert cache.stats().entries == 0
            assert cache.lease_cached("s", info.id) is None
            assert (await cache.acquire("s", info)).path.read_bytes() == b"a" * 100
            await cache._reconciling
        assert path.with_name("index.sqlite.broken").exists()
        async with house.cache() as cache:
            assert cache.lease_cached("s", info.id) is not None

    run(body())
    assert len(house.objects()) == 1
    assert "moved aside" in caplog.text


def test_an_index_that_breaks_under_way_is_begun_anew(tmp_path):
    store = GatedStore()
    house = CacheHouse(tmp_path / "cache", store)
    infos = [store.put(f"gs://show/{number}", b"%d" % number) for number in range(3)]

    async def body():
        async with house.cache(start=True) as cache:
            held = [await cache.acquire("s", info) for info in infos]
            cache._index._failed(_malformed())
            await until(lambda: not cache._index.broken)
            assert [cache.lease_cached("t", info.id) for info in infos] == [one.path for one in held]
            assert (house.root / "index.sqlite.broken").exists()
        async with house.cache() as cache:
            assert cache.stats().entries == 3

    run(body())


def _malformed():
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def test_a_crash_before_the_flush_leaves_nothing_that_lies(tmp_path):
    store = GatedStore()
    house = CacheHouse(tmp_path / "cache", store)
    old, new = store.put("gs://show/old", b"old"), store.put("gs://show/new", b"new")

    async def body():
        async with house.cache() as cache:
            evicted = (await cache.acquire("s", old)).path
        cache = house.open()
        await cache.acquire("s", new)
        crash(cache)
        evicted.unlink()
        async with house.cache(start=True) as cache:
            await cache._reconciling
            assert cache.stats().entries == 0
            assert house.objects() == []
            assert (await cache.acquire("s", new)).path.read_bytes() == b"new"

    run(body())


def test_opening_does_not_read_the_rows(path):
    connections, _ = schema.connect(path)
    connections.writer.execute("BEGIN")
    connections.writer.executemany(
        "INSERT INTO entries VALUES (?, 'gs://show/a.exr', '1', 1, 1, 'boot', ?)",
        ((number.to_bytes(32, "big"), number) for number in range(50_000)),
    )
    connections.writer.execute("UPDATE totals SET entries = 50000, bytes = 50000")
    connections.writer.execute("COMMIT")
    connections.close()
    index = opened(path)
    assert (index.entries, index.used_bytes, len(index._hot)) == (50_000, 50_000, 0)
    index.close()
