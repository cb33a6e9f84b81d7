"""The index at a start, whatever the disk and the last run have made of it."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator

from jit_render.cache import files, schema
from jit_render.cache.index import Index
from jit_render.cache.layout import Layout

ROOM_BYTES = 1 << 20  # what SQLite wants for its shared memory and a first batch, with a margin
_log = logging.getLogger(__name__)


def open_index(layout: Layout) -> Index:
    """The index of this cache, empty where it was broken.

    A disk without room even for SQLite's own files must not prevent the start: some objects are given up for it, and
    where there are none to give, the index is kept in memory for this run.
    """
    try:
        connections, fresh = _connect(layout)
    except sqlite3.OperationalError as error:
        _log.warning("index %s cannot be opened (%s); this run keeps it in memory", layout.index, error)
        connections, fresh = schema.in_memory(), True
    if fresh and files.names_in(str(layout.objects)):
        # Objects without an index are of no use. `NodeCache.start` removes what lies in incoming/.
        files.move(str(layout.objects), f"{layout.incoming}/without-index-{os.urandom(4).hex()}")
        files.make_folder(str(layout.objects))
    return Index(layout.index, connections)


def _connect(layout: Layout) -> tuple[schema.Connections, bool]:
    try:
        return schema.connect(layout.index)
    except sqlite3.OperationalError as error:
        _log.warning("index %s cannot be opened (%s); making room for it", layout.index, error)
        _make_room(layout)
        return schema.connect(layout.index)


def _make_room(layout: Layout) -> None:
    """Remove leftovers of dead runs, then any objects: their rows are found to be without a file when asked for."""
    for path in _expendable(layout):
        disk = os.statvfs(layout.root)
        if disk.f_bavail * disk.f_frsize >= ROOM_BYTES:
            return
        files.remove(path)


def _expendable(layout: Layout) -> Iterator[str]:
    for name in files.names_in(str(layout.incoming)):
        yield f"{layout.incoming}/{name}"
    for bucket in files.names_in(str(layout.objects)):
        for digest in files.names_in(f"{layout.objects}/{bucket}"):
            yield f"{layout.objects}/{bucket}/{digest}"
