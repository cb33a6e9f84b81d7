"""Kept-alive connections with a buffer each: what one transfer at a time moves its bytes through.

http.client with one reused buffer moves a GiB for a fifth of the CPU time of the official client's download, and
a small object for a seventh of it.
"""

from __future__ import annotations

import base64
import http.client
import io
import os
import ssl
import threading
import urllib.request
from collections import deque
from collections.abc import Callable
from functools import partial
from http.client import HTTPResponse
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

import requests.certs

from jit_render.model.errors import ConfigError
from jit_render.store.buffers import page_aligned, receive_all
from jit_render.store.crc import BLOCK_BYTES
from jit_render.store.gcs_tls import TlsConnection, TlsStream
from jit_render.store.retry import Pace

USER_AGENT = "jit-render"
BUFFER_BYTES = BLOCK_BYTES
"""Written at once it gets large pages of the system's cache. A quarter of it gets smaller ones, and a GiB costs half as
much CPU time again; twice as much asks for the largest pages, which have to be looked for: four times as much.
"""
_STALE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class Lane:
    """One connection and its buffer; used by one thread at a time."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self.connection: Final = connection
        self.buffer: Final = page_aligned(BUFFER_BYTES)
        self.is_used = False
        self._is_past_head = False

    def ask(self, method: str, target: str, headers: dict[str, str]) -> HTTPResponse:
        """Send a request without a body and read the head of its answer. Raises OSError, HTTPException."""
        self.begin(method, target, headers)
        return self.connection.getresponse()

    def begin(self, method: str, target: str, headers: dict[str, str]) -> None:
        """Send a request's head; the caller sends its body."""
        self.connection.putrequest(method, target, skip_accept_encoding=True)
        for key, value in {"User-Agent": USER_AGENT, **headers}.items():
            self.connection.putheader(key, value)
        self.connection.endheaders()
        self.is_used = True
        self._is_past_head = False

    def fill(self, response: HTTPResponse, view: memoryview, pace: Pace) -> int:
        """Fill `view` with what comes next of an answer's body; less at its end, or where it only trickles.

        Raises OSError, HTTPException. The response's own buffer is passed by: each of its turns costs more than what
        it brings, a record of 16 KiB over TLS, and other threads want the interpreter meanwhile.
        """
        read = self._reading(response)
        filled = 0
        if not self._is_past_head:
            # Of a view no longer than its own buffer the answer keeps nothing back that it has read behind the head.
            filled = read(view[: io.DEFAULT_BUFFER_SIZE])
            self._is_past_head = True
            read = self._reading(response)
        while filled < len(view) and not pace.trickles:
            count = read(view[filled:])
            if not count:
                break
            filled += count
        return filled

    def _reading(self, response: HTTPResponse) -> Callable[[memoryview], int]:
        """What gives the next of the body."""
        connection = self.connection.sock
        if response.chunked:
            return response.readinto
        if connection is None or not self._is_past_head:  # without one the answer is the connection's last, and has it
            return response.fp.readinto1
        if isinstance(connection, TlsStream):
            return partial(connection.receive, is_certain=True)
        return partial(receive_all, connection)

    def close(self) -> None:
        self.connection.close()


def read_answer(response: HTTPResponse, pace: Pace, most_bytes: int = 1 << 20) -> bytes:
    """An answer in words, which fits in memory; the first `most_bytes` of it. Raises OSError, HTTPException.

    It must be here within the time that is waited for a single byte elsewhere: a page of a listing is half a megabyte.
    """
    body = bytearray()
    while len(body) < most_bytes and (piece := response.read1(min(BLOCK_BYTES, most_bytes - len(body)))):
        body += piece
        if pace.trickles and response.length:
            raise TimeoutError("the answer trickles")
    if response.length and len(body) < most_bytes:
        raise http.client.IncompleteRead(bytes(body), response.length)
    if response.length == 0:
        response.close()  # read to its end, so the connection can go on
    return bytes(body)


class Lanes:
    """The idle lanes to one endpoint, last used first."""

    def __init__(self, endpoint: SplitResult, timeout_seconds: float) -> None:
        self._endpoint = endpoint
        self._timeout_seconds = timeout_seconds
        self._idle: deque[Lane] = deque()
        self._lock = threading.Lock()
        self._closed = False
        self.tls = _trusting() if endpoint.scheme == "https" else None

    @property
    def is_direct(self) -> bool:
        """Whether the endpoint is spoken to without a proxy between."""
        return self.tls is None or _proxy(self._endpoint.hostname or "") is None

    def take(self, *, fresh: bool = False) -> Lane:
        """An idle lane, or a new one; connects when first used."""
        with self._lock:
            if self._idle and not fresh:
                return self._idle.pop()
        return Lane(self._connection())

    def give_back(self, lane: Lane) -> None:
        """A lane whose last answer was read to its end. Any other must be closed instead."""
        with self._lock:
            if not self._closed:
                self._idle.append(lane)
                return
        lane.close()

    def ask(self, method: str, target: str, headers: dict[str, str]) -> tuple[Lane, HTTPResponse]:
        """Ask on some lane. A kept connection that the server has closed meanwhile is replaced, once and silently.

        Only for requests that may be sent twice.
        """
        lane = self.take()
        was_kept = lane.is_used
        try:
            try:
                return lane, lane.ask(method, target, headers)
            except _STALE:
                if not was_kept:
                    raise
                lane.close()
                lane = self.take(fresh=True)
                return lane, lane.ask(method, target, headers)
        except BaseException:
            lane.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = list(self._idle), deque()
        for lane in idle:
            lane.close()

    def renew(self) -> None:
        """In a child after a fork: the parent's connections are the parent's, and so is whoever held the lock."""
        self._lock = threading.Lock()
        idle, self._idle = self._idle, deque()
        for lane in idle:
            lane.close()  # this process's descriptor only

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._endpoint.hostname or "", self._endpoint.port
        if self.tls is None:
            return http.client.HTTPConnection(host, port, timeout=self._timeout_seconds)
        proxy = _proxy(host)
        to, to_port = (host, port) if proxy is None else (proxy.hostname or "", proxy.port)
        connection = TlsConnection(to, to_port, timeout=self._timeout_seconds, context=self.tls, server_name=host)
        if proxy is not None:
            connection.set_tunnel(host, port or 443, _proxy_headers(proxy))
        return connection


def _trusting() -> ssl.SSLContext:
    """Who may vouch for servers, as the official client is told: a studio's proxy may sign with its own name.

    Raises ConfigError where the file or folder that the environment names is none.
    """
    name = next(filter(os.environ.get, ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")), "")
    place = os.environ.get(name) or requests.certs.where()
    is_folder = Path(place).is_dir()
    try:
        return ssl.create_default_context(cafile=None if is_folder else place, capath=place if is_folder else None)
    except OSError as error:  # an SSLError, too, where it holds no certificates
        reason = error.strerror or error
        raise ConfigError(f"{name or 'certificates'}: cannot use {place} ({reason}); name a PEM file.") from error


def _proxy(host: str) -> SplitResult | None:
    """The studio's proxy for HTTPS, as the environment names it."""
    address = urllib.request.getproxies().get("https")
    if not address or urllib.request.proxy_bypass(host):
        return None
    return urlsplit(address if "://" in address else f"http://{address}")


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(user.encode()).decode()}
