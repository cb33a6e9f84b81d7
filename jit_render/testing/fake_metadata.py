"""The metadata server of a Compute Engine VM: token, project, and the notice before a Spot VM is taken away.

Point a process at it with the environment of `FakeMetadata.environment`; google-auth and the runtime's own
watcher then believe that they run on a VM. ``instance/preempted?wait_for_change=true`` hangs until the value changes
(or until ``timeout_sec``), as the real one does. `preempt` and `restore` change it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlsplit

_BASE = "/computeMetadata/v1/"
_ACCOUNT = "instance/service-accounts/default/"


class FakeMetadata:
    """The server; starts with ``with`` or `start`. ``tokens``: given out; ``waiting``: requests that hang now."""

    def __init__(self, *, project: str = "studio", attributes: dict[str, str] | None = None, port: int = 0) -> None:
        self.tokens: list[str] = []
        self.token_seconds = 3599
        self.stopped = threading.Event()
        self.waiting = 0
        self._changed = threading.Condition()
        self._values = {
            "project/project-id": project,
            "project/numeric-project-id": "1234567890",
            "instance/id": "4242424242",
            "instance/name": "node-1",
            "instance/zone": "projects/1234567890/zones/us-central1-a",
            "instance/machine-type": "projects/1234567890/machineTypes/n2d-standard-8",
            "instance/preempted": "FALSE",
            "instance/maintenance-event": "NONE",
            "universe/universe-domain": "googleapis.com",
            _ACCOUNT + "email": f"node@{project}.iam.gserviceaccount.com",
            **{f"instance/attributes/{key}": value for key, value in (attributes or {}).items()},
        }
        handler = type("BoundHandler", (_Handler,), {"fake": self})
        self._server = _Server(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to find this server."""
        return {"GCE_METADATA_HOST": self.host, "GCE_METADATA_IP": self.host, "GCE_METADATA_ROOT": self.host}

    def start(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="fake-metadata").start()
        return self

    def stop(self) -> None:
        self.stopped.set()
        with self._changed:
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def set(self, path: str, value: str) -> None:
        """Change one value, e.g. ``instance/preempted``; hanging readers are answered."""
        with self._changed:
            self._values[path] = value
            self._changed.notify_all()

    def wait_for_readers(self, count: int, timeout: float = 10.0) -> bool:
        """Wait until `count` requests hang for a change; False when they do not."""
        with self._changed:
            return self._changed.wait_for(lambda: self.waiting >= count, timeout)

    def preempt(self) -> None:
        """Give the notice."""
        self.set("instance/preempted", "TRUE")

    def restore(self) -> None:
        self.set("instance/preempted", "FALSE")

    def read(self, path: str, query: dict[str, str]) -> tuple[str, str] | None:
        """Value and etag; waits where the query asks for a change. None: there is no such value."""
        path = path.replace(f"service-accounts/{self._values[_ACCOUNT + 'email']}", "service-accounts/default")
        if path == _ACCOUNT + "token":
            return self._token(), "token"
        if query.get("recursive", "").lower() == "true":
            return self._account(path)
        with self._changed:
            known = query.get("last_etag") or _etag(self._values.get(path))
            if query.get("wait_for_change", "").lower() == "true":
                limit = float(query.get("timeout_sec", "0")) or None
                self.waiting += 1
                self._changed.notify_all()
                self._changed.wait_for(
                    lambda: self.stopped.is_set() or _etag(self._values.get(path)) != known, timeout=limit
                )
                self.waiting -= 1
            value = self._values.get(path)
        return None if value is None else (value, _etag(value))

    def _token(self) -> str:
        token = f"fake-token-{len(self.tokens) + 1}"
        self.tokens.append(token)
        return json.dumps({"access_token": token, "expires_in": self.token_seconds, "token_type": "Bearer"})

    def _account(self, path: str) -> tuple[str, str] | None:
        if path.rstrip("/") != _ACCOUNT.rstrip("/"):
            return None
        email = self._values[_ACCOUNT + "email"]
        shown = {"aliases": ["default"], "email": email, "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}
        return json.dumps(shown), _etag(email)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asked may be killed while it hangs; that is what this is for."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    fake: ClassVar[FakeMetadata]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        if self.headers.get("Metadata-Flavor") != "Google" and parts.path != "/":
            return self._send(403, "Missing required header Metadata-Flavor: Google", "")
        if parts.path == "/":
            return self._send(200, "computeMetadata/\n", "")
        self.close_connection = self.fake.stopped.is_set()
        found = self.fake.read(parts.path.removeprefix(_BASE), query) if parts.path.startswith(_BASE) else None
        if found is None:
            return self._send(404, "Not Found", "")
        return self._send(200, *found)

    def _send(self, status: int, text: str, etag: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Type", "application/json" if text.startswith("{") else "application/text")
        self.send_header("Content-Length", str(len(body)))
        if etag:
            self.send_header("ETag", etag)
        with contextlib.suppress(OSError):  # who hung for a change may be gone
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        del format, args


def _etag(value: str | None) -> str:
    return hashlib.sha256((value or "").encode()).hexdigest()[:16]
