"""Cloud Storage for reading, served by nginx: so that the clients are what is measured, and not a server.

Objects lie in a folder, with what the API says of each beside them; nginx maps the API's URLs to files:

    /storage/v1/b/<bucket>/o/<name>                        the object's JSON
    the same with ?alt=media, or below /download/          its bytes, with x-goog-generation and x-goog-hash
    /media/<bucket>/<name>                                 its bytes, plainly; folders are listed

All objects have one generation, and nothing can be written, so preconditions need no answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jit_render.model.clock import SystemClock
from jit_render.model.identity import ObjectId, ObjectInfo, ObjectUrl
from jit_render.store.crc import crc32c_of_bytes, crc32c_of_file, to_base64
from jit_render.testing.certificates import Certificates

BUCKET = "bench"
GENERATION = "1700000000000001"
_UPDATED = "2026-01-01T00:00:00.000Z"
_TRUST = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_START_SECONDS = 10.0
_CONFIG = """
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 1000000;
    open_file_cache max=10000;
    client_body_temp_path {folder}/tmp;
    proxy_temp_path {folder}/tmp;
    fastcgi_temp_path {folder}/tmp;
    uwsgi_temp_path {folder}/tmp;
    scgi_temp_path {folder}/tmp;
    map_hash_max_size 65536;
    map_hash_bucket_size 256;
    map $uri $hash {{ include {folder}/hashes; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        listen 127.0.0.1:{tls_port} ssl backlog=1024;
        ssl_certificate {certificates.server};
        ssl_certificate_key {certificates.server};
        root {folder}/www;
        rewrite ^/download/storage/v1/b/([^/]+)/o/(.+)$ /media/$1/$2 last;
        location /media/ {{
            autoindex on;
            add_header x-goog-generation {generation};
            add_header x-goog-hash $hash;
        }}
        location /storage/ {{
            if ($arg_alt = media) {{ rewrite ^/storage/v1/b/([^/]+)/o/(.+)$ /media/$1/$2 last; }}
            default_type application/json;
            rewrite ^/storage/v1/b/([^/]+)/o/(.+)$ /meta/$1/$2.json break;
        }}
    }}
}}
"""


def program() -> str | None:
    """nginx, if it is installed."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class BucketServer:
    """A running server and what it holds, by kind."""

    url: str
    objects: dict[str, list[ObjectInfo]]
    folder: Path
    secure_url: str
    """The same over TLS, vouched for by `authority`."""
    authority: Path

    def read_all(self, kind: str) -> None:
        """Have the objects in memory: a system that is short of it, or eager to save it, drops what is not read."""
        for info in self.objects[kind]:
            crc32c_of_file(self.folder / "www/media" / BUCKET / info.url.key)


def make_objects(folder: Path, kind: str, count: int, size_bytes: int) -> list[ObjectInfo]:
    """`count` objects ``<kind>/<number>.bin`` of random bytes that no two share."""
    block = os.urandom(min(size_bytes, 32 * 2**20))
    infos = []
    hashes = (folder / "hashes").open("a")
    for place in (folder / "www/media" / BUCKET / kind, folder / "www/meta" / BUCKET / kind):
        place.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        name = f"{kind}/{number:04}.bin"
        data = memoryview(number.to_bytes(8, "big") + (block * -(-size_bytes // len(block)))[: size_bytes - 8])
        value = crc32c_of_bytes(bytes(data))
        (folder / "www/media" / BUCKET / name).write_bytes(data)
        resource = {
            "kind": "storage#object",
            "name": name,
            "bucket": BUCKET,
            "generation": GENERATION,
            "metageneration": "1",
            "size": str(size_bytes),
            "crc32c": to_base64(value),
            "updated": _UPDATED,
            "timeCreated": _UPDATED,
        }
        (folder / "www/meta" / BUCKET / f"{name}.json").write_text(json.dumps(resource))
        hashes.write(f'"/media/{BUCKET}/{name}" "crc32c={to_base64(value)}";\n')
        infos.append(ObjectInfo(ObjectId(ObjectUrl(f"gs://{BUCKET}", name), GENERATION), size_bytes, value))
    hashes.close()
    return infos


@contextlib.contextmanager
def serving(folder: Path, objects: dict[str, list[ObjectInfo]]) -> Iterator[BucketServer]:
    """nginx over what `make_objects` made in `folder`."""
    port, tls_port = _free_ports(2)
    certificates = Certificates.make(folder)
    (folder / "tmp").mkdir(exist_ok=True)
    config = folder / "nginx.conf"
    user = "user root;" if os.getuid() == 0 else ""
    workers = max(1, (os.cpu_count() or 1) // 2)
    config.write_text(
        _CONFIG.format(
            folder=folder,
            port=port,
            tls_port=tls_port,
            certificates=certificates,
            generation=GENERATION,
            user=user,
            workers=workers,
        )
    )
    command = [program() or "nginx", "-p", str(folder), "-c", str(config), "-g", "daemon off;"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{url}/media/{BUCKET}/")
        yield BucketServer(url, objects, folder, f"https://127.0.0.1:{tls_port}", certificates.authority)
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def trusting(authority: Path) -> Iterator[None]:
    """Let every client that is started meanwhile believe what `authority` signed."""
    before = dict(os.environ)
    os.environ.update(dict.fromkeys(_TRUST, str(authority)))
    try:
        yield
    finally:
        for name in _TRUST:
            os.environ.pop(name)
        os.environ.update(before)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _wait(url: str) -> None:
    clock = SystemClock()
    end = clock.monotonic() + _START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            if clock.monotonic() >= end:
                raise
            clock.sleep(0.02)
        else:
            return
