"""A Cloud Storage of one's own: threaded, strict, over real sockets, with faults, counters and a speed limit.

::

    with FakeGcs(buckets=["show"]) as gcs:
        gcs.put("show", "plates/a.exr", data)
        store = open_store(StoreSettings(endpoint=gcs.url))
        ...
        assert gcs.count("get", "show", "plates/a.exr") == 1

It follows the public reference of the JSON API, not any client: generations and preconditions (412, 304), ranges
(206, 416), resumable sessions (308, status query, cancel), paged lists, hashes that are verified, error bodies, and
object names. ``kind`` of a request, for counters and faults: get (media), stat, list, write (one request), session,
chunk, status, cancel, delete, patch, copy, rewrite, bucket, buckets, create_bucket.

As a process of its own, so that it outlives what a test kills (its first line of output is its URL)::

    python -m jit_render.testing.fake_gcs --port 0 --bucket show --folder DIR
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import ssl
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from jit_render.testing import faults as fault_files
from jit_render.testing.faults import Fault, FaultScript
from jit_render.testing.gcs_api import Api, Ask
from jit_render.testing.gcs_handler import Handler
from jit_render.testing.gcs_model import ApiError, Objects, Preconditions, Version

LOG_LENGTH = 100_000
_PERMISSIONS = {
    "get": "storage.objects.get",
    "stat": "storage.objects.get",
    "list": "storage.objects.list",
    "write": "storage.objects.create",
    "session": "storage.objects.create",
    "delete": "storage.objects.delete",
    "patch": "storage.objects.update",
    "bucket": "storage.buckets.get",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One request of the log. ``range`` is its Range or Content-Range header."""

    kind: str
    bucket: str
    name: str
    range: str
    generation: str


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, handler: type[Handler], tls: ssl.SSLContext | None) -> None:
        self.open_sockets: set[socket.socket] = set()
        self._tls = tls
        super().__init__((host, port), handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self._tls is not None:  # the handshake is the handler's: nobody else has to wait for it
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open_sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open_sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what many tests are about; anything else is a bug of ours and is shown."""
        if not isinstance(sys.exc_info()[1], OSError | ValueError):
            super().handle_error(request, client_address)


class FakeGcs:
    """The server; starts with ``with`` or `start`, stops with its end or `stop`.

    ``bandwidth`` is bytes per second over all connections, 0 for no limit. With ``tokens``, a request without one of
    these bearer tokens is answered 401. Without ``folder`` all is in memory. With ``tls`` it is HTTPS
    (``certificates.py`` makes one).
    """

    def __init__(
        self,
        *,
        buckets: Iterable[str] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        folder: Path | None = None,
        bandwidth: float = 0.0,
        faults: Iterable[Fault] = (),
        tokens: Iterable[str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.objects_model = Objects(folder)
        self.api = Api(self.objects_model, lambda: self.url)
        self.faults = FaultScript(faults)
        self.tokens = None if tokens is None else set(tokens)
        self.requests: deque[Seen] = deque(maxlen=LOG_LENGTH)
        self.stalled: deque[Fault] = deque(maxlen=LOG_LENGTH)
        """Each fault that has brought a request to a halt, once it stands still."""
        self.stopped = threading.Event()
        self.poll_seconds = 0.05
        """How soon `stop` is noticed."""
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._denied: dict[str, str] = {}
        self._bandwidth = bandwidth
        self._free_at = 0.0
        self._lock = threading.Lock()
        for name in buckets:
            if name not in self.objects_model.buckets():
                self.objects_model.create_bucket(name)
        self._server = _Server(host, port, type("BoundHandler", (Handler,), {"fake": self}), tls)
        self.url = f"{'http' if tls is None else 'https'}://{host}:{self._server.server_address[1]}"

    def start(self) -> Self:
        serve, poll = self._server.serve_forever, (self.poll_seconds,)
        threading.Thread(target=serve, args=poll, daemon=True, name="fake-gcs").start()
        return self

    def stop(self) -> None:
        """Close the port and every connection."""
        self.stopped.set()
        self._server.shutdown()
        for connection in list(self._server.open_sockets):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def create_bucket(self, name: str, *, versioning: bool = False) -> None:
        self.objects_model.create_bucket(name, versioning=versioning)

    def put(
        self,
        bucket: str,
        name: str,
        data: bytes,
        *,
        content_encoding: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> Version:
        """Write or overwrite an object, past all faults and counters."""
        draft = Version(bucket, name, 0, 0, "", "", content_encoding=content_encoding, metadata=metadata or {})
        return self.objects_model.commit(draft, data, Preconditions())

    def get(self, bucket: str, name: str) -> bytes:
        """The live content. Raises KeyError."""
        version = self.objects_model.bucket(bucket).live[name]
        return bytes(version.read(0, version.size))

    def remove(self, bucket: str, name: str) -> None:
        self.objects_model.delete(bucket, name, None, Preconditions())

    def objects(self, bucket: str) -> dict[str, Version]:
        """All live objects by name, in order."""
        return {version.name: version for version in self.objects_model.versions(bucket)}

    def count(self, kind: str, bucket: str | None = None, name: str | None = None) -> int:
        """How many requests of that kind came (for that bucket, for that object)."""
        with self._lock:
            return sum(
                count
                for (of_kind, of_bucket, of_name), count in self._counts.items()
                if of_kind == kind and bucket in {None, of_bucket} and name in {None, of_name}
            )

    def reset_counts(self) -> None:
        with self._lock:
            self._counts.clear()
            self.requests.clear()

    def deny(self, bucket: str, permission: str = "*") -> None:
        """Answer 403 to what needs `permission` (``*``: any) on the bucket."""
        self._denied[bucket] = permission

    def allow(self, bucket: str) -> None:
        self._denied.pop(bucket, None)

    def arrived(self, ask: Ask) -> Fault | None:
        """Log a request; the fault that is due for it."""
        if ask.kind == "fake":
            return None
        seen_range = ask.headers.get("Range") or ask.headers.get("Content-Range") or ""
        with self._lock:
            self._counts[(ask.kind, ask.bucket, ask.name)] += 1
            self.requests.append(Seen(ask.kind, ask.bucket, ask.name, seen_range, ask.query.get("generation", "")))
        return self.faults.take(ask.kind, ask.bucket, ask.name)

    def authorise(self, ask: Ask) -> None:
        """Raises ApiError 401, 403."""
        # The URL of an upload session carries its own right.
        own_right = ask.kind in {"chunk", "status", "cancel"}
        token = ask.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.tokens is not None and not own_right and token not in self.tokens:
            raise ApiError(401, "authError", "Invalid Credentials")
        needed = _PERMISSIONS.get(ask.kind)
        if needed and self._denied.get(ask.bucket) in {"*", needed}:
            where = "Google Cloud Storage bucket" if ask.kind in {"list", "bucket"} else "Google Cloud Storage object"
            message = (
                f"node@studio.iam.gserviceaccount.com does not have {needed} access to the {where}. "
                f"Permission '{needed}' denied on resource (or it may not exist)."
            )
            raise ApiError(403, "forbidden", message)

    @property
    def is_paced(self) -> bool:
        """Whether there is a limit to its bytes per second."""
        return bool(self._bandwidth)

    def pace(self, size: int) -> None:
        """Wait until `size` bytes may pass under the limit."""
        if not self._bandwidth:
            return
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + size / self._bandwidth
            delay = self._free_at - now
        self.stopped.wait(delay)

    def told(self, ask: Ask) -> Any:
        """The side door of a server in its own process: ``/_fake/counts``, ``/_fake/faults``, ``/_fake/reset``."""
        if ask.name == "counts":
            with self._lock:
                return [[*key, count] for key, count in self._counts.items()]
        if ask.name == "faults":
            tables = fault_files.json.loads(ask.body() or b"[]")
            self.faults.set(Fault.parse(table) for table in tables)
            return len(tables)
        if ask.name == "reset":
            self.reset_counts()
            return 0
        raise ApiError(404, "notFound", f"no side door {ask.name}")


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m jit_render.testing.fake_gcs", description="Serve a fake GCS.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bucket", action="append", default=[], help="created unless it is there; may be repeated")
    parser.add_argument("--folder", type=Path, help="keep objects here and find them again; default: in memory")
    parser.add_argument("--bandwidth", type=float, default=0.0, help="bytes per second over all connections")
    parser.add_argument("--faults", type=Path, help="a .toml or .json file of faults")
    options = parser.parse_args(arguments)
    faults = fault_files.load(options.faults) if options.faults else []
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with FakeGcs(
        buckets=options.bucket,
        host=options.host,
        port=options.port,
        folder=options.folder,
        bandwidth=options.bandwidth,
        faults=faults,
    ) as gcs:
        sys.stdout.write(gcs.url + "\n")
        sys.stdout.flush()
        ended.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
