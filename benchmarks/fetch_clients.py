"""One library client in a process of its own: ``python -m benchmarks.fetch_clients CLIENT URL BYTES FOLDER NAMES``.

Says wall seconds of the downloads and CPU seconds of this process for them as JSON; imports and log-in are not counted.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

from benchmarks.bucket_server import BUCKET
from jit_render.store.crc import Crc32c

THREADS = 4
READERS = 8
_CONNECTIONS = 8
_BLOCK_BYTES = 1 << 20
_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")


def _google(url: str, folder: Path, names: list[str]) -> Callable[[], object]:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]  # google-auth is typed in part
    bucket = Client(project="bench", credentials=credentials, client_options={"api_endpoint": url}).bucket(BUCKET)

    def run() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda name: bucket.blob(name).download_to_filename(str(_place(folder, name))), names))

    return run


def _gcsfs(url: str, folder: Path, names: list[str]) -> Callable[[], object]:
    import gcsfs

    files = gcsfs.GCSFileSystem(endpoint_url=url, token="anon", project="bench")
    remote = [f"{BUCKET}/{name}" for name in names]
    return lambda: files.get(remote, [str(_place(folder, name)) for name in names])


def _mounted(_url: str, folder: Path, names: list[str]) -> Callable[[], object]:
    """Read files below `folder` to their ends, several at once, as renders do."""

    def read(name: str) -> None:
        block = bytearray(_BLOCK_BYTES)
        with (folder / name).open("rb", buffering=0) as file:
            while file.readinto(block):
                pass

    def run() -> None:
        with ThreadPoolExecutor(READERS) as pool:
            list(pool.map(read, names))

    return run


def _bare(url: str, folder: Path, names: list[str]) -> Callable[[], object]:
    """The least that Python can do: request, head, checksum, temporary, name and link for each, and nothing around it.

    One thread over kept connections, no asyncio, no index, no lease, nobody who asks: what is left to be saved.
    """
    host, _, port = url.rpartition("/")[2].partition(":")
    (folder / "view").mkdir()
    (folder / "objects").mkdir()
    waiting = list(reversed(names))

    def ask(connection: socket.socket) -> bool:
        if not waiting:
            return False
        name = waiting.pop()
        target = f"/download/storage/v1/b/{BUCKET}/o/{quote(name, safe='')}?alt=media"
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        states[connection] = (name, 0)
        return True

    def take(connection: socket.socket) -> bool:
        """Whether the connection goes on."""
        name, filled = states[connection]
        filled += connection.recv_into(views[connection][filled:])
        states[connection] = (name, filled)
        end = buffers[connection].find(b"\r\n\r\n", 0, filled) + 4
        if end < 4:
            return True
        length = int(_LENGTH.search(buffers[connection], 0, end)[1])  # type: ignore[index]  # nginx always says it
        if filled < end + length:
            return True
        _keep(views[connection][end : end + length], folder, name)
        return ask(connection)

    def run() -> None:
        with selectors.DefaultSelector() as selector:
            for _ in range(min(_CONNECTIONS, len(names))):
                connection = socket.create_connection((host, int(port)))
                buffers[connection] = bytearray(_BLOCK_BYTES)
                views[connection] = memoryview(buffers[connection])
                selector.register(connection, selectors.EVENT_READ)
                ask(connection)
            while selector.get_map():
                for key, _ in selector.select():
                    connection = key.fileobj  # type: ignore[assignment]  # only sockets are registered
                    if not take(connection):
                        selector.unregister(connection)
                        connection.close()

    states: dict[socket.socket, tuple[str, int]] = {}
    buffers: dict[socket.socket, bytearray] = {}
    views: dict[socket.socket, memoryview] = {}
    return run


def _keep(data: memoryview, folder: Path, name: str) -> None:
    seen = Crc32c()
    seen.update(data)
    plain = name.replace("/", "-")
    temporary, final = f"{folder}/temporary", f"{folder}/objects/{plain}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(descriptor, data)
    os.fchmod(descriptor, 0o444)
    os.close(descriptor)
    os.rename(temporary, final)  # noqa: PTH104 - the least work is what is measured
    os.symlink(final, f"{folder}/view/{plain}")  # noqa: PTH211 - the same


def touch_memory(folder: Path, size_bytes: int) -> None:
    """Fill so much of the page cache and free it: what this machine holds now need not be fetched from its host."""
    path, block = folder / "memory", bytes(_BLOCK_BYTES)
    with path.open("wb", buffering=0) as file:
        for _ in range(-(-size_bytes // len(block))):
            file.write(block)
    path.unlink()


def _place(folder: Path, name: str) -> Path:
    return folder / name.replace("/", "-")


_CLIENTS = {"google-cloud-storage": _google, "gcsfs": _gcsfs, "mounted": _mounted, "bare": _bare}


def main(arguments: list[str]) -> None:
    client, url, size_bytes, folder, names = arguments
    run = _CLIENTS[client](url, Path(folder), Path(names).read_text().split())
    if client != "mounted":
        touch_memory(Path(folder), int(size_bytes))
    start, cpu = time.perf_counter(), time.process_time()
    run()
    print(json.dumps({"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}))


if __name__ == "__main__":
    main(sys.argv[1:])
