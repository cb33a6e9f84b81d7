"""The least that a machine can do for a download: what any client of `fetch` is held against.

*bare* is request, head, checksum, temporary, name and link for each object, and nothing around it: no asyncio, no
index, no lease, nobody who asks. Small objects take one thread, which is the fastest that one interpreter does them;
large ones a thread each, whose time goes to calls that need no interpreter, with the buffers and the calls that cost
least here. *disk* writes the same bytes to the same files without a network and without a checksum.
"""

from __future__ import annotations

import os
import re
import selectors
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self
from urllib.parse import quote

from benchmarks.bucket_server import BUCKET
from jit_render.store.buffers import page_aligned
from jit_render.store.crc import Crc32c

BLOCK_BYTES = 1 << 20
SMALL_BYTES = BLOCK_BYTES // 2
"""What fits a connection's buffer with its head is received whole."""
_CONNECTIONS = 8
_HEAD_BYTES = 4096
_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")


def bare(url: str, folder: Path, names: list[str], object_bytes: int) -> Callable[[], object]:
    """Fetch `names` of `object_bytes` each to `folder`; the call that does it."""
    (folder / "view").mkdir()
    (folder / "objects").mkdir()
    return (_small if object_bytes <= SMALL_BYTES else _large)(url, folder, names)


def write_alone(_url: str, folder: Path, names: list[str], object_bytes: int) -> Callable[[], object]:
    """Only write as many bytes to as many files."""
    block = os.urandom(BLOCK_BYTES)

    def write(name: str) -> None:
        with (folder / name.replace("/", "-")).open("wb", buffering=0) as file:
            for start in range(0, object_bytes, BLOCK_BYTES):
                file.write(block[: object_bytes - start])

    return lambda: _in_threads(write, names)


def _in_threads(work: Callable[[str], None], names: list[str]) -> None:
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        list(pool.map(work, names))


def _large(url: str, folder: Path, names: list[str]) -> Callable[[], object]:
    address = _address(url)

    def fetch(name: str) -> None:
        view = page_aligned(BLOCK_BYTES)
        seen = Crc32c()
        with socket.create_connection(address) as connection, _Kept(folder, name) as file:
            connection.sendall(_request(address, name))
            head, _, begun = connection.recv(_HEAD_BYTES).partition(b"\r\n\r\n")  # it comes at once from this server
            left = int(_LENGTH.search(head)[1])  # type: ignore[index]  # nginx always says it
            view[: len(begun)] = begun
            filled = len(begun)
            while left:
                wanted = view[:left]
                filled += connection.recv_into(wanted[filled:], len(wanted) - filled, socket.MSG_WAITALL)
                if filled < len(wanted):
                    raise ConnectionResetError(name)
                seen.update(wanted)
                os.write(file.descriptor, wanted)
                left, filled = left - filled, 0

    return lambda: _in_threads(fetch, names)


class _Kept:
    """A temporary that gets its name and its link when it is whole."""

    def __init__(self, folder: Path, name: str) -> None:
        plain = name.replace("/", "-")
        self._temporary, self._final = f"{folder}/{plain}", f"{folder}/objects/{plain}"
        self._link = f"{folder}/view/{plain}"

    def __enter__(self) -> Self:
        self.descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        return self

    def __exit__(self, *_: object) -> None:
        os.fchmod(self.descriptor, 0o444)
        os.close(self.descriptor)
        os.rename(self._temporary, self._final)  # noqa: PTH104 - the least work is what is measured
        os.symlink(self._final, self._link)  # noqa: PTH211 - the same


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.rpartition("/")[2].partition(":")
    return host, int(port)


def _request(address: tuple[str, int], name: str) -> bytes:
    target = f"/download/storage/v1/b/{BUCKET}/o/{quote(name, safe='')}?alt=media"
    return f"GET {target} HTTP/1.1\r\nHost: {address[0]}\r\n\r\n".encode()


def _small(url: str, folder: Path, names: list[str]) -> Callable[[], object]:
    """One thread, its connections kept: what is left to be saved."""
    address = _address(url)
    waiting = list(reversed(names))

    def ask(connection: socket.socket) -> bool:
        if not waiting:
            return False
        name = waiting.pop()
        connection.sendall(_request(address, name))
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
                connection = socket.create_connection(address)
                buffers[connection] = bytearray(BLOCK_BYTES)
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
    with _Kept(folder, name) as file:
        os.write(file.descriptor, data)
