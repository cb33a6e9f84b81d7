"""The cache on a mounted file system that answers EIO for a while and recovers (sick_disk.py)."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from agent_kit import RENDERS, SHOW, Place, wait_until

from jit_render.model.errors import DiskFailing
from jit_render.testing.cache_house import CacheHouse, run
from jit_render.testing.gated_store import GatedStore

PROGRAM = Path(__file__).with_name("sick_disk.py")
WRITING = "write create link rename mkdir symlink fsync"
OUTPUT = [["main", f"{RENDERS}/a.0001.dpx"]]


@dataclass
class Disk:
    place: Path
    switch: Path

    def falls_sick(self, operations: str) -> None:
        self.switch.write_text(operations)

    def recovers(self) -> None:
        self.switch.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("a disk that fails is mounted by FUSE, and /dev/fuse cannot be opened here")
    if importlib.util.find_spec("mfusepy") is None:
        pytest.skip("a disk that fails is mounted by mfusepy, which is not installed here")
    folder, place, switch = tmp_path / "folder", tmp_path / "disk", tmp_path / "switch"
    folder.mkdir()
    place.mkdir()
    told = tmp_path / "disk.log"
    with told.open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(folder), str(place), str(switch)], stdout=log, stderr=log
        )
    wait_until(lambda: place.is_mount() or server.poll() is not None, "the disk to be mounted")
    if server.poll() is not None:
        pytest.skip(f"FUSE mounts nothing here: {told.read_text().strip()}")
    yield Disk(place, switch)
    subprocess.run(["umount", "-l", str(place)], check=True)
    server.terminate()
    server.wait()


def test_a_cache_whose_disk_fails_says_so_rests_and_comes_back_without_a_wrong_byte(disk: Disk) -> None:
    store = GatedStore()
    house = CacheHouse(disk.place / "cache", store)
    infos = [store.put(f"gs://show/{number}", bytes([number]) * 300_000) for number in range(6)]

    async def body() -> None:
        async with house.cache() as cache:
            before = (await cache.acquire("s", infos[0])).path
            disk.falls_sick(WRITING)
            for info in infos[1:4]:
                with pytest.raises(DiskFailing, match="Input/output error"):
                    await cache.acquire("s", info)
            with pytest.raises(DiskFailing, match="tried again in"):
                await cache.acquire("s", infos[4])
            assert before.read_bytes() == bytes([0]) * 300_000
            assert [path.name for path in house.objects()] == [before.name]
            disk.recovers()
            with pytest.raises(DiskFailing, match="tried again in"):  # it rests all the same
                await cache.acquire("s", infos[4])
            house.clock.advance(5)  # type: ignore[attr-defined]
            for number, info in enumerate(infos):
                assert (await cache.acquire("s", info)).path.read_bytes() == bytes([number]) * 300_000
            assert cache._health.state == "normal"

    run(body())


def test_an_agent_whose_disk_fails_loses_no_frame_that_it_took_and_serves_again(tmp_path: Path, disk: Disk) -> None:
    place = OnDisk(tmp_path, disk.place)
    try:
        place.put("show/warm.exr", b"warm" * 1000)
        place.put("show/cold.exr", b"cold" * 100_000)
        place.start()
        talker = place.talk()
        warm = Path(talker.resolve(f"{SHOW}/warm.exr")["path"])
        (path,) = talker.frame("begin", 1, OUTPUT)
        path.write_bytes(b"pixels" * 1000)

        disk.falls_sick(WRITING)
        refused = talker.resolve(f"{SHOW}/cold.exr")
        assert (refused["state"], refused["kind"], refused["retryable"]) == ("failed", "DiskFailing", True)
        unpublished = talker.publish(1, OUTPUT)
        assert (unpublished["ok"], unpublished["error"]["kind"]) == (False, "CacheError")
        assert "Input/output error" in unpublished["error"]["message"]
        assert warm.read_bytes() == b"warm" * 1000

        disk.recovers()
        assert talker.publish(1, OUTPUT)["ok"]
        assert talker.drain() == ([["Write1", "main", 1]], [])
        assert place.get("renders/a.0001.dpx") == b"pixels" * 1000
        wait_until(lambda: talker.resolve(f"{SHOW}/cold.exr")["state"] == "local", "the cache to try its disk again")
        assert Path(talker.resolve(f"{SHOW}/cold.exr")["path"]).read_bytes() == b"cold" * 100_000
    finally:
        place.close()


def test_an_output_that_cannot_be_read_back_is_told_and_rendered_again(tmp_path: Path, disk: Disk) -> None:
    place = OnDisk(tmp_path, disk.place)
    try:
        place.start()
        talker = place.talk()
        (path,) = talker.frame("begin", 1, OUTPUT)
        path.write_bytes(b"pixels" * 1000)
        disk.falls_sick("read")
        assert talker.publish(1, OUTPUT)["ok"]
        committed, ((url, kind, message),) = talker.drain()
        assert (committed, url, kind) == ([], f"{place.bucket}/renders/a.0001.dpx", "CacheError")
        assert "Input/output error" in message
        assert place.records() == []

        disk.recovers()
        again = place.talk(attempt=2)
        (path,) = again.frame("begin", 1, OUTPUT)
        path.write_bytes(b"pixels" * 1000)
        assert again.publish(1, OUTPUT)["ok"]
        assert again.drain() == ([["Write1", "main", 1]], [])
        assert place.get("renders/a.0001.dpx") == b"pixels" * 1000
    finally:
        place.close()


class OnDisk(Place):
    """A place whose cache lies on another disk than its bucket."""

    def __init__(self, root: Path, disk: Path) -> None:
        self._disk = disk
        super().__init__(root)

    @property
    def cache_root(self) -> Path:
        return self._disk / "cache"
