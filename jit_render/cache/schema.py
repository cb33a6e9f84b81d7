"""The index's file: opened, or moved aside.

WAL with ``synchronous=NORMAL``: a killed process loses nothing that was committed, a lost power supply may lose the
last commits but leaves the file whole. The flushes to disk this costs happen in the thread that writes, never on
the agent's thread. A file that is no index of ours, in whatever way, is moved aside, and the cache starts empty.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from jit_render.cache import files

VERSION = 2  # the last line of _TABLES says the same
_log = logging.getLogger(__name__)
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_TABLES = """
BEGIN IMMEDIATE;
CREATE TABLE entries (
    digest BLOB NOT NULL PRIMARY KEY,
    url TEXT NOT NULL,
    generation TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    crc32c INTEGER NOT NULL,
    boot TEXT NOT NULL,
    last_use INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX entries_by_use ON entries (last_use);
CREATE TABLE totals (entries INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO totals VALUES (0, 0);
CREATE TABLE pins (
    job TEXT NOT NULL,
    url TEXT NOT NULL,
    info TEXT NOT NULL,
    pinned REAL NOT NULL,
    PRIMARY KEY (job, url)
) WITHOUT ROWID;
PRAGMA user_version = 2;
COMMIT;
"""


class NotAnIndex(Exception):
    """The file is broken, or another version wrote it."""


@dataclass(frozen=True)
class Connections:
    """One for the agent's thread, which only reads, and one for the thread that writes."""

    reader: sqlite3.Connection
    writer: sqlite3.Connection

    def close(self) -> None:
        for connection in {self.reader, self.writer}:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def connect(path: Path) -> tuple[Connections, bool]:
    """The index at `path`, and whether it begins empty. Raises sqlite3.OperationalError where the disk is to blame."""
    for _ in range(2):
        try:
            return _open(path)
        except (NotAnIndex, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.OperationalError) and not is_corrupt(error) and not path.is_dir():
                raise
            _log.warning("index %s is no use (%s); it is moved aside and the cache starts empty", path, error)
            move_aside(path)
    return _open(path)


def in_memory() -> Connections:
    """An index for this run only, for a disk that has no room for one."""
    connection = _plain(":memory:")
    connection.executescript(_TABLES)
    return Connections(connection, connection)


def is_corrupt(error: BaseException) -> bool:
    """True where the file is broken, and not merely busy or out of room."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT


def move_aside(path: Path) -> None:
    """Keep the last broken index for whoever wants to look; forget older ones."""
    aside = path.with_name(path.name + ".broken")
    for old in (aside, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        files.remove(str(old))
    path.rename(aside)


def _open(path: Path) -> tuple[Connections, bool]:
    fresh = not path.exists()
    reader = _plain(str(path))
    try:
        version = reader.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and not reader.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            fresh = True
            reader.execute("PRAGMA journal_mode=WAL")
            reader.executescript(_TABLES)
        else:
            _look_at(reader, version)
        return Connections(reader, _plain(str(path))), fresh
    except (NotAnIndex, sqlite3.Error):
        reader.close()
        raise


def _look_at(reader: sqlite3.Connection, version: int) -> None:
    """One cheap look at each table finds a file that only starts like an index."""
    if version != VERSION:
        raise NotAnIndex(f"its version is {version}, this release writes {VERSION}")
    if reader.execute("SELECT entries, bytes FROM totals").fetchone() is None:
        raise NotAnIndex("its totals are missing")
    reader.execute("SELECT * FROM entries ORDER BY last_use DESC LIMIT 1").fetchall()
    reader.execute("SELECT * FROM pins LIMIT 1").fetchall()


def _plain(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, isolation_level=None, check_same_thread=False, timeout=5.0)
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection
