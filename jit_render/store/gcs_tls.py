"""TLS over a connection whose bytes are received a block at a time.

The standard library asks the system twice for each record of 16 KiB, its length and then the rest, and each time other
threads get the interpreter. Here one call receives a block of up to a MiB, whose records are then decrypted from
memory: a quarter less CPU time for a large object.

What is missing at a connection's end is seen by whoever knows the length of what was asked for, as it is over
the standard library's: servers close without saying so.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
from typing import Any, cast

from jit_render.store.buffers import page_aligned, receive_all
from jit_render.store.crc import BLOCK_BYTES

_RECORD_BYTES = 17 * 1024
"""More than one record has on the wire: so much may have come of one already that is not whole yet."""


class TlsConnection(http.client.HTTPSConnection):
    """To `host`, or by a tunnel to `server_name`, whose certificate is checked by `context`."""

    def __init__(
        self, host: str, port: int | None, *, timeout: float, context: ssl.SSLContext, server_name: str
    ) -> None:
        super().__init__(host, port, timeout=timeout, context=context)
        self._tls = context
        self._server_name = server_name

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)  # and through the proxy, if there is one
        try:
            self.sock = cast("socket.socket", TlsStream(self.sock, self._tls, self._server_name))
        except BaseException:
            self.sock.close()
            raise


class TlsStream:
    """As much of a socket as http.client uses, and `receive`. Used by one thread at a time."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, server_name: str) -> None:
        self._raw = raw
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._block = page_aligned(BLOCK_BYTES)
        self._readers = 0
        self._is_closed = False
        self._shake_hands()

    def receive(self, view: memoryview, *, is_certain: bool = False) -> int:
        """Some of what comes next, at most all of `view`; 0 at the end. Raises OSError.

        `is_certain`: the peer is known to send that much, so it may be waited for.
        """
        filled = 0
        while True:
            try:
                while filled < len(view):
                    count = self._tls.read(len(view) - filled, cast("bytearray", view[filled:]))
                    if not count:
                        break
                    filled += cast("int", count)
                return filled
            except ssl.SSLWantReadError:
                if filled:
                    return filled
                self._take_in(len(view) - _RECORD_BYTES if is_certain else 0)
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return filled

    def sendall(self, data: Any) -> None:
        self._tls.write(data)
        self._flush()

    def makefile(self, mode: str) -> io.BufferedReader:
        assert mode == "rb"
        self._readers += 1
        return io.BufferedReader(_Reader(self))

    def gettimeout(self) -> float | None:
        return self._raw.gettimeout()

    def settimeout(self, seconds: float | None) -> None:
        self._raw.settimeout(seconds)

    def close(self) -> None:
        """At once, or with the last file made from it."""
        self._is_closed = True
        if not self._readers:
            self._raw.close()

    def read_by_one_less(self) -> None:
        """A file made from it was closed."""
        self._readers -= 1
        if self._is_closed:
            self.close()

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._take_in(0)
            else:
                self._flush()
                return

    def _take_in(self, certain_bytes: int) -> None:
        """Receive more, of which so much is sure to come."""
        self._flush()
        if certain_bytes > 0:
            count = receive_all(self._raw, self._block[:certain_bytes])
        else:
            count = self._raw.recv_into(self._block)
        if count:
            self._incoming.write(self._block[:count])
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._raw.sendall(self._outgoing.read())


class _Reader(io.RawIOBase):
    """A stream as a file."""

    def __init__(self, stream: TlsStream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._stream.receive(memoryview(buffer))

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._stream.read_by_one_less()
