"""HTTP/1.1 around the fake GCS: reads requests, plays the faults, sends replies."""

from __future__ import annotations

import json
import re
import select
import socket
import struct
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from jit_render.testing.faults import Fault
from jit_render.testing.gcs_api import Ask, Reply
from jit_render.testing.gcs_model import ApiError

if TYPE_CHECKING:
    from jit_render.testing.fake_gcs import FakeGcs

PIECE_BYTES = 256 * 1024
PACED_BYTES = 16 * 1024
"""Of one answer before it is the next one's turn, on a line that all of them share."""
_NAME = re.compile(rb'"name":\s*("(?:[^"\\]|\\.)*")')
_OBJECT = r"/storage/v1/b/(?P<bucket>[^/]+)/o/(?P<name>[^/]+)"
_ROUTES: list[tuple[str, re.Pattern[str], str]] = [
    (method, re.compile(pattern + "$"), kind)
    for method, pattern, kind in [
        ("GET|HEAD", r"(?:/download)?" + _OBJECT, "stat"),
        ("DELETE", _OBJECT, "delete"),
        ("PATCH", _OBJECT, "patch"),
        ("POST", _OBJECT + r"/rewriteTo/b/(?P<to_bucket>[^/]+)/o/(?P<to_name>[^/]+)", "rewrite"),
        ("POST", _OBJECT + r"/copyTo/b/(?P<to_bucket>[^/]+)/o/(?P<to_name>[^/]+)", "copy"),
        ("GET", r"/storage/v1/b/(?P<bucket>[^/]+)/o/?", "list"),
        ("GET", r"/storage/v1/b/(?P<bucket>[^/]+)/iam", "bucket_policy"),
        ("PUT", r"/storage/v1/b/(?P<bucket>[^/]+)/iam", "set_bucket_policy"),
        ("GET", r"/storage/v1/b/(?P<bucket>[^/]+)", "bucket"),
        ("PATCH", r"/storage/v1/b/(?P<bucket>[^/]+)", "patch_bucket"),
        ("DELETE", r"/storage/v1/b/(?P<bucket>[^/]+)", "delete_bucket"),
        ("GET", r"/storage/v1/b/?", "buckets"),
        ("POST", r"/storage/v1/b/?", "create_bucket"),
        ("POST|PUT|DELETE", r"(?:/resumable)?/upload/storage/v1/b/(?P<bucket>[^/]+)/o/?", "upload"),
        ("GET|POST", r"/_fake/(?P<name>[a-z]+)", "fake"),
    ]
]


class Hangup(Exception):
    """The connection is of no more use."""


class Handler(BaseHTTPRequestHandler):
    """One connection. ``fake`` is set by the server's subclass."""

    fake: ClassVar[FakeGcs]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version = "FakeGcs"
    sys_version = ""

    def _serve(self) -> None:
        self._left = self._length = int(self.headers.get("Content-Length") or 0)
        self._is_chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        self._ahead = b""
        self._fault: Fault | None = None
        try:
            ask = self._ask()
            self._fault = self.fake.arrived(ask)
            reply = self._played(ask)
        except ApiError as error:
            reply = self._refusal(error)
        except (Hangup, OSError):
            self.close_connection = True
            return
        try:
            self._drain()
            self._send(reply)
        except (Hangup, OSError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815 - names that http.server asks for

    def _refusal(self, error: ApiError) -> Reply:
        """Errors come as JSON, but for media, whose errors are plain text."""
        if "alt=media" in self.path:
            text = {"Content-Type": "text/html; charset=UTF-8"}
            return Reply(error.status, {**text, **error.headers}, error.message.encode())
        return Reply(error.status, {"Content-Type": "application/json", **error.headers}, error.body())

    def _ask(self) -> Ask:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        for methods, pattern, kind in _ROUTES:
            match = pattern.match(parts.path)
            if match is not None and self.command in methods.split("|"):
                found = {key: _decoded(text) for key, text in match.groupdict().items()}
                return self._classed(kind, query, found)
        raise ApiError(404, "notFound", f"No such method: {self.command} {parts.path}")

    def _classed(self, kind: str, query: dict[str, str], found: dict[str, str]) -> Ask:
        name = found.get("name", "")
        if kind == "stat" and query.get("alt") == "media":
            kind = "get"
        elif kind == "upload":
            kind = self._upload_kind(query)
            name = query.get("name", "") or self.fake.api.sessions.name_of(query.get("upload_id", ""))
            if not name and kind in {"write", "session"}:
                name = self._announced()
        target = (found.get("to_bucket", ""), found.get("to_name", ""))
        return Ask(kind, found.get("bucket", ""), name, query, self.headers, self._length, self._piece, target)

    def _announced(self) -> str:
        """The name that the JSON at the body's beginning gives; what was read for it is given out again later."""
        self._ahead = self._piece()
        match = _NAME.search(self._ahead)
        return str(json.loads(match[1])) if match else ""

    def _upload_kind(self, query: dict[str, str]) -> str:
        if "upload_id" not in query:
            return "session" if query.get("uploadType") == "resumable" else "write"
        if self.command == "DELETE":
            return "cancel"
        return "status" if self.headers.get("Content-Range", "").startswith("bytes */") and not self._left else "chunk"

    def _played(self, ask: Ask) -> Reply:
        """The reply, with the faults of before and within the request played. Raises ApiError, Hangup."""
        fault = self._fault
        if fault is None or (ask.kind == "get" and fault.action != "status"):
            return self._answer(ask)
        if fault.at == "first":
            self._break(fault)
        if fault.at == "middle" and fault.action == "corrupt" and ask.kind in {"write", "chunk"}:
            self._fault = None
            return self._answer(_halfway(ask, _damaged))
        if fault.at == "middle" and ask.length:
            ask = _halfway(ask, self._breaking(fault))
        elif fault.at == "middle" and fault.action == "status":
            self._break(fault)  # a request without a body has no middle, and an error answer neither
        reply = self._answer(ask)
        if fault.at == "last":
            self._break(fault)
        return reply

    def _answer(self, ask: Ask) -> Reply:
        if ask.kind == "fake":
            return Reply(200, {"Content-Type": "application/json"}, json.dumps(self.fake.told(ask)).encode())
        self.fake.authorise(ask)
        return self.fake.api.answer(ask)

    def _break(self, fault: Fault) -> None:
        """Play a fault that needs no body of ours: raises, or waits. Corrupt, drip: nothing here."""
        if fault.action == "status":
            headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
            raise ApiError(fault.status, fault.reason or "fault", fault.message or f"Fault {fault.status}", headers)
        if fault.action == "slow":
            self.fake.stopped.wait(fault.seconds)
        elif fault.action == "stall":
            self.fake.stalled.append(fault)
            self._wait_for_the_client()
            raise Hangup
        elif fault.action in {"reset", "short"}:
            self._hang_up(reset=fault.action == "reset")
            raise Hangup

    def _breaking(self, fault: Fault) -> Callable[[bytes], bytes]:
        def happens(piece: bytes) -> bytes:
            self._break(fault)
            return piece

        return happens

    def _send(self, reply: Reply) -> None:
        fault = self._fault
        size = reply.end - reply.start if reply.version else len(reply.body)
        self.send_response(reply.status, "Resume Incomplete" if reply.status == 308 else None)
        for key, value in reply.headers.items():
            self.send_header(key, value)
        if reply.status not in {204, 304}:
            self.send_header("Content-Length", str(size))
        if fault is not None and fault.at == "first" and reply.version is not None:
            self._break(fault)
        self.end_headers()
        if self.command != "HEAD" and size:
            self._send_body(reply, size)

    def _send_body(self, reply: Reply, size: int) -> None:
        fault = self._fault if self._is_for_the_answer(reply) else None
        turn = {"first": 0, "middle": size // 2, "last": size - 1}[fault.at] if fault else size
        at = 0
        most = PACED_BYTES if self.fake.is_paced else PIECE_BYTES
        while at < size:
            piece = self._bytes(reply, at, min(at + most, size, turn if at < turn else size))
            if fault is not None and at == turn:
                self._break(fault)
                if fault.action == "corrupt":
                    piece = bytes([piece[0] ^ 0xFF]) + bytes(piece[1:])
                if fault.action == "drip":
                    self._drip(piece, fault.seconds)
                    at += len(piece)
                    turn = at
                    continue
            self.fake.pace(len(piece))
            self.wfile.write(piece)
            at += len(piece)

    def _is_for_the_answer(self, reply: Reply) -> bool:
        """Whether the fault is one of the answer's body; in a request with a body it was played there."""
        if self._fault is None or reply.version is not None:
            return self._fault is not None
        in_between = self._fault.at == "middle" and not self._length and reply.status < 400
        return self._fault.action in {"corrupt", "drip"} or in_between

    def _bytes(self, reply: Reply, start: int, end: int) -> bytes | memoryview:
        if reply.version is None:
            return reply.body[start:end]
        return reply.version.read(reply.start + start, reply.start + end)

    def _drip(self, piece: bytes | memoryview, seconds: float) -> None:
        for at in range(len(piece)):
            if self.fake.stopped.wait(seconds):
                raise Hangup
            self.wfile.write(piece[at : at + 1])

    def _piece(self) -> bytes:
        """The next bytes of the request's body; b"" at its end. Raises Hangup when the client breaks off."""
        if self._ahead:
            data, self._ahead = self._ahead, b""
            return data
        if not self._left and self._is_chunked:
            self._next_chunk()
        if not self._left:
            return b""
        data = self.rfile.read1(min(self._left, PIECE_BYTES))
        if not data:
            raise Hangup
        self._left -= len(data)
        self.fake.pace(len(data))
        return data

    def _next_chunk(self) -> None:
        """Read the size of the next chunk of a body whose length was not told (RFC 9112, 7.1)."""
        line = self.rfile.readline(64)
        if line == b"\r\n":  # ends the chunk before
            line = self.rfile.readline(64)
        try:
            self._left = int(line.split(b";")[0], 16)
        except ValueError:
            raise Hangup from None
        if not self._left:
            self._is_chunked = False
            while self.rfile.readline(1024).strip():
                pass

    def _drain(self) -> None:
        """Read what is left of a body, so that the connection can go on; a long rest is not worth it."""
        if self._left > 1 << 20:
            self.close_connection = True
            return
        while self._piece():
            pass

    def _wait_for_the_client(self) -> None:
        """Until it closes its end (or the server stops). What it still sends is thrown away."""
        while not self.fake.stopped.is_set():
            ready, _, _ = select.select([self.connection], [], [], 0.1)
            if ready and not self.connection.recv(PIECE_BYTES):
                return

    def _hang_up(self, *, reset: bool) -> None:
        if reset:  # no lingering: the kernel answers with RST
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.wfile.close()
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Nothing: the server keeps its own log."""
        del format, args


def _decoded(text: str | None) -> str:
    try:
        return unquote(text or "", errors="strict")
    except UnicodeDecodeError:
        raise ApiError(400, "invalid", "The specified object name is not valid UTF-8.") from None


def _damaged(piece: bytes) -> bytes:
    middle = len(piece) // 2
    return piece[:middle] + bytes([piece[middle] ^ 0xFF]) + piece[middle + 1 :]


def _halfway(ask: Ask, happens: Callable[[bytes], bytes]) -> Ask:
    """The same request; when half of its body has been read, `happens` to the piece that is read then."""
    seen = 0

    def pieces() -> bytes:
        nonlocal seen
        piece = ask.pieces()
        before, seen = seen, seen + len(piece)
        return happens(piece) if before <= ask.length // 2 < seen else piece

    return Ask(ask.kind, ask.bucket, ask.name, ask.query, ask.headers, ask.length, pieces, ask.target)
