"""One library client in a process of its own: ``python -m benchmarks.fetch_clients CLIENT URL BYTES FOLDER NAMES``.

Says wall seconds of the downloads and CPU seconds of this process for them as JSON; imports and log-in are not counted.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.bucket_server import BUCKET
from benchmarks.fetch_bare import BLOCK_BYTES, bare, write_alone
from jit_render.store.buffers import page_aligned

THREADS = 4
READERS = 8


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
        block = page_aligned(BLOCK_BYTES)
        with (folder / name).open("rb", buffering=0) as file:
            while file.readinto(block):
                pass

    def run() -> None:
        with ThreadPoolExecutor(READERS) as pool:
            list(pool.map(read, names))

    return run


def touch_memory(folder: Path, size_bytes: int) -> None:
    """Fill so much of the page cache and free it: what this machine holds now need not be fetched from its host."""
    path, block = folder / "memory", bytes(BLOCK_BYTES)
    with path.open("wb", buffering=0) as file:
        for _ in range(-(-size_bytes // len(block))):
            file.write(block)
    path.unlink()


def _place(folder: Path, name: str) -> Path:
    return folder / name.replace("/", "-")


_CLIENTS = {"google-cloud-storage": _google, "gcsfs": _gcsfs, "mounted": _mounted}
_BOUNDS = {"bare": bare, "disk": write_alone}


def main(arguments: list[str]) -> None:
    client, url, size_bytes, folder, listed = arguments
    names = Path(listed).read_text().split()
    if client in _BOUNDS:
        run = _BOUNDS[client](url, Path(folder), names, int(size_bytes) // len(names))
    else:
        run = _CLIENTS[client](url, Path(folder), names)
    if client != "mounted":
        touch_memory(Path(folder), int(size_bytes))
    start, cpu = time.perf_counter(), time.process_time()
    run()
    print(json.dumps({"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}))


if __name__ == "__main__":
    main(sys.argv[1:])
