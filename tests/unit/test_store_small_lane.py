"""The lane for small objects: what it takes, and that it steps aside for everything else, which then ends right."""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
import itertools
import math
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import google.oauth2.credentials
import pytest

from jit_render.cache import Priority, small
from jit_render.cache.transfer import Transfer
from jit_render.model.errors import ChecksumMismatch, GenerationGone, StoreError
from jit_render.model.identity import ObjectId, ObjectInfo, ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.store import gcs_small, open_store
from jit_render.store.crc import crc32c_of_bytes
from jit_render.store.gcs import GcsStore
from jit_render.store.gcs_small import GcsSmallLane
from jit_render.testing.cache_house import CacheHouse, run, turns, until
from jit_render.testing.fake_clock import FakeClock
from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.faults import Action, Fault
from jit_render.testing.store_suite import PATTERN

DATA = PATTERN[: 64 * 1024]


@pytest.fixture
def gcs() -> Iterator[FakeGcs]:
    with FakeGcs(buckets=["show"]) as server:
        yield server


@contextmanager
def opened(url: str, credentials: object = None) -> Iterator[GcsStore]:
    store = GcsStore(StoreSettings(endpoint=url, timeout=0.5, deadline=5), FakeClock(), credentials)
    yield store
    store.close()


def put(gcs: FakeGcs, name: str = "a.exr", data: bytes = DATA) -> ObjectInfo:
    version = gcs.put("show", name, data)
    url = ObjectUrl("gs://show", name)
    return ObjectInfo(ObjectId(url, str(version.generation)), len(data), crc32c_of_bytes(data))


def lane_of(store: GcsStore) -> GcsSmallLane:
    lane = store.small_lane("gs://show")
    assert isinstance(lane, GcsSmallLane)
    return lane


async def fetched(lane: GcsSmallLane, info: ObjectInfo) -> bytes | None:
    """The bytes; None when the lane stepped aside."""
    pieces: list[bytes] = []
    came = await lane.fetch(info, lambda piece: pieces.append(bytes(piece)))
    assert len(pieces) == came
    return pieces[0] if came else None


def connections(gcs: FakeGcs) -> int:
    return len(gcs._server.open_sockets)


def cached(house: CacheHouse, info: ObjectInfo) -> bytes:
    async def ask() -> bytes:
        async with house.cache() as cache:
            got = (await cache.acquire("s", info)).path.read_bytes()
            assert list((house.root / "incoming").iterdir()) == []
            return got

    return run(ask())


def test_many_objects_come_on_one_connection(gcs: FakeGcs) -> None:
    sizes = (1, 5000, len(DATA), gcs_small.LARGEST_BYTES)
    infos = [put(gcs, f"p é.{size}.exr", PATTERN[:size]) for size in sizes]

    async def body() -> None:
        lane = lane_of(store)
        for info in infos * 2:
            assert await fetched(lane, info) == PATTERN[: info.size_bytes]
        assert connections(gcs) == 1
        lane.close()

    with opened(gcs.url) as store:
        run(body())


def test_what_it_does_not_take_is_not_asked_for(gcs: FakeGcs) -> None:
    info = put(gcs)
    large = put(gcs, "large", PATTERN[: gcs_small.LARGEST_BYTES + 1])
    odd = replace(info, id=ObjectId(info.url, "1-x"))

    async def body() -> None:
        for other in (large, odd, replace(info, size_bytes=0), replace(info, crc32c=None)):
            assert await fetched(lane_of(store), other) is None

    with opened(gcs.url) as store:
        run(body())
    assert gcs.count("get") == 0


@pytest.mark.parametrize("action", ["reset", "short", "stall", "corrupt"])
@pytest.mark.parametrize("at", ["first", "middle", "last"])
def test_a_broken_answer_is_fetched_again_by_a_thread(gcs: FakeGcs, tmp_path: Path, action: Action, at: str) -> None:
    info = put(gcs)
    gcs.faults.set([Fault(kind="get", action=action, at=at)])
    with opened(gcs.url) as store:
        assert cached(CacheHouse(tmp_path, store), info) == DATA
    assert gcs.count("get") == 2


@pytest.mark.parametrize("status", [302, 401, 403, 408, 412, 429, 500, 503])
def test_any_other_status_makes_it_step_aside(gcs: FakeGcs, status: int) -> None:
    info = put(gcs)
    gcs.faults.set([Fault(kind="get", status=status)])

    async def body() -> None:
        lane = lane_of(store)
        assert await fetched(lane, info) is None
        assert await fetched(lane, info) == (None if status in {408, 429, 500, 503} else DATA)  # trouble: it rests
        lane.close()

    with opened(gcs.url) as store:
        run(body())


def test_another_generation_or_length_is_refused(gcs: FakeGcs, tmp_path: Path) -> None:
    old, live = put(gcs), put(gcs, data=DATA[::-1])
    longer = replace(live, size_bytes=live.size_bytes + 1)
    with opened(gcs.url) as store:
        house = CacheHouse(tmp_path, store)
        with pytest.raises(GenerationGone):
            cached(house, old)
        with pytest.raises(StoreError):
            cached(house, longer)
        assert cached(house, live) == DATA[::-1]


def test_a_kept_connection_that_the_server_closed_is_replaced(gcs: FakeGcs) -> None:
    info = put(gcs)

    async def body() -> None:
        lane = lane_of(store)
        assert await fetched(lane, info) == DATA
        for connection in list(gcs._server.open_sockets):
            connection.shutdown(socket.SHUT_RDWR)
        assert await fetched(lane, info) in {None, DATA}  # noticed when asked, or before
        await until(lambda: connections(gcs) <= 1)
        assert await fetched(lane, info) == DATA
        lane.close()

    with opened(gcs.url) as store:
        run(body())


def test_a_refused_connection_is_not_tried_again_at_once(tmp_path: Path) -> None:
    with FakeGcs(buckets=["show"]) as gone:
        info = put(gone)

    async def body() -> None:
        lane = lane_of(store)
        assert lane.takes(info)
        assert await fetched(lane, info) is None
        assert not lane.takes(info)

    with opened(gone.url) as store:
        run(body())


def credentials(token: str, seconds: float) -> google.oauth2.credentials.Credentials:
    """They give out ``token`` for so long, and ``new`` after it."""

    def refreshed(request: object, scopes: object) -> tuple[str, dt.datetime]:
        return "new", dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(hours=1)

    expiry = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(seconds=seconds)
    return google.oauth2.credentials.Credentials(token, expiry=expiry, refresh_handler=refreshed)


@pytest.mark.parametrize(("token", "seconds"), [("old", 0), ("old", 3600)])
def test_a_token_that_expired_or_is_refused_is_renewed_elsewhere(
    gcs: FakeGcs, tmp_path: Path, token: str, seconds: float
) -> None:
    gcs.tokens = {"new"}
    info, other = put(gcs), put(gcs, "b.exr")

    async def body() -> None:
        async with CacheHouse(tmp_path, store).cache() as cache:
            assert (await cache.acquire("s", info)).path.read_bytes() == DATA
            gcs.reset_counts()
            assert (await cache.acquire("s", other)).path.read_bytes() == DATA

    with opened(gcs.url, credentials(token, seconds)) as store:
        run(body())
    assert gcs.count("get") == 1


def test_while_somebody_fetches_a_token_it_steps_aside(gcs: FakeGcs) -> None:
    info = put(gcs)

    async def body() -> None:
        with store._access._lock:
            assert await fetched(lane_of(store), info) is None

    with opened(gcs.url, credentials("new", 3600)) as store:
        run(body())
    assert gcs.count("get") == 0


def test_cancelled_in_the_middle_it_leaves_nothing(gcs: FakeGcs) -> None:
    info = put(gcs)
    gcs.faults.set([Fault(kind="get", action="stall", at="middle")])

    async def body() -> None:
        lane = lane_of(store)
        asked = asyncio.ensure_future(fetched(lane, info))
        await until(lambda: gcs.count("get") == 1)
        await turns()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert lane._idle == []
        assert await fetched(lane, info) == DATA
        lane.close()

    with opened(gcs.url) as store:
        run(body())


def test_two_hundred_at_once_use_no_more_connections_than_the_cache_has_shares(
    gcs: FakeGcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small, "LONGEST_HOLD_SECONDS", math.inf)  # while it rests, its idle ones stand beside others
    infos = [put(gcs, f"p.{number}.exr", DATA[number:]) for number in range(200)]
    most = 0

    async def body() -> None:
        nonlocal most
        async with CacheHouse(tmp_path, store, fetchers=3).cache() as cache:
            waiting = [asyncio.ensure_future(cache.acquire("s", info)) for info in infos * 2]
            while not all(one.done() for one in waiting):
                most = max(most, connections(gcs))
                await asyncio.sleep(0)
            got = await asyncio.gather(*waiting)
        for number, one in enumerate(got[:200]):
            assert one.path.read_bytes() == DATA[number:]
        assert len(lane_of(store)._idle) == 0, "closed with the cache"

    with opened(gcs.url) as store:
        run(body())
    assert gcs.count("get") == 200
    assert 8 < most <= 24


def test_on_a_slow_line_many_at_once_come_slowly_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcs_small, "PATIENCE_SECONDS", 0.25)  # all together take four times as long
    with FakeGcs(buckets=["show"], bandwidth=2e6) as gcs:
        infos = [put(gcs, f"p.{number}.exr", PATTERN[: 100_000 + number]) for number in range(20)]

        async def body() -> None:
            async with CacheHouse(tmp_path, store, fetchers=3).cache() as cache:
                await asyncio.gather(*(cache.acquire("s", info) for info in infos))

        store = GcsStore(StoreSettings(endpoint=gcs.url, timeout=30, deadline=60))
        run(body())
        store.close()
        assert gcs.count("get") == 20


def test_small_objects_share_a_slot_and_leave_the_large_ones_theirs(gcs: FakeGcs, tmp_path: Path) -> None:
    """A slot is eight small objects, or one that is not; prefetches leave one slot, of either kind."""
    small_ones = [put(gcs, f"small.{number}.exr", b"%d" % number) for number in range(30)]
    large = put(gcs, "large.exr", PATTERN[: gcs_small.LARGEST_BYTES + 1])
    gcs.faults.set([Fault(kind="get", action="stall", times=100)])

    async def body() -> None:
        async with CacheHouse(tmp_path, store, fetchers=3).cache() as cache:
            waiting = [asyncio.ensure_future(cache.acquire("", info, Priority.PREFETCH)) for info in small_ones]
            await turns()
            assert cache.stats().fetches_running == 16
            waiting += [asyncio.ensure_future(cache.acquire("s", info)) for info in (large, small_ones[29])]
            await turns()
            assert cache.stats().fetches_running == 17, "the large one; the small one has no room behind it"
            cache.check()
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    with opened(gcs.url) as store:
        run(body())


def test_what_the_disk_refuses_is_tried_by_a_thread(
    gcs: FakeGcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = put(gcs)
    at_once: list[int] = []

    def refuse(self: Transfer, data: memoryview) -> None:
        at_once.append(len(data))
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(Transfer, "at_once", refuse)
    with opened(gcs.url) as store:
        assert cached(CacheHouse(tmp_path, store), info) == DATA
    assert at_once == [len(DATA)]


def test_a_disk_that_makes_its_writers_wait_makes_the_lane_rest(
    gcs: FakeGcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infos = [put(gcs, f"p.{number}.exr") for number in range(2)]
    threads: list[threading.Thread] = []
    original: Callable[[Transfer], None] = Transfer.publish

    def noted(self: Transfer) -> None:
        threads.append(threading.current_thread())
        original(self)

    monkeypatch.setattr(Transfer, "publish", noted)
    monkeypatch.setattr(small, "LONGEST_HOLD_SECONDS", -1.0)
    monkeypatch.setattr(small, "REST_TIMES", 10**9)
    monkeypatch.setattr(small, "_waits", itertools.count().__next__)

    async def body() -> None:
        async with CacheHouse(tmp_path, store).cache() as cache:
            for info in infos:
                await cache.acquire("s", info)

    with opened(gcs.url) as store:
        run(body())
    assert [thread is threading.main_thread() for thread in threads] == [True, False]


def test_wrong_bytes_are_never_published(gcs: FakeGcs, tmp_path: Path) -> None:
    info = put(gcs)
    gcs.faults.set([Fault(kind="get", action="corrupt", times=-1)])
    with opened(gcs.url) as store:
        house = CacheHouse(tmp_path, store)
        with pytest.raises(ChecksumMismatch):
            cached(house, info)
    assert house.objects() == []


def test_one_store_for_all_schemes_has_a_lane_once_its_backend_is_open(gcs: FakeGcs) -> None:
    info = put(gcs)
    store = open_store(StoreSettings(endpoint=gcs.url))
    assert store.small_lane("gs://show") is None
    store.stat(info.url)
    assert store.small_lane("gs://show") is not None
    assert store.small_lane("file://") is None
    store.close()


def test_behind_a_proxy_there_is_no_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened("https://127.0.0.1:9") as store:
        assert store.small_lane("gs://show") is not None
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with opened("https://storage.example") as store:
        assert store.small_lane("gs://show") is None
