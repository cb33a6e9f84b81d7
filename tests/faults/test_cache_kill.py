"""The cache's process is killed at any moment; what it leaves is never wrong, and the next start puts it right."""

from __future__ import annotations

import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jit_render.cache.layout import this_boot
from jit_render.cache.transfer import is_intact
from jit_render.model.identity import ObjectUrl
from jit_render.store.crc import crc32c_of_bytes
from jit_render.store.local import LocalStore
from jit_render.testing.cache_house import CacheHouse, run

OBJECTS = 40
SIZE = 200_000
LIMIT = 15 * SIZE

PROGRAM = """
import asyncio, pathlib, random, sys
from jit_render.cache import CacheLimits, NodeCache
from jit_render.model.clock import SystemClock
from jit_render.model.identity import ObjectUrl
from jit_render.store.local import LocalStore

root, bucket, limit, seed = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

async def main():
    dice = random.Random(seed)
    store = LocalStore()
    cache = NodeCache.open(root, CacheLimits(limit, 0, 4), store, SystemClock())
    await cache.start()
    print("ready", flush=True)
    names = sorted(path.name for path in pathlib.Path(bucket).glob("*.exr"))
    infos = [store.stat(ObjectUrl.parse(f"file://{bucket}/{name}")) for name in names]

    async def frame(number):
        while True:
            holder = f"frame{number}"
            for info in dice.sample(infos, 3):
                got = await cache.acquire(holder, info)
                cache.view.link("job", info.url, got.path)
                assert got.path.read_bytes() == pathlib.Path(bucket, info.url.name).read_bytes()
            cache.release(holder)
            await cache._index.flush()

    await asyncio.gather(*(frame(number) for number in range(4)))

asyncio.run(main())
"""


@pytest.fixture
def bucket(tmp_path):
    folder = tmp_path / "bucket"
    folder.mkdir()
    for number in range(OBJECTS):
        (folder / f"plate.{number:04d}.exr").write_bytes(random.Random(number).randbytes(SIZE))
    return folder


def is_file(path):
    return Path(path).is_file()


def kill_after(root, bucket, seconds, seed):
    command = [sys.executable, "-c", PROGRAM, str(root), str(bucket), str(LIMIT), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as owner:
        ready, _, _ = select.select([owner.stdout], [], [], 20)
        assert ready
        assert owner.stdout.readline() == b"ready\n", owner.stderr.read().decode()
        time.sleep(seconds)  # the moment of the kill is the test's input, not a wait for anything
        owner.send_signal(signal.SIGKILL)
        owner.wait()


@pytest.mark.parametrize("seed", range(8))
def test_a_kill_at_any_moment_leaves_nothing_partial_and_the_next_start_is_consistent(tmp_path, bucket, seed):
    store = LocalStore()
    house = CacheHouse(tmp_path / "cache", store, limit=LIMIT)
    house.boot = this_boot()
    dice = random.Random(seed)
    for _ in range(2):
        kill_after(house.root, bucket, dice.uniform(0.0, 0.25), seed)

    whole = {crc32c_of_bytes(path.read_bytes()) for path in bucket.glob("*.exr")}
    for path in house.objects():
        assert crc32c_of_bytes(path.read_bytes()) in whole

    async def next_start():
        async with house.cache(start=True) as cache:
            await cache._reconciling
            await cache._space.removed()
            cache.check()
            rows = list(cache._index.oldest(lambda digest: False))
            for entry in rows:
                path = cache._layout.object_path(entry.digest, entry.name)
                assert is_intact(path, entry.size_bytes, entry.crc32c)
            assert len(rows) == len(house.objects())
            assert not list(house.root.joinpath("incoming").iterdir())
            assert [target for _, target in cache.view.links() if not is_file(target)] == []
            for name in ("plate.0000.exr", "plate.0001.exr"):
                info = store.stat(ObjectUrl.parse(f"file://{bucket}/{name}"))
                assert (await cache.acquire("s", info)).path.read_bytes() == (bucket / name).read_bytes()

    run(next_start())
