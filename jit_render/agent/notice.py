"""The watch for a preemption notice, on a node of Google Cloud.

The metadata value ``instance/preempted`` turns TRUE before the VM is sent its ACPI signal. It is read by a request that
hangs until the value changes (looking every half minute is known to miss notices), first without waiting, so that a
change before the first request is not missed. Whatever goes wrong, the watch goes on: SIGTERM is the other way to learn
of the end, and without either only the frame in hand is lost.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

METADATA_ADDRESS = "169.254.169.254"  # of every Google VM; its name would need a resolver
HOST_VARIABLE = "GCE_METADATA_HOST"  # google-auth's own name for another one
_PATH = "/computeMetadata/v1/instance/preempted"
_HANG_SECONDS = 60  # one request; the server answers then with the same value
_ANSWER_SECONDS = 15.0  # on top of it
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0


def metadata_host() -> str:
    """Where this machine's metadata is read; empty where it is no VM of Google's. Costs no request."""
    named = os.environ.get(HOST_VARIABLE, "")
    if named:
        return named
    with contextlib.suppress(OSError):
        if "Google" in Path("/sys/class/dmi/id/product_name").read_text():
            return METADATA_ADDRESS
    return ""


class NoticeWatch:
    """While in ``with``: `tell` is called once, from the watch's thread, when the node is to go."""

    def __init__(self, tell: Callable[[], None], host: str | None = None) -> None:
        self._tell = tell
        self._host = metadata_host() if host is None else host
        self._closing = threading.Event()
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        if self._host:
            threading.Thread(target=self._run, name="preemption-notice", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the watch; a request that hangs is let go."""
        self._closing.set()
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        etag, pause = "", _SHORTEST_PAUSE
        while not self._closing.is_set():
            known, began = etag, time.monotonic()
            try:
                value, etag = self._read(known)
            except (OSError, http.client.HTTPException):
                self._drop()
                value, etag = "", ""
            if value == "TRUE" and not self._closing.is_set():
                self._tell()
                break
            if etag != known or time.monotonic() - began > 1:
                pause = _SHORTEST_PAUSE
            else:  # an error, or an answer that did not wait for a change: not in a circle
                self._closing.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        self._drop()

    def _read(self, etag: str) -> tuple[str, str]:
        """The value and its mark; with a mark, waits until the value is another one."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, timeout=_HANG_SECONDS + _ANSWER_SECONDS)
        query = f"?wait_for_change=true&timeout_sec={_HANG_SECONDS}&last_etag={etag}" if etag else ""
        self._connection.request("GET", _PATH + query, headers={"Metadata-Flavor": "Google"})
        answer = self._connection.getresponse()
        value = answer.read(100).decode("utf-8", "replace").strip()
        if answer.status != http.client.OK:
            raise http.client.HTTPException(f"{answer.status}")
        return value, answer.headers.get("ETag", "")

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
