"""What this machine remembers of its own files: their crc32c, and uploads that were begun.

An entry belongs to one identity of a file (path, size, times in nanoseconds, inode); a changed file has another one and
is read again. Nothing is kept about the bucket: what is there is asked of the bucket every time. Losing all of it costs
a second reading and no more, so whatever is wrong with the folder or the database, work goes on without.

Entries are JSON; but whoever could write into the database could have the library unpickle what he likes, and the
address of an upload session is as good as a key. So the folder is the user's alone (0700), or is not used. It holds one
folder per machine: homes are often shared disks, and SQLite's log is not for two machines at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sqlite3
import stat
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import diskcache

from jit_render.farm.local_files import LocalFile
from jit_render.model.identity import ObjectInfo
from jit_render.store import ABSENT

SESSION_SECONDS = 6 * 24 * 3600.0  # Cloud Storage keeps an upload session for a week
LOCK_SECONDS = 5.0  # for another process's transaction
_LEAST_BYTES = 1 << 20  # below this the database would throw away what it has just been given
_BUSY_LIMIT = 3  # waits in vain, before no more are begun
_TROUBLE = (sqlite3.Error, diskcache.Timeout, OSError, ValueError, KeyError, TypeError)


class HashCache:
    """Open with `open_hashes`. Safe between threads and processes. ``problem`` says why nothing is remembered."""

    def __init__(self, cache: diskcache.Cache | None, problem: str = "") -> None:
        self._cache: Any = cache
        self._turn = threading.Lock()  # SQLite's own waiting is unfair: who writes on and on would starve the others
        self._busy = 0
        self.problem = problem

    def crc32c(self, file: LocalFile) -> int | None:
        """The checksum of that very version of the file; None where it must be read."""
        value = self._get(["crc32c", *file.identity])
        return value if isinstance(value, int) and 0 <= value < 1 << 32 else None

    def remember(self, found: Iterable[tuple[LocalFile, int]]) -> None:
        """Keep checksums, all in one transaction."""
        with self._turn, self._guarded() as cache:
            if cache is not None:
                with cache.transact():
                    for file, crc32c in found:
                        cache.set(["crc32c", *file.identity], crc32c)

    def session(self, file: LocalFile, replaces: ObjectInfo | None) -> str | None:
        """The address of an upload of that file to that place that nobody goes on with."""
        value = self._get(_session_key(file, replaces))
        if isinstance(value, list) and len(value) == 2 and not _is_another_process(value[1]):
            return str(value[0])
        return None

    def begin_session(self, file: LocalFile, replaces: ObjectInfo | None, address: str) -> None:
        with self._turn, self._guarded() as cache:
            if cache is not None:
                cache.set(_session_key(file, replaces), [address, os.getpid()], expire=SESSION_SECONDS)

    def end_session(self, file: LocalFile, replaces: ObjectInfo | None) -> None:
        with self._turn, self._guarded() as cache:
            if cache is not None:
                cache.delete(_session_key(file, replaces))

    def close(self) -> None:
        with self._guarded() as cache:
            if cache is not None:
                cache.close()

    def _get(self, key: list[object]) -> object:
        found: list[object] = []
        with self._guarded() as cache:
            if cache is not None:
                found.append(cache.get(key))
        return found[0] if found else None

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[Any]:
        """The database while it works. What it cannot do is as if it had not been there."""
        cache = self._cache
        try:
            yield cache
        except diskcache.Timeout:
            self._busy += 1
            self.problem = self.problem or "some checksums are not remembered: another process keeps the database busy"
            if self._busy >= _BUSY_LIMIT:
                self._cache = None
        except _TROUBLE as error:
            self.problem = self.problem or f"checksums are not remembered: {error}"
            self._cache = None
            if _is_damage(error):
                shutil.rmtree(cache.directory, ignore_errors=True)  # the next run begins with an empty one


def open_hashes(folder: Path, limit_bytes: int) -> HashCache:
    """The cache in `folder`, made where it is not there. Never fails; see `problem`."""
    try:
        _make_private(folder)
        place = folder / (socket.gethostname() or "localhost")
        place.mkdir(mode=0o700, exist_ok=True)
        try:
            return HashCache(_open(place, limit_bytes))
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(mode=0o700, exist_ok=True)
            return HashCache(_open(place, limit_bytes))
    except _TROUBLE as error:
        return HashCache(None, f"checksums are not remembered, every file is read again: {error}")


def _is_damage(error: Exception) -> bool:
    """Whether the database itself is broken, rather than busy or out of reach."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)


def _open(place: Path, limit_bytes: int) -> diskcache.Cache:
    return diskcache.Cache(
        str(place),
        timeout=LOCK_SECONDS,
        disk=diskcache.JSONDisk,
        size_limit=max(limit_bytes, _LEAST_BYTES),
        eviction_policy="least-recently-stored",  # any other writes at each look
    )


def _make_private(folder: Path) -> None:
    """Raises OSError where the folder is not ours alone and cannot be made so."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(f"{folder} is no folder of its own; remove it or set ingest.hashes")
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to somebody else; set ingest.hashes to a folder of your own")
    if status.st_mode & 0o077:
        folder.chmod(0o700)


def _session_key(file: LocalFile, replaces: ObjectInfo | None) -> list[object]:
    return ["session", *file.identity, str(file.url), ABSENT if replaces is None else replaces.id.generation]


def _is_another_process(pid: object) -> bool:
    """Whether a living process other than this one has that number: it is still uploading."""
    if not isinstance(pid, int) or pid <= 0 or pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
