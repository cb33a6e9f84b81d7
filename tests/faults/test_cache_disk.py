"""Disks that are full, that fail, that were switched off, that cannot be written."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import subprocess

import pytest

from jit_render.cache import Priority
from jit_render.cache.transfer import Transfer
from jit_render.model.errors import CacheUnusable, DiskFailing, DiskFull, PrefetchSkipped
from jit_render.testing.cache_house import CacheHouse, run, turns
from jit_render.testing.gated_store import GatedStore

MIB = 1 << 20


@pytest.fixture
def store():
    return GatedStore()


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 8 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=400", "tmpfs", str(place)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place, leave_bytes):
    """Somebody else's file that leaves only so much."""
    disk = os.statvfs(place)
    hog = place / "hog"
    with hog.open("wb") as file:
        file.write(b"\0" * max(0, disk.f_bavail * disk.f_frsize - leave_bytes))
    return hog


def remount(place, mode):
    subprocess.run(["mount", "-o", f"remount,{mode}", str(place)], check=True)


def test_a_disk_smaller_than_the_limit_is_kept_below_its_brim(small_disk, store):
    house = CacheHouse(small_disk / "cache", store, free=MIB)
    infos = [store.put(f"gs://show/{number}", bytes([number]) * MIB) for number in range(20)]

    async def body():
        async with house.cache(start=True) as cache:
            for info in infos:
                path = (await cache.acquire("s", info)).path
                assert path.read_bytes() == bytes([infos.index(info)]) * MIB
                cache.release("s")
                disk = os.statvfs(small_disk)
                assert disk.f_bavail * disk.f_frsize >= MIB - 300_000  # the index and folders are not counted ahead
            with pytest.raises(PrefetchSkipped, match="disk is nearly full"):
                await cache.acquire("", store.put("gs://show/x", b"x" * 3 * MIB), Priority.PREFETCH)

    run(body())


def test_what_does_not_fit_is_one_error_and_the_cache_goes_on(small_disk, store):
    house = CacheHouse(small_disk / "cache", store)
    giant, small = store.put("gs://show/giant", b"g" * 20 * MIB), store.put("gs://show/small", b"s" * 1000)

    async def body():
        async with house.cache(start=True) as cache:
            with pytest.raises(DiskFull, match=r"gs://show/giant#1 .* does not fit on the disk") as full:
                await cache.acquire("s", giant)
            assert "\n" not in str(full.value)
            assert (await cache.acquire("s", small)).path.read_bytes() == b"s" * 1000

    run(body())


def test_a_disk_that_fills_up_during_a_download_evicts_once_and_tries_again(small_disk, store, monkeypatch):
    house = CacheHouse(small_disk / "cache", store)
    old, new = store.put("gs://show/old", b"o" * 3 * MIB), store.put("gs://show/new", b"n" * 3 * MIB)

    async def body():
        async with house.cache() as cache:
            await cache.acquire("s", old)
            cache.release("s")
            fill(small_disk, 2 * MIB)
            monkeypatch.setattr(cache._space, "_short", lambda: (0, 0))  # the hog came after the look
            assert (await cache.acquire("s", new)).path.read_bytes() == b"n" * 3 * MIB
            assert cache.stats().evictions == 1

    run(body())
    assert store.downloads[new.id] == 2


def test_a_disk_that_stays_full_during_a_download_is_disk_full(small_disk, store, monkeypatch):
    house = CacheHouse(small_disk / "cache", store)
    info = store.put("gs://show/a", b"a" * 3 * MIB)

    async def body():
        async with house.cache() as cache:
            hog = fill(small_disk, 2 * MIB)
            monkeypatch.setattr(cache._space, "_short", lambda: (0, 0))
            with pytest.raises(DiskFull, match="even after evicting"):
                await cache.acquire("s", info)
            assert list((house.root / "incoming").iterdir()) == []
            hog.unlink()
            assert (await cache.acquire("s", info)).path.stat().st_size == 3 * MIB

    run(body())


def test_many_small_objects_do_not_use_up_the_inodes(small_disk, store):
    house = CacheHouse(small_disk / "cache", store)
    infos = [store.put(f"gs://show/{number}", b"%d" % number) for number in range(400)]

    async def body():
        async with house.cache(start=True) as cache:
            for info in infos:
                await cache.acquire("s", info)
                cache.release("s")
            assert os.statvfs(small_disk).f_favail >= 2

    run(body())


def test_a_full_disk_does_not_prevent_the_start_and_most_is_kept(small_disk, store):
    house = CacheHouse(small_disk / "cache", store)
    infos = [store.put(f"gs://show/{number}", b"a" * (MIB // 2)) for number in range(8)]
    new = store.put("gs://show/b", b"b" * (MIB // 2))

    async def earlier():
        async with house.cache() as cache:
            for info in infos:
                await cache.acquire("s", info)

    async def later():
        async with house.cache(start=True) as cache:
            kept = [info for info in infos if cache.lease_cached("", info.id) is not None]
            assert 4 <= len(kept) < 8
            assert (await cache.acquire("s", new)).path.read_bytes() == b"b" * (MIB // 2)

    run(earlier())
    fill(small_disk, 0)
    run(later())
    assert (house.root / "index.sqlite").exists()


def test_a_first_start_on_a_full_disk_says_disk_full_when_asked_for_something(small_disk, store):
    house = CacheHouse(small_disk / "cache", store)
    info = store.put("gs://show/a", b"a" * MIB)

    async def body():
        async with house.cache(start=True) as cache:
            with pytest.raises(DiskFull):
                await cache.acquire("s", info)
            hog.unlink()
            assert (await cache.acquire("s", info)).path.stat().st_size == MIB

    hog = fill(small_disk, 0)
    run(body())


def test_a_read_only_root_is_refused_by_name(small_disk, store):
    house = CacheHouse(small_disk / "cache", store)
    remount(small_disk, "ro")
    with pytest.raises(CacheUnusable, match=r"Read-only file system\); set cache\.root"):
        house.open()
    remount(small_disk, "rw")
    run(_open_and_close(house))
    remount(small_disk, "ro")
    with pytest.raises(CacheUnusable, match="Read-only file system"):
        house.open()


async def _open_and_close(house):
    async with house.cache():
        pass


def test_a_failing_disk_is_left_alone_for_a_while_and_then_tried_again(tmp_path, store, monkeypatch):
    house = CacheHouse(tmp_path / "cache", store)
    infos = [store.put(f"gs://show/{number}", b"x" * 100) for number in range(6)]
    sick = True
    write = Transfer._write

    def failing(self, piece, position):
        if sick:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return write(self, piece, position)

    monkeypatch.setattr(Transfer, "_write", failing)

    async def body():
        nonlocal sick
        async with house.cache() as cache:
            for info in infos[:3]:
                with pytest.raises(DiskFailing, match="Input/output error"):
                    await cache.acquire("s", info)
            downloads = sum(store.downloads.values())
            with pytest.raises(DiskFailing, match="tried again in"):
                await cache.acquire("s", infos[3])
            assert sum(store.downloads.values()) == downloads
            assert cache.stats().disk_errors == 3
            sick = False
            house.clock.advance(5)
            assert (await cache.acquire("s", infos[3])).path.exists()
            assert (await cache.acquire("s", infos[4])).path.exists()

    run(body())


def test_what_another_boot_left_is_read_before_it_is_believed(tmp_path, store):
    house = CacheHouse(tmp_path / "cache", store)
    good, torn = store.put("gs://show/good", b"g" * 1000), store.put("gs://show/torn", b"t" * 1000)

    async def before():
        async with house.cache() as cache:
            return [(await cache.acquire("s", info)).path for info in (good, torn)]

    async def after():
        async with house.cache(start=True) as cache:
            await cache._reconciling
            assert cache.lease_cached("s", good.id) is None
            asked = [asyncio.create_task(cache.acquire("s", info)) for info in (good, good, torn, torn)]
            got = await asyncio.gather(*asked)
            assert [acquired.hit for acquired in got] == [True, True, False, False]
            assert got[2].path.read_bytes() == b"t" * 1000
            assert cache.stats().quarantined == 1
            cache.release("s")
            assert cache.lease_cached("s", good.id) is not None

    paths = run(before())
    paths[1].chmod(0o644)
    paths[1].write_bytes(b"t" * 500 + b"\0" * 500)  # what a lost power supply does: the right size with holes
    house.boot = "boot-2"
    run(after())
    assert (store.downloads[good.id], store.downloads[torn.id]) == (1, 2)

    async def same_boot_again():
        async with house.cache() as cache:
            assert cache.lease_cached("s", good.id) is not None

    run(same_boot_again())


def test_an_entry_that_differs_from_what_is_asked_for_is_fetched_again(tmp_path, store):
    house = CacheHouse(tmp_path / "cache", store)
    info = store.put("gs://show/a", b"a" * 100)

    async def body():
        async with house.cache() as cache:
            path = (await cache.acquire("s", info)).path
            cache._index.get(info.id.digest).crc32c ^= 1
            got = await cache.acquire("t", info)
            assert (got.hit, got.path) == (False, path)
            await turns()

    run(body())
    assert store.downloads[info.id] == 2


def test_the_longest_name_and_one_with_a_long_extension_are_cached_on_any_disk(tmp_path, store):
    house = CacheHouse(tmp_path / "cache", store)
    infos = [store.put(f"gs://show/{name}", b"a") for name in ("n" * 255, "a." + "x" * 200, "plate.1001.exr")]

    async def body():
        async with house.cache() as cache:
            paths = [(await cache.acquire("s", info)).path for info in infos]
            assert [path.suffix for path in paths] == ["", "", ".exr"]
            assert all(len(path.name) < 100 for path in paths)

    run(body())


def test_a_disk_whose_inodes_somebody_else_uses_up_is_full_and_recovers(small_disk, store):
    house = CacheHouse(small_disk / "cache", store)
    infos = [store.put(f"gs://show/{number}", b"%d" % number) for number in range(3)]
    crowd = small_disk / "crowd"

    async def body():
        async with house.cache(start=True) as cache:
            assert (await cache.acquire("s", infos[0])).path.read_bytes() == b"0"
            await cache._index.flush()
            crowd.mkdir()
            with contextlib.suppress(OSError):
                for number in range(1000):
                    (crowd / str(number)).touch()
            assert os.statvfs(small_disk).f_favail == 0
            with pytest.raises(DiskFull):
                await cache.acquire("s", infos[1])
            assert cache.lease_cached("t", infos[0].id).read_bytes() == b"0"
            assert list((house.root / "incoming").iterdir()) == []
            shutil.rmtree(crowd)
            assert (await cache.acquire("s", infos[1])).path.read_bytes() == b"1"
            assert cache.stats().disk_errors == 0

    run(body())


def test_a_disk_that_the_kernel_turned_read_only_under_way_is_left_alone_and_recovers(small_disk, store, tmp_path):
    """What ext4 does after an I/O error (errors=remount-ro), at any moment; a tmpfs only while nobody writes to it, so
    the index lies on another disk here."""
    house = CacheHouse(tmp_path / "cache", store)
    house.root.mkdir()
    for name in ("objects", "incoming"):
        (small_disk / name).mkdir()
        (house.root / name).symlink_to(small_disk / name)
    infos = [store.put(f"gs://show/{number}", b"x" * 1000) for number in range(6)]

    async def body():
        async with house.cache() as cache:
            held = (await cache.acquire("s", infos[0])).path
            remount(small_disk, "ro")
            try:
                for info in infos[1:4]:
                    with pytest.raises(DiskFailing, match="Read-only file system"):
                        await cache.acquire("s", info)
                with pytest.raises(DiskFailing, match="tried again in"):
                    await cache.acquire("s", infos[4])
                assert cache.lease_cached("t", infos[0].id) == held
                await cache._index.flush()
            finally:
                remount(small_disk, "rw")
            house.clock.advance(5)
            assert (await cache.acquire("s", infos[4])).path.read_bytes() == b"x" * 1000
            await cache._index.flush()

    run(body())


def test_a_copy_that_the_disk_cannot_read_any_more_is_fetched_again(tmp_path, store, monkeypatch):
    """At a start in another boot, every copy is read before it is believed; this one answers EIO."""
    house = CacheHouse(tmp_path / "cache", store)
    info = store.put("gs://show/a", b"a" * 1000)

    def unreadable(path, size_bytes, crc32c):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def body():
        async with house.cache() as cache:
            await cache.acquire("s", info)
        house.boot = "boot-2"
        async with house.cache() as cache:
            monkeypatch.setattr("jit_render.cache.carrier.is_intact", unreadable)
            got = await cache.acquire("s", info)
            assert (got.hit, got.path.read_bytes()) == (False, b"a" * 1000)
            assert (cache.stats().disk_errors, cache.stats().quarantined) == (1, 1)

    run(body())
    assert store.downloads[info.id] == 2
