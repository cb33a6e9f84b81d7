"""A Google Cloud project of one's own for ``jit-deploy``: Compute, IAM, policies, APIs, prices, buckets.

::

    with FakeCloud(project="studio") as cloud:
        settings = GcpSettings(project="studio", compute_endpoint=cloud.url, ...)
        store = StoreSettings(endpoint=cloud.gcs.url)

It follows the public references, not our client: an API must be enabled before it answers, inserts and deletes are
operations that are pending before they are done (and go on when nobody waits for them), a name that is taken is a 409
and one that is missing a 404, requests are checked against the published messages, labels filter lists, a policy is
changed with the etag it was read with, and a service account is not known everywhere the moment it is made.

All services share one address; their paths do not meet. Buckets live in ``gcs``, a `FakeGcs`.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from jit_render.testing.fake_cloud_compute import Compute
from jit_render.testing.fake_cloud_rest import Accounts, Billing, Projects, Served, Services
from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.gcs_model import ApiError

_SERVICES: list[tuple[str, re.Pattern[str]]] = [
    ("compute", re.compile(r"^/compute/v1/")),
    ("iam", re.compile(r"^/v1/projects/[^/]+/serviceAccounts")),
    ("cloudbilling", re.compile(r"^/v1/(services/|projects/[^/]+/billingInfo)")),
    ("serviceusage", re.compile(r"^/v1/(projects/[^/]+/services|operations/)")),
    ("cloudresourcemanager", re.compile(r"^/v3/projects/")),
]
_POLL_SECONDS = 0.005  # tests make one for each place where something may be killed
ALWAYS_ON = frozenset({"serviceusage.googleapis.com", "cloudresourcemanager.googleapis.com", "storage.googleapis.com"})


class FakeCloud:
    """One project and its services; starts and stops with ``with``."""

    def __init__(
        self,
        project: str = "studio",
        *,
        buckets: Iterable[str] = (),
        enabled: Iterable[str] = (),
        regions: Iterable[str] = ("us-central1",),
    ) -> None:
        self.gcs = FakeGcs(buckets=buckets)
        self.gcs.poll_seconds = _POLL_SECONDS
        self.project = project
        self.denied: set[str] = set()
        """Permissions that the caller lacks."""
        self.services = Services(project, {*ALWAYS_ON, *enabled})
        self.accounts = Accounts(project)
        self.projects = Projects(project, self.accounts, self.denied)
        self.compute = Compute(project, regions)
        self.billing = Billing()
        self.broken: Callable[[str, str], ApiError | None] = lambda _method, _path: None
        """May answer a request (method, path) with an error before it is looked at."""
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.RLock()
        handler = type("BoundHandler", (_Handler,), {"cloud": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self.gcs.start()
        serve, poll = self._server.serve_forever, (_POLL_SECONDS,)
        threading.Thread(target=serve, args=poll, daemon=True, name="fake-cloud").start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.gcs.stop()

    def count(self, method: str, path: str = "") -> int:
        """How many requests of `method` had a path that contains `path`."""
        with self._lock:
            return sum(count for (verb, place), count in self._counts.items() if verb == method and path in place)

    def answer(self, method: str, target: str, body: dict[str, Any]) -> dict[str, Any]:
        """Raises ApiError."""
        parts = urlsplit(target)
        path, query = unquote(parts.path), dict(parse_qsl(parts.query, keep_blank_values=True))
        service = next((name for name, pattern in _SERVICES if pattern.match(path)), None)
        with self._lock:
            self._counts[(method, path)] += 1
            broken = self.broken(method, path)
            if broken is not None:
                raise broken
            if service is None:
                raise ApiError(404, "notFound", f"No such method: {method} {path}")
            self.services.check(service)
            self.compute.pass_time()
            return self._serve(service, method, path, query, body)

    def _serve(
        self, service: str, method: str, path: str, query: dict[str, str], body: dict[str, Any]
    ) -> dict[str, Any]:
        if service == "compute":
            self._permit(self.compute.permission(method, path))
            return self.compute.answer(method, path.removeprefix("/compute/v1/"), query, body)
        served_by: dict[str, Served] = {
            "iam": self.accounts,
            "cloudbilling": self.billing,
            "serviceusage": self.services,
            "cloudresourcemanager": self.projects,
        }
        served = served_by[service]
        permission = served.permission(method, path)
        if permission:
            self._permit(permission)
        return served.answer(method, path, query, body)

    def _permit(self, permission: str) -> None:
        if permission in self.denied:
            raise ApiError(403, "forbidden", f"Required '{permission}' permission for 'projects/{self.project}'")


class _Handler(BaseHTTPRequestHandler):
    cloud: ClassVar[FakeCloud]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            status, answer = 200, json.dumps(self.cloud.answer(self.command, self.path, _parsed(data))).encode()
        except ApiError as error:
            status, answer = error.status, error.body()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815 - names that http.server asks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Nothing: requests are counted."""
        del format, args


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data or b"{}")
    except ValueError:
        raise ApiError(400, "parseError", "Invalid JSON payload received.") from None
    if not isinstance(value, dict):
        raise ApiError(400, "parseError", "Invalid JSON payload received.")
    return value
