"""The agent's life: it listens, it notices when nobody needs it, it leaves in order.

It leaves at SIGTERM or SIGINT once nobody is in the middle of a frame and the spool is empty, or when its grace
is over; at a second signal at once; and by itself when for a while no session has been open and nothing is in
the spool. Nothing of that is needed for safety: what is durable in the spool, the next agent brings to the bucket.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

from jit_render.agent.connection import Connection, Lines
from jit_render.agent.node import Node
from jit_render.model.errors import CacheUnusable
from nuke_callbacks import wire

LOG = logging.getLogger(__name__)
_BACKLOG = 1024


class Server:
    """One socket, its connections, and the reasons to end."""

    def __init__(self, node: Node, answered: Callable[[], None]) -> None:
        self.node = node
        self.answered = answered
        self._settings = node.settings
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._numbers = 0
        self._end = asyncio.Event()
        self._idle: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Serve until there is a reason to end. The cache's lock is ours, so the socket's path is too."""
        _take_all_descriptors()
        await self.node.start()
        self.node.uploads.on_change = self._look_around
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        listener = await self._listen()
        path = self._settings.socket
        inode = path.stat().st_ino
        stop_metrics = self._start_metrics()
        LOG.info("process %d serves %s at %s", os.getpid(), self._settings.root, path)
        self._look_around()
        await self._end.wait()
        listener.close()
        _unlink(path, inode)
        for task in list(self._connections.values()):
            task.cancel()
        await asyncio.gather(*self._connections.values(), return_exceptions=True)
        await asyncio.to_thread(stop_metrics)  # a scrape under way asks this loop
        LOG.info("process %d ends; entries left in the spool: %d", os.getpid(), self.node.uploads.spooled_entries)
        await self.node.close()

    async def _listen(self) -> asyncio.Server:
        path = self._settings.socket
        try:
            path.unlink(missing_ok=True)
            loop = asyncio.get_running_loop()
            listener = await loop.create_unix_server(lambda: Lines(self, wire.LINE_LIMIT), path, backlog=_BACKLOG)
            path.chmod(0o600)
        except OSError as error:
            raise CacheUnusable(
                f"the agent cannot listen at {path} ({error}); give a --socket in a folder this user can write."
            ) from error
        return listener

    def _start_metrics(self) -> Callable[[], None]:
        if not self._settings.metrics_port:
            return lambda: None
        from jit_render.agent.metrics import serve_metrics

        try:
            self.node.metrics_port, stop = serve_metrics(self.node, self._settings.metrics_port)
        except OSError as error:  # frames matter more than their counters
            LOG.warning("no metrics: port %d: %s", self._settings.metrics_port, error)
            return lambda: None
        LOG.info("metrics at http://127.0.0.1:%d/metrics", self.node.metrics_port)
        return stop

    def opened(self, connection: Connection) -> int:
        task = asyncio.current_task()
        assert task is not None
        self._connections[connection] = task
        self._numbers += 1
        self._look_around()
        return self._numbers

    def closed(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        self._look_around()

    def changed(self, connection: Connection) -> None:  # noqa: ARG002 - the port names who
        if self.node.is_draining:
            self._look_around()

    def _look_around(self) -> None:
        """Something began or ended: is there a reason to go, or to wait for one?"""
        self.node.sessions = len(self._connections)
        is_empty = not self.node.uploads.spooled_entries
        if self.node.is_draining and is_empty and not any(connection.is_busy for connection in self._connections):
            self._end.set()
        is_idle = is_empty and not self._connections
        if not is_idle and self._idle is not None:
            self._idle.cancel()
            self._idle = None
        elif is_idle and self._idle is None and self._settings.idle_seconds:
            self._idle = asyncio.get_running_loop().call_later(self._settings.idle_seconds, self._leave_idle)

    def _leave_idle(self) -> None:
        LOG.info("nobody came for %g seconds", self._settings.idle_seconds)
        self._end.set()

    def _on_signal(self) -> None:
        if self.node.is_draining:
            self._end.set()
            return
        LOG.info("a signal: draining for %g seconds at most", self._settings.grace_seconds)
        self.node.drain()
        asyncio.get_running_loop().call_later(self._settings.grace_seconds, self._end.set)
        self._look_around()


def _take_all_descriptors() -> None:
    """A client is one descriptor, a download two; the usual soft limit of 1,024 is meant for programs with select()."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _unlink(path: Path, inode: int) -> None:
    """Remove our socket, not one that somebody has put in its place."""
    try:
        if path.stat().st_ino == inode:
            path.unlink()
    except FileNotFoundError:
        return
