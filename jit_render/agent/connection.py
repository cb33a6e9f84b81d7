"""One connection: whose it is, its lines, its hello, and its end.

Whatever comes (silence, half a line, a hundred megabytes, no JSON, another user) ends in an error line, a
close, or both; never in anything that another connection notices. A client that goes away in the middle of
a request is noticed at once: the request is cancelled and its leases are given back. (A half-closed
socket counts as gone.)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Callable
from typing import Any, Protocol

from jit_render import __version__
from jit_render.agent import fields
from jit_render.agent.answers import as_reply
from jit_render.agent.attempts import AttemptKey
from jit_render.agent.fields import Message
from jit_render.agent.node import Node
from jit_render.agent.session import Reply, Session
from jit_render.model.errors import JitRenderError, ProtocolError
from jit_render.model.identity import ObjectUrl
from nuke_callbacks import wire

LOG = logging.getLogger(__name__)
ROLES = ("renderer", "worker", "tool")
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


class Owner(Protocol):
    """Who wants to know about connections."""

    node: Node
    answered: Callable[[], None]
    """To be told when a request was answered at once: the next one may follow."""

    def opened(self, connection: Connection) -> int:
        """A number for the new session."""
        ...

    def closed(self, connection: Connection) -> None: ...

    def changed(self, connection: Connection) -> None:
        """A request was answered."""
        ...


class Lines(asyncio.StreamReaderProtocol):
    """A stream that asks `at_once` first.

    What is cached is answered in the same turn of the loop in which it was asked for; waking a task for it would take
    as long as the answer.
    """

    def __init__(self, owner: Owner, limit_bytes: int) -> None:
        self.at_once: Callable[[bytes], bool] | None = None
        """Set while nothing is being done for the client; True: that was a request, and it is answered."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await Connection(owner, reader, writer, self).run()

        super().__init__(asyncio.StreamReader(limit_bytes), serve)

    def data_received(self, data: bytes) -> None:
        at_once, self.at_once = self.at_once, None
        if at_once is not None and at_once(data):
            self.at_once = at_once
        else:
            super().data_received(data)


class Connection:
    """Serves one client until it goes."""

    def __init__(self, owner: Owner, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lines: Lines) -> None:
        self._lines = lines
        self._owner = owner
        self._node = owner.node
        self._reader = reader
        self._writer = writer
        self._following: asyncio.Task[bytes | None] | None = None
        self._request: asyncio.Task[Reply] | None = None
        self._session: Session | None = None

    @property
    def is_busy(self) -> bool:
        """In the middle of a request or of a frame."""
        return self._request is not None or (self._session is not None and self._session.has_open_frame)

    async def run(self) -> None:
        """Serve; returns when the connection has ended."""
        number = self._owner.opened(self)
        try:
            self._check_peer()
            greeted = await self._greet(number)
            if greeted is not None:
                self._session = greeted
                await self._converse(greeted)
        except TimeoutError:
            await self._send(as_reply(None, ProtocolError("no hello came in time; this connection is closed.")))
        except JitRenderError as error:
            await self._send(as_reply(None, error))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            await self._end()
            self._owner.closed(self)

    async def _end(self) -> None:
        for task in (self._request, self._following):
            if task is not None and not task.done():
                task.cancel()
        tasks = [task for task in (self._request, self._following) if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)  # before the leases go: a request may be taking one
        if self._session is not None:
            self._session.close()
        self._writer.close()

    def _check_peer(self) -> None:
        peer: socket.socket = self._writer.get_extra_info("socket")
        _, uid, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid != os.getuid():
            raise ProtocolError(f"this agent serves user {os.getuid()} only; user {uid} must start one of their own.")

    async def _greet(self, number: int) -> Session | None:
        """The session after a good hello; None when the client left. Raises ProtocolError, JobError, StoreError."""
        async with asyncio.timeout(self._node.settings.hello_seconds):
            line = await self._line()
        if line is None:
            return None
        message = _decode(line)
        try:
            return await self._open(number, message)
        except (JitRenderError, OSError) as error:
            await self._send(as_reply(message.get("id"), error))
            return None

    async def _open(self, number: int, message: Message) -> Session:
        if message.get("verb") != "hello":
            raise ProtocolError(f"the first request must be hello, not {str(message.get('verb'))[:40]!r}.")
        version, role = fields.integer(message, "version"), fields.text(message, "role", "tool")
        if version != wire.VERSION:
            raise ProtocolError(
                f"the client speaks version {version} and this agent ({__version__}) version {wire.VERSION}; "
                "install the same release on both sides."
            )
        if role not in ROLES:
            raise ProtocolError(f"hello: role {role[:40]!r} is none of {', '.join(ROLES)}.")
        home = fields.text(message, "job", "")
        key = AttemptKey(home, fields.integer(message, "task", 0), fields.integer(message, "attempt", 0))
        job = await self._node.jobs.open(ObjectUrl.parse(home)) if home else None
        frames = fields.integers(message, "frames")
        session = Session(self._node, number, job, key, role=role, frames=frames)
        reply = {
            "version": wire.VERSION,
            "agent": __version__,
            "session": number,
            "view": "" if job is None else self._node.use_view(job.id),
            "prefixes": [] if job is None else [list(spelling) for spelling in job.path_map.spellings()],
            "planned": job is not None and job.planned is not None,
        }
        await self._send({"id": message.get("id"), "ok": True, **reply})
        return session

    async def _converse(self, session: Session) -> None:
        while True:
            if self._following is None:
                self._lines.at_once = self._at_once
                line = await self._line()
                self._lines.at_once = None
            else:
                line = await self._following
                self._following = None
            if line is None:
                return
            message = _decode(line)
            try:
                reply = session.quick(message) or await self._slowly(session, message)
                if reply is None:
                    return
                await self._send({"id": message.get("id"), "ok": True, **reply})
            except ConnectionError:
                return
            except (JitRenderError, OSError, wire.WireError) as error:
                await self._send(as_reply(message.get("id"), error))
            except Exception as error:  # a bug: this request fails, the session and the others go on
                LOG.exception("request failed: %s", str(message)[:200])
                await self._send(as_reply(message.get("id"), error))
            self._owner.changed(self)

    def _at_once(self, data: bytes) -> bool:
        """Answer `data` if it is one request that needs no waiting, and the client reads what it is sent."""
        if self._session is None or data.find(b"\n") != len(data) - 1 or self._writer.transport.get_write_buffer_size():
            return False
        try:
            message = wire.decode(data)
            reply = self._session.quick(message)
        except Exception:
            return False
        if reply is None:
            return False
        self._writer.write(wire.encode({"id": message.get("id"), "ok": True, **reply}))
        self._owner.answered()
        return True

    async def _slowly(self, session: Session, message: Message) -> Reply | None:
        """The reply; None when the client left before it was ready."""
        request = self._request = asyncio.ensure_future(session.handle(message))
        following = self._following = asyncio.ensure_future(self._line())
        await asyncio.wait({request, following}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if not request.done() and following.exception() is None and following.result() is None:
                return None
            return await request
        finally:
            if request.done():
                self._request = None

    async def _line(self) -> bytes | None:
        """The next whole line; None at the end. Raises ProtocolError for one that is too long."""
        try:
            return await self._reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        except asyncio.LimitOverrunError:
            raise ProtocolError(
                f"a line is over the limit of {wire.LINE_LIMIT} bytes; this connection is closed."
            ) from None

    async def _send(self, reply: dict[str, Any]) -> None:
        with contextlib.suppress(ConnectionError):
            self._writer.write(wire.encode(reply))
            await self._writer.drain()


def _decode(line: bytes) -> Message:
    try:
        return wire.decode(line)
    except (wire.WireError, RecursionError) as error:
        raise ProtocolError(f"{str(error)[:200]}; this connection is closed.") from None
