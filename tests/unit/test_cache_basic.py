"""The cache's everyday life: fetch once, find again, hold, let go."""

from __future__ import annotations

import asyncio
import os

from jit_render.cache import CacheLimits, NodeCache
from jit_render.model.clock import SystemClock
from jit_render.testing.gated_store import GatedStore

MIB = 1 << 20


def opened(tmp_path, store, limit=100 * MIB, **more):
    return NodeCache.open(tmp_path / "cache", CacheLimits(limit, 0), store, SystemClock(), **more)


def test_fetches_once_and_finds_it_again(tmp_path):
    store = GatedStore()
    info = store.put("gs://show/a/plate.1001.exr", os.urandom(300_000))

    async def run():
        cache = opened(tmp_path, store)
        await cache.start()
        first = await cache.acquire("s1", info)
        again = await cache.acquire("s1", info)
        cached = cache.lease_cached("s2", info.id)
        cache.check()
        stats = cache.stats()
        cache.release("s1")
        cache.release("s2")
        await cache.close()
        return first, again, cached, stats

    first, again, cached, stats = asyncio.run(run())
    assert first.path.read_bytes() == store.read(info.url)[0]
    assert first.path.name == "plate.1001.exr"
    assert first.path.stat().st_mode & 0o777 == 0o444
    assert (first.hit, first.fetched_bytes) == (False, 300_000)
    assert (again.hit, again.fetched_bytes, again.path) == (True, 0, first.path)
    assert cached == first.path
    assert store.downloads[info.id] == 1
    assert (stats.hits, stats.misses, stats.entries, stats.used_bytes) == (2, 1, 1, 300_000)

    async def restarted():
        cache = opened(tmp_path, store)
        path = cache.lease_cached("s1", info.id)
        await cache.close()
        return path

    assert asyncio.run(restarted()) == first.path
