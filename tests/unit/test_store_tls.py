"""The data path over TLS: what breaks off goes on, small objects too, and who is not vouched for is not believed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jit_render.model.errors import ConfigError
from jit_render.model.identity import ObjectId, ObjectInfo, ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.store.crc import crc32c_of_bytes
from jit_render.store.gcs import GcsStore
from jit_render.testing.certificates import Certificates
from jit_render.testing.fake_clock import FakeClock
from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.faults import Action, Fault
from jit_render.testing.store_suite import PATTERN

URL = ObjectUrl("gs://show", "plates/a.exr")
LARGE = (PATTERN * (3 * 2**20 // len(PATTERN) + 1))[: 3 * 2**20 + 17]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def gcs(certificates: Certificates) -> Iterator[FakeGcs]:
    with FakeGcs(buckets=["show"], tls=certificates.context()) as server:
        yield server


@pytest.fixture
def store(gcs: FakeGcs, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsStore]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.authority))
    opened = GcsStore(StoreSettings(endpoint=gcs.url, timeout=0.5, deadline=5), FakeClock())
    yield opened
    opened.close()


def put(gcs: FakeGcs, data: bytes) -> ObjectInfo:
    version = gcs.put("show", URL.key, data)
    return ObjectInfo(ObjectId(URL, str(version.generation)), len(data), crc32c_of_bytes(data))


@pytest.mark.parametrize("action", ["reset", "short", "stall"])
def test_a_large_object_goes_on_where_it_broke_off(gcs: FakeGcs, store: GcsStore, action: Action):
    info, came = put(gcs, LARGE), bytearray()
    gcs.faults.set([Fault(kind="get", action=action, at="middle")])
    store.download(info, came.extend)
    assert came == LARGE
    assert gcs.count("get", "show", URL.key) == 2


def test_a_small_object_comes_on_the_loop(gcs: FakeGcs, store: GcsStore):
    info, came = put(gcs, LARGE[:70_000]), bytearray()

    async def fetch() -> list[bool]:
        lane = store.small_lane("gs://show")
        assert lane is not None
        taken = [await lane.fetch(info, came.extend) for _ in range(3)]
        lane.close()
        return taken

    assert asyncio.run(fetch()) == [True] * 3
    assert came == LARGE[:70_000] * 3


def test_a_file_goes_up_and_comes_back(store: GcsStore, tmp_path: Path):
    path = tmp_path / "frame.exr"
    path.write_bytes(LARGE * 3)  # by a session
    came = bytearray()
    store.download(store.upload(URL, path, crc32c=crc32c_of_bytes(LARGE * 3), if_generation="0"), came.extend)
    assert came == LARGE * 3


class Proxy(socketserver.ThreadingTCPServer):
    """Makes tunnels, and remembers what it was asked."""

    daemon_threads = True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = b"".join(iter(self.rfile.readline, b"\r\n"))
            self.server.asked.append(head.decode())  # type: ignore[attr-defined]
            host, _, port = head.split()[1].decode().rpartition(":")
            with socket.create_connection((host, int(port))) as there:
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=self._pass_on, args=(there, self.connection))
                back.start()
                self._pass_on(self.connection, there)
                back.join()

        @staticmethod
        def _pass_on(here: socket.socket, there: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := here.recv(65_536):
                    there.sendall(data)
                there.shutdown(socket.SHUT_WR)


def test_the_studios_proxy_is_a_tunnel(gcs: FakeGcs, certificates: Certificates, monkeypatch: pytest.MonkeyPatch):
    with Proxy(("127.0.0.1", 0), Proxy.Handler) as proxy:
        proxy.asked = []
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.authority))
        monkeypatch.setenv("https_proxy", f"http://td:p%40ss@127.0.0.1:{proxy.server_address[1]}")
        store = GcsStore(StoreSettings(endpoint=gcs.url, timeout=5, deadline=5), FakeClock())
        info, came = put(gcs, LARGE), bytearray()
        store.download(info, came.extend)
        store.close()
        proxy.shutdown()
    assert came == LARGE
    assert proxy.asked[0].startswith(f"CONNECT {gcs.url.removeprefix('https://')} HTTP/1.")
    assert f"Basic {base64.b64encode(b'td:p@ss').decode()}" in proxy.asked[0]


def test_a_server_that_nobody_vouches_for_is_told_at_once(gcs: FakeGcs):
    clock = FakeClock()
    store = GcsStore(StoreSettings(endpoint=gcs.url), clock)
    for look in (lambda: store.stat(URL), lambda: store.write(URL, b"x", if_generation="0")):
        with pytest.raises(ConfigError, match=r"certificate is not trusted .*REQUESTS_CA_BUNDLE"):
            look()
    assert clock.slept == []
    store.close()


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_unreadable_authorities_are_named(content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with pytest.raises(ConfigError, match=f"^REQUESTS_CA_BUNDLE: cannot use {bundle} "):
        GcsStore(StoreSettings(endpoint="https://localhost:1"), FakeClock())
