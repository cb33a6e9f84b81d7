"""A node's cache with very many objects, made directly: rows, files, and one job that has pinned some of them.

What a million fetches would leave, without fetching: each entry has its row and, under its digest, its file (a hard
link of one small file, for only its presence and its size are looked at). The files go to memory (``/dev/shm``)
where there is room, because a million of them take minutes to remove from a disk; the index is a file like any
other, and as large as it would be.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jit_render.cache import schema
from jit_render.cache.layout import Layout, this_boot
from jit_render.model.identity import ObjectId, ObjectUrl
from jit_render.store.crc import crc32c_of_bytes

BYTES = b"bytes of a plate; a resolve does not read them\n"
GENERATION = "1700000000000001"
_LINKS_PER_FILE = 30_000  # ext4 takes 65,000
_ROWS_AT_A_TIME = 10_000
_BYTES_PER_ENTRY = 2048  # an inode and a row
_MEMORY = Path("/dev/shm")


@contextmanager
def roomy_folder(entries: int) -> Iterator[Path]:
    """A new folder for so many entries, in memory where that has room."""
    memory = _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 2 * entries * _BYTES_PER_ENTRY else None
    with tempfile.TemporaryDirectory(prefix="jit-render-bench-", dir=memory) as name:
        yield Path(name)


def object_url(bucket: str, number: int) -> ObjectUrl:
    return ObjectUrl(bucket, f"plates/main_v003/plate.{number:07}.exr")


def fill(root: Path, bucket: str, entries: int) -> None:
    """Make the cache at `root`: `entries` objects of `bucket`, oldest first."""
    layout = Layout(root)
    layout.make()
    connections, _ = schema.connect(layout.index)
    boot, crc32c = this_boot(), crc32c_of_bytes(BYTES)
    for number in range(256):
        (layout.objects / f"{number:02x}").mkdir()
    rows = []
    for number in range(entries):
        if number % _LINKS_PER_FILE == 0:
            source = root / f"source-{number}"
            source.write_bytes(BYTES)
        url = object_url(bucket, number)
        digest = ObjectId(url, GENERATION).digest
        path = layout.object_path(digest, url.name)
        os.link(source, path)
        rows.append((bytes.fromhex(digest), str(url), GENERATION, len(BYTES), crc32c, boot, number + 1))
        if len(rows) == _ROWS_AT_A_TIME or number == entries - 1:
            _write(connections, rows)
            rows.clear()
    totals = (entries, entries * len(BYTES))
    connections.writer.execute("UPDATE totals SET entries = ?, bytes = ?", totals)
    connections.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connections.close()


def pin(root: Path, job: str, bucket: str, numbers: list[int]) -> None:
    """What `job` would have pinned by asking for these, long enough ago not to be in memory."""
    connections, _ = schema.connect(Layout(root).index)
    info = json.dumps(
        {
            "generation": GENERATION,
            "size_bytes": len(BYTES),
            "crc32c": crc32c_of_bytes(BYTES),
            "updated": 0.0,
            "writer": None,
            "content_encoding": None,
        }
    )
    far = 4e9  # never too old
    pins = [(job, str(object_url(bucket, number)), info, far) for number in numbers]
    with connections.writer:
        connections.writer.execute("BEGIN")
        connections.writer.executemany("INSERT OR REPLACE INTO pins VALUES (?, ?, ?, ?)", pins)
        connections.writer.execute("COMMIT")
    connections.close()


def _write(connections: schema.Connections, rows: list[tuple[bytes, str, str, int, int, str, int]]) -> None:
    connections.writer.execute("BEGIN")
    connections.writer.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    connections.writer.execute("COMMIT")
