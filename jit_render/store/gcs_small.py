"""Small objects out of Cloud Storage on an asyncio loop, as long as everything goes well.

A small object costs its client more than its bytes do: http.client parses for a quarter of a millisecond, and threads
hand work to each other and fight for the interpreter for as long again. Here the loop's own thread sends a request on
a kept connection, takes head and body into that connection's one buffer and hands the body on from there.

This lane knows one answer: ``HTTP/1.1 200``, the generation and the length that were asked for, as stored. On anything
else (another status, a coding, an early end, silence, a refused connection, a token to be fetched first) it drops the
connection and *steps aside*: `fetch` says False, and the caller goes by `Store.download`, which owns what goes wrong.
After what may be the server's or the network's trouble the lane rests, so that trouble is not asked for twice.

INVARIANT: a connection is in `_idle` or carries one request, never both; one that left either otherwise is closed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final
from urllib.parse import SplitResult

from jit_render.model.identity import ObjectInfo
from jit_render.store.gcs_access import Access
from jit_render.store.gcs_data import media_target
from jit_render.store.gcs_lanes import USER_AGENT, Lanes
from jit_render.store.port import Sink

LARGEST_BYTES = 256 * 1024
"""Checked and written in a quarter of a millisecond, which the loop can spare; beyond it threads are as cheap."""
PATIENCE_SECONDS = 5.0
REST_SECONDS = 10.0
_HEAD_BYTES = 16 * 1024
_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_TROUBLE = (b"408", b"429", b"5")
_UNKNOWN = frozenset({b"transfer-encoding", b"content-encoding", b"content-range"})
_log = logging.getLogger(__name__)


class GcsSmallLane:
    """Kept connections to one endpoint. Used on one loop; on another one it begins anew."""

    def __init__(self, access: Access, lanes: Lanes, timeout_seconds: float) -> None:
        self._access = access
        self._lanes = lanes
        self._patience_seconds = min(PATIENCE_SECONDS, timeout_seconds)
        self._timeout_seconds = timeout_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle: list[_Connection] = []
        self._rest_until = 0.0

    def takes(self, info: ObjectInfo) -> bool:
        """Whether it is worth a try now. Never waits."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._idle, self._rest_until = loop, [], 0.0
        return (
            0 < info.size_bytes <= LARGEST_BYTES
            and info.crc32c is not None
            and info.id.generation.isdecimal()
            and loop.time() >= self._rest_until
        )

    async def fetch(self, info: ObjectInfo, sink: Sink) -> bool:
        """As the port says."""
        if not self.takes(info):
            return False
        rights = self._access.headers_at_hand()
        if rights is None:
            return False
        loop = asyncio.get_running_loop()
        connection = self._idle.pop() if self._idle else await self._connected(loop)
        if connection is None:
            return False
        try:
            answer = connection.ask(self._request(info, rights), info, sink)
            connection.watch(self._patience_seconds, loop.time() + self._timeout_seconds)
            return await answer
        finally:
            connection.unwatch()
            if connection.is_troubled:
                self._rest_until = loop.time() + REST_SECONDS
            if connection.is_reusable and loop is self._loop:
                self._idle.append(connection)
            else:
                connection.drop()

    def close(self) -> None:
        """Drop the idle connections; those at work are dropped by whoever waits for them."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.drop()

    async def _connected(self, loop: asyncio.AbstractEventLoop) -> _Connection | None:
        endpoint, tls = self._access.endpoint, self._lanes.tls
        port = endpoint.port or (443 if tls else 80)
        try:
            async with asyncio.timeout(self._patience_seconds):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self._forget), endpoint.hostname or "", port, ssl=tls
                )
        except (OSError, ValueError) as error:  # ValueError: a host name that no name server can be asked for
            _log.debug("small objects go another way: %s", error)
            self._rest_until = loop.time() + REST_SECONDS
            return None
        return connection

    def _forget(self, connection: _Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    def _request(self, info: ObjectInfo, rights: dict[str, str]) -> bytes:
        lines = [
            f"GET {media_target(info)} HTTP/1.1",
            f"Host: {_host(self._access.endpoint)}",
            f"User-Agent: {USER_AGENT}",
            "Accept-Encoding: gzip",
            *(f"{name}: {value}" for name, value in rights.items()),
        ]
        return "\r\n".join(lines).encode("latin-1") + _END


class _Connection(asyncio.BufferedProtocol):
    """One connection: a request at a time, its answer in one buffer."""

    def __init__(self, forget: Callable[[_Connection], None]) -> None:
        self._forget: Final = forget
        self._buffer: Final = bytearray(_HEAD_BYTES + LARGEST_BYTES + 1)  # one more, to see what should not come
        self._view: Final = memoryview(self._buffer)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bool] | None = None
        self._info: ObjectInfo
        self._sink: Sink
        self._timer: asyncio.TimerHandle | None = None
        self._filled = 0
        self._body = 0
        self._is_kept = True
        self.is_reusable = False
        """The last answer was read to its end, and the server keeps the connection."""
        self.is_troubled = False
        """It failed in a way that others may meet, too."""

    def ask(self, request: bytes, info: ObjectInfo, sink: Sink) -> asyncio.Future[bool]:
        """Send `request` for `info`; done when the answer was handed to `sink`, or is not to be had here."""
        self._info, self._sink = info, sink
        self._filled = self._body = 0
        self.is_reusable = False
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            self._answer.set_result(False)
        else:
            self._transport.write(request)
        return self._answer

    def watch(self, patience_seconds: float, until: float) -> None:
        """Give up after so long without a byte, or at `until`: many at once on a slow line all come, but slowly."""
        self._watch(patience_seconds, until, self._filled)

    def unwatch(self) -> None:
        """It is answered, or nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self, patience_seconds: float, until: float, filled: int) -> None:
        loop = asyncio.get_running_loop()

        def look() -> None:
            if self._filled == filled or loop.time() >= until:
                self.is_troubled = True
                self._step_aside()
            else:
                self._watch(patience_seconds, until, self._filled)

        self._timer = loop.call_at(min(loop.time() + patience_seconds, until), look)

    def drop(self) -> None:
        """Close at once."""
        self.is_reusable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._forget(self)
        self._step_aside()

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        answer = self._answer
        if answer is None or answer.done():
            self.drop()  # nobody asked
            return
        before, self._filled = self._filled, self._filled + nbytes
        if not self._body and not self._has_head(before):
            return
        missing = self._body + self._info.size_bytes - self._filled
        if missing < 0:
            self._step_aside()
        elif missing == 0:
            self._finish(answer)

    def _has_head(self, before: int) -> bool:
        """Whether the head is whole and one that we know."""
        end = self._buffer.find(_END, max(0, before - len(_END)), self._filled)
        if end < 0:
            if self._filled > _HEAD_BYTES:
                self._step_aside()
            return False
        status, headers = _read_head(bytes(self._view[:end]))
        if status is None or not _is_known(status, headers, self._info):
            self.is_troubled = status is not None and status.startswith(_TROUBLE)
            self._step_aside()
            return False
        self._body = end + len(_END)
        self._is_kept = headers.get(b"connection", b"").strip() != b"close"
        return True

    def _finish(self, answer: asyncio.Future[bool]) -> None:
        body = self._view[self._body : self._filled]
        self.is_reusable = self._is_kept
        try:
            self._sink(body)
        except Exception as error:  # the caller's, and nothing that the connection did
            answer.set_exception(error)
        else:
            answer.set_result(True)

    def _step_aside(self) -> None:
        self.is_reusable = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(False)


def _read_head(head: bytes) -> tuple[bytes | None, dict[bytes, bytes]]:
    """The status of HTTP/1.1 and the headers, all in lower case; None for what is not such an answer."""
    first, *lines = head.lower().split(b"\r\n")
    try:
        headers = dict([line.split(b":", 1) for line in lines])
    except ValueError:
        return None, {}
    is_ours = first.startswith(b"http/1.1 ") and (len(headers) == len(lines) or head.lower().count(_LENGTH) == 1)
    return (first[9:12] if is_ours else None), headers


def _is_known(status: bytes, headers: dict[bytes, bytes], info: ObjectInfo) -> bool:
    return (
        status == b"200"
        and headers.get(b"content-length", b"").strip() == str(info.size_bytes).encode()
        and headers.get(b"x-goog-generation", b"").strip() == info.id.generation.encode()
        and _UNKNOWN.isdisjoint(headers)
    )


def _host(endpoint: SplitResult) -> str:
    return endpoint.netloc.rpartition("@")[2]
