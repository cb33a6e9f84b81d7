"""Everything one agent owns, put together, and what it says about itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from jit_render import __version__
from jit_render.agent.ahead import Prefetcher
from jit_render.agent.attempts import Ledger
from jit_render.agent.jobs import Jobs
from jit_render.agent.outputs import Outputs, finish_link
from jit_render.agent.resolve import Resolver
from jit_render.agent.settings import AgentSettings
from jit_render.agent.spool import Spool
from jit_render.agent.uploads import Uploads
from jit_render.cache import CacheLimits, NodeCache
from jit_render.model.clock import Clock
from jit_render.model.errors import HostilePath
from jit_render.store.port import Store

_METADATA_THREADS = 16  # stat, list, small reads: they wait, they do not work
VIEW_SECONDS = 7 * 86400.0  # a job that has not been rendered here for a week
_DISK_THREADS = 4  # looks at outputs, and takes them in


class Node:
    """The state of one agent. All of it belongs to the event loop's thread; bytes move in the executors."""

    def __init__(self, settings: AgentSettings, store: Store, clock: Clock) -> None:
        """Takes the cache's lock. Raises CacheLocked, CacheUnusable."""
        limits = CacheLimits(
            settings.cache.limit,
            settings.cache.free_space,
            settings.cache.fetchers,
            verify_rate=settings.cache.verify_rate,
        )
        self.settings = settings
        self.clock = clock
        self.store = store
        self.cache = NodeCache.open(settings.root, limits, store, clock)
        self._metadata = ThreadPoolExecutor(_METADATA_THREADS, "metadata")
        self._disk = ThreadPoolExecutor(_DISK_THREADS, "disk")
        self.ledger = Ledger()
        self.jobs = Jobs(store, self.cache.view, self._metadata)
        self.spool = Spool(settings.root / "spool")
        self.outputs = Outputs(self.spool, self._disk)
        self.uploads = Uploads(
            settings, store=store, cache=self.cache, spool=self.spool, ledger=self.ledger, clock=clock
        )
        self.resolver = Resolver(
            cache=self.cache,
            store=store,
            outputs=self.outputs,
            uploads=self.uploads,
            threads=self._metadata,
            clock=clock,
        )
        self.prefetcher = Prefetcher(
            self.cache,
            self.resolver.look,
            lookahead=settings.cache.lookahead,
            width=settings.cache.fetchers // 2,
        )
        self.sessions = 0
        self.metrics_port = 0
        self._started = clock.monotonic()
        self._draining = asyncio.Event()

    async def start(self) -> None:
        """Take up what an earlier agent left."""
        entries = self.spool.recover()
        for entry in entries:
            for file in entry.files:
                with contextlib.suppress(HostilePath):  # only a link in the view: the file goes to the bucket anyway
                    finish_link(self.cache.view.place(entry.job_id, file.url), file.path)
            self.uploads.add(entry)
        self._drop_old_views({entry.job_id for entry in entries})
        await self.cache.start(lambda: bool(self.uploads.spooled_entries))

    def _drop_old_views(self, needed: set[str]) -> None:
        """Links of jobs that nobody has named for long; a hello renews its job's folder (see `use_view`)."""
        with os.scandir(self.settings.root / "view") as folders:
            for folder in folders:
                old = self.cache.today - folder.stat(follow_symlinks=False).st_mtime > VIEW_SECONDS
                if old and folder.name not in needed and folder.is_dir(follow_symlinks=False):
                    self.cache.view.drop(folder.name)

    def use_view(self, job_id: str) -> str:
        """The folder of a job's view, which is in use from now."""
        home = self.cache.view.home(job_id)
        home.mkdir(exist_ok=True)
        now = self.clock.wall()
        os.utime(home, (now, now))
        return str(home)

    @property
    def is_draining(self) -> bool:
        return self._draining.is_set()

    def drain(self) -> None:
        """From now on: no prefetch, no waiting for room."""
        self.stop_prefetching()
        self._draining.set()

    def stop_prefetching(self) -> None:
        """From now on only what a frame waits for: the node is to go."""
        self.resolver.stop_prefetching()
        self.prefetcher.stop()

    async def wait_for_room(self) -> None:
        """Hold a publisher back while the spool is over its limit."""
        waits = [asyncio.ensure_future(self.uploads.wait_for_room()), asyncio.ensure_future(self._draining.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def close(self) -> None:
        """Give back the cache and the store. Uploads still under way go on in the next agent."""
        self.stop_prefetching()
        self.uploads.close()
        self._metadata.shutdown(wait=False, cancel_futures=True)
        self._disk.shutdown(wait=False, cancel_futures=True)
        await self.cache.close()
        self.store.close()

    def stats(self) -> dict[str, Any]:
        """Counters since this agent started; sizes in bytes."""
        return {
            "pid": os.getpid(),
            "version": __version__,
            "uptime_seconds": self.clock.monotonic() - self._started,
            "sessions": self.sessions,
            "draining": self.is_draining,
            "spool_entries": self.uploads.spooled_entries,
            "spool_bytes": self.uploads.spooled_bytes,
            "uploads_running": self.uploads.running,
            "uploaded_entries": self.uploads.uploaded_entries,
            "uploaded_bytes": self.uploads.uploaded_bytes,
            "upload_retries": self.uploads.retries,
            "failed_entries": self.uploads.failed_entries,
            "metrics_port": self.metrics_port,
            "cache": asdict(self.cache.stats()),
        }
