"""What has gone wrong elsewhere must not go wrong here: the failures that public projects report, row by row.

`ROWS` says which test meets which of them; those that nothing else meets are below.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from agent_kit import RENDERS, SHOW, Place, wait_until

from jit_render.cache import transfer
from jit_render.model.errors import DiskFull, GenerationGone
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import CacheSettings, StoreSettings
from jit_render.store.gcs import GcsStore
from jit_render.testing.cache_house import CacheHouse, run
from jit_render.testing.fake_clock import HurriedClock
from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.faults import Fault
from jit_render.testing.gated_store import GatedStore

TESTS = Path(__file__).resolve().parents[1]
ROWS = {
    "a reader sees a partial file": "faults/test_cache_kill.py::"
    "test_a_kill_at_any_moment_leaves_nothing_partial_and_the_next_start_is_consistent",
    "a leftover after an error is trusted": "faults/test_fault_matrix.py::"
    "test_every_fault_ends_in_the_right_bytes_or_the_right_error",
    "eviction takes what a run still needs": "unit/test_cache_room.py::test_what_is_held_stays_however_old",
    "readers thrash on a full disk": "faults/test_known_failures.py::test_readers_on_a_full_disk_do_not_thrash",
    "one object fetched N times at once": "faults/test_agent_faults.py::"
    "test_two_hundred_clients_that_ask_for_one_object_at_once_cause_one_download",
    "cache lost or orphaned on restart": "unit/test_cache_flow.py::"
    "test_fetches_once_and_finds_it_again_after_a_restart",
    "evicting the cached copy loses a pending upload": "faults/test_known_failures.py::"
    "test_evicting_everything_loses_no_output_that_waits_for_its_upload",
    "a slow disk disabled for good": "faults/test_cache_disk.py::"
    "test_a_failing_disk_is_left_alone_for_a_while_and_then_tried_again",
    "a full disk prevents the start": "faults/test_cache_disk.py::"
    "test_a_full_disk_does_not_prevent_the_start_and_most_is_kept",
    "many small files called 'stalled'": "faults/test_known_failures.py::test_many_small_objects_are_not_a_stall",
    "'already uploaded' outlives the object": "unit/test_ingest.py::"
    "test_what_is_remembered_says_nothing_of_the_bucket",
    "fork after the client started hangs": "faults/test_known_failures.py::"
    "test_a_process_that_forks_after_its_store_was_used_reads_on",
}


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_its_test(row: str) -> None:
    file, name = ROWS[row].split("::")
    tree = ast.parse((TESTS / file).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.fixture
def gcs():
    with FakeGcs(buckets=["studio"]) as server:
        yield server


def test_readers_on_a_full_disk_do_not_thrash(tmp_path: Path) -> None:
    """Two frames that need each other's room: one waits for the other's end, nothing is fetched twice."""
    store = GatedStore()
    house = CacheHouse(tmp_path / "cache", store, limit=1000)
    one = [store.put(f"gs://show/one.{number}", b"1" * 300) for number in range(3)]
    two = [store.put(f"gs://show/two.{number}", b"2" * 300) for number in range(3)]

    async def body() -> None:
        async with house.cache() as cache:

            async def frame(holder: str, infos: list) -> None:
                for _ in range(3):
                    for info in infos:
                        await cache.acquire(holder, info)
                cache.release(holder)

            await frame("one", one[:2])
            await asyncio.gather(frame("one", one), frame("two", two))

    run(body())
    assert max(store.downloads.values()) <= 2


def test_a_full_disk_is_said_once_and_not_hammered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = GatedStore()
    house = CacheHouse(tmp_path / "cache", store)
    infos = [store.put(f"gs://show/{number}", b"x" * 1000) for number in range(5)]

    def full(self: object, piece: object, position: int) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(transfer.Transfer, "_write", full)

    async def body() -> None:
        async with house.cache() as cache:
            for info in infos:
                with pytest.raises(DiskFull):
                    await cache.acquire("s", info)
            assert cache.stats().disk_errors == 0

    run(body())
    assert set(store.downloads.values()) == {2}  # once, and once more after making room


def test_evicting_everything_loses_no_output_that_waits_for_its_upload(tmp_path: Path, gcs: FakeGcs) -> None:
    gcs.faults.set([Fault(kind="write", name="renders/*", times=-1)])
    place = Place(
        tmp_path, bucket="gs://studio", endpoint=gcs.url, deadline=0.5, cache=CacheSettings(limit=3000, free_space=0)
    )
    try:
        place.start()
        talker = place.talk()
        (path,) = talker.frame("begin", 1, [["main", f"{RENDERS}/a.0001.dpx"]])
        path.write_bytes(b"p" * 2500)
        talker.publish(1, [["main", f"{RENDERS}/a.0001.dpx"]])
        talker.frame("end", 1, [])
        for number in range(6):  # each pushes out the one before
            gcs.put("studio", f"show/{number}", b"x" * 2500)
            talker.frame("begin", number, [], write="Other")
            assert talker.ask("resolve", name=f"{SHOW}/{number}", write="Other")["answer"]["state"] == "local"
        assert talker.ask("stats")["agent"]["cache"]["evictions"] >= 5
        assert path.read_bytes() == b"p" * 2500

        gcs.faults.set([])
        assert talker.drain() == ([["Write1", "main", 1]], [])
        assert gcs.get("studio", "renders/a.0001.dpx") == b"p" * 2500
    finally:
        place.close()


def test_many_small_objects_are_not_a_stall(tmp_path: Path, gcs: FakeGcs) -> None:
    """Each is slow and none is near its deadline; all together take many times that."""
    clock = HurriedClock()
    store = GcsStore(StoreSettings(endpoint=gcs.url, timeout=5.0, deadline=1.0), clock)
    infos = []
    for number in range(60):
        gcs.put("studio", f"small/{number}", b"%d" % number)
        infos.append(store.stat(ObjectUrl.parse(f"gs://studio/small/{number}")))
    gcs.faults.set([Fault(kind="get", action="slow", seconds=0.05, times=-1)])
    house = CacheHouse(tmp_path / "cache", store, fetchers=2)

    async def body() -> None:
        async with house.cache() as cache:
            await asyncio.gather(*(cache.acquire("s", info) for info in infos))

    run(body())
    store.close()
    assert gcs.count("get") == len(infos)
    assert clock.slept == []


def test_a_process_that_forks_after_its_store_was_used_reads_on(gcs: FakeGcs) -> None:
    contents = {"parent": b"p" * 9000, "child": b"c" * 5000}
    for name, data in contents.items():
        gcs.put("studio", name, data)
    clock = HurriedClock()
    store = GcsStore(StoreSettings(endpoint=gcs.url, timeout=2.0, deadline=5.0), clock)

    def reads_right(name: str) -> bool:
        url = ObjectUrl.parse(f"gs://studio/{name}")
        right = all(store.read(url)[0] == contents[name] for _ in range(20))
        written = store.write(url, contents[name], if_generation=store.stat(url).id.generation)
        return right and written.size_bytes == len(contents[name]) and clock.slept == []

    assert reads_right("parent")
    child = os.fork()
    if not child:  # the kept connections are the parent's: two processes on one would read each other's answers
        signal.alarm(20)
        good = False
        with contextlib.suppress(Exception):
            good = reads_right("child")
        os._exit(0 if good else 1)
    assert reads_right("parent")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store.close()


@pytest.mark.parametrize("keeps_versions", [True, False])
def test_an_object_overwritten_while_its_ranges_come_is_never_mixed(
    tmp_path: Path, gcs: FakeGcs, monkeypatch: pytest.MonkeyPatch, *, keeps_versions: bool
) -> None:
    monkeypatch.setattr("jit_render.cache.carrier.PARTS_FROM_BYTES", 1000)
    monkeypatch.setattr(transfer, "PART_BYTES", 50_000)
    gcs.create_bucket("show", versioning=keeps_versions)
    old, new = b"o" * 400_000, b"n" * 400_000
    gcs.put("show", "plate", old)
    store = GcsStore(StoreSettings(endpoint=gcs.url, timeout=5.0, deadline=5.0), HurriedClock())
    info = store.stat(ObjectUrl.parse("gs://show/plate"))
    gcs.faults.set([Fault(kind="get", after=3, action="slow", seconds=0.2, times=-1)])

    def overwrite() -> None:
        wait_until(lambda: gcs.count("get") > 3, "the ranges to come")
        gcs.put("show", "plate", new)

    writer = threading.Thread(target=overwrite)
    house = CacheHouse(tmp_path / "cache", store, fetchers=4)

    async def body() -> bytes:
        async with house.cache() as cache:
            return (await cache.acquire("s", info)).path.read_bytes()

    writer.start()
    try:
        if keeps_versions:
            assert run(body()) == old
        else:
            with pytest.raises(GenerationGone, match="plate"):
                run(body())
            assert house.objects() == []
    finally:
        writer.join()
        store.close()
