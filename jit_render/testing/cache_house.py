"""A cache folder that tests open, crash and open again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from jit_render.cache import CacheLimits, NodeCache
from jit_render.model.clock import Clock
from jit_render.store.port import Store
from jit_render.testing.fake_clock import FakeClock

PATIENCE_SECONDS = 20.0
_Result = TypeVar("_Result")


class CacheHouse:
    """One cache root with its store; ``boot`` is what the machine's boot id seems to be."""

    def __init__(self, root: Path, store: Store, *, limit: int = 100 << 20, free: int = 0, fetchers: int = 4) -> None:
        self.root = root
        self.store = store
        self.limits = CacheLimits(limit, free, fetchers)
        self.clock: Clock = FakeClock()
        self.boot = "boot-1"

    def open(self) -> NodeCache:
        """The cache, without its background work."""
        return NodeCache.open(self.root, self.limits, self.store, self.clock, boot_id=self.boot)

    @asynccontextmanager
    async def cache(self, *, start: bool = False) -> AsyncIterator[NodeCache]:
        """The cache until the end of the block, where its invariants are checked."""
        cache = self.open()
        try:
            if start:
                await cache.start()
            yield cache
            cache.check()
        finally:
            await cache.close()

    def objects(self) -> list[Path]:
        """Files under their final names."""
        return sorted(path for path in (self.root / "objects").rglob("*") if path.is_file())


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until `condition` holds."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it never came true"
        await asyncio.sleep(0.001)


async def turns(count: int = 20) -> None:
    """Let everything that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


def run(body: Coroutine[Any, Any, _Result]) -> _Result:
    """Run to the end, and fail rather than hang."""

    async def bounded() -> _Result:
        return await asyncio.wait_for(body, 3 * PATIENCE_SECONDS)

    return asyncio.run(bounded())


def crash(cache: NodeCache) -> None:
    """Let go as a killed process does: nothing is flushed, nobody is told. For caches that were not started."""
    cache._index._connections.close()  # noqa: SLF001 -- only the kernel can do this from outside
    os.close(cache._lock)  # noqa: SLF001 -- the same
