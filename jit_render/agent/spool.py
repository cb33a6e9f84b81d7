"""Outputs on their way to the bucket, on a disk that may lose its process, or its power, at any moment.

::

    spool/<entry>.json             what it is; an entry exists while this file or the next does
          <entry>.sealed           the same once more, safe from a loss of power
          <entry>.<n>.<base name>  the bytes of its files
          <entry>.session          where their uploads go on; without it they begin anew
          failed/                  the same, for what cannot be uploaded before somebody changes something

An entry comes to be in two steps (decision 0060). It is *taken*, in microseconds, for a renderer waits: a hard link of
each output (the output stays at its place in the view, so a kill loses nothing), then the JSON, under a temporary name
and renamed. That survives a kill of every process, for the kernel has the bytes. Its files are *summed*: the crc32c
with which they are uploaded. Where it is not in the bucket soon, it is *sealed*, for power may fail: fsync of files and
folder, and the JSON once more, fsync, rename, fsync. It ends by the removal of the JSON, then of the bytes.

So after a kill: bytes without JSON never were an entry and go, and bytes that a JSON names are whole; after another
boot that holds for sealed entries only, and the others go: their frames have no commit record and are rendered again.

One folder holds them all, and whoever makes a name in it waits for whoever changes it: nothing here replaces a file or
removes a folder while others work, for the disk may have to free blocks before it lets the next one in (decision 0087).
What had failed is tried once more by each new agent, for `FAILED_DAYS` (decision 0014).
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from jit_render.agent.entry import UNKNOWN, Entry, SpoolFile
from jit_render.cache.layout import this_boot
from jit_render.model.errors import CacheError, DiskFull, JitRenderError, OutputInvalid
from jit_render.store.crc import crc32c_of_file

__all__ = ["Entry", "Spool", "SpoolFile"]

LOG = logging.getLogger(__name__)
_JSON, _SEALED, _SESSION, _PART = "json", "sealed", "session", "part"
FAILED_DAYS = 30  # a month is time enough to give a permission, or to copy the pixels from the node


class Spool:
    """The folder. Methods that touch many bytes say so; they may run in any thread, one per entry at a time."""

    def __init__(self, folder: Path, boot: str | None = None) -> None:
        self.folder = folder
        self._boot = boot or this_boot()
        self._writing = threading.Lock()  # one entry is sealed, uploaded and removed by different threads
        self.failed = folder / "failed"
        self.failed.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.discarded = 0

    def recover(self) -> list[Entry]:
        """Every entry that an earlier agent left, oldest first; sweeps what never became one, and failures of old."""
        self._sweep_failed()
        for path in sorted(self.failed.iterdir(), key=_is_record):
            path.rename(self.folder / path.name)  # bytes before what names them, as in `fail`
        entries: list[Entry] = []
        unread: set[str] = set()
        for name in sorted({_entry_of(path) for path in self._inside()}):
            try:
                entry = self._load(name)
            except OSError as error:  # a sick disk recovers, and these may be a frame's only bytes
                LOG.warning("spool entry %s cannot be read now; the next agent tries again: %s", name, error)
                unread.add(name)
                continue
            if entry is not None:
                entries.append(entry)
        known = {entry.name for entry in entries} | unread
        for path in self._inside():
            if _entry_of(path) not in known or _kind_of(path) == _PART:
                self._discard(path)
        return entries

    def _inside(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path != self.failed]

    def _sweep_failed(self) -> None:
        oldest = time.time_ns() - FAILED_DAYS * 86_400 * 10**9
        for path in list(self.failed.iterdir()):
            if path.name < f"{oldest:020d}":
                LOG.warning("%s failed to be uploaded over %d days ago and is dropped", path, FAILED_DAYS)
                self._discard(path)

    def _load(self, name: str) -> Entry | None:
        """The entry; None for what is none or has lost its bytes. Raises OSError where the disk does not answer."""
        for kind in (_SEALED, _JSON):
            path = self.folder / f"{name}.{kind}"
            try:
                data = json.loads(path.read_bytes())
                entry = Entry.from_json(name, data, self.folder)
                entry.sealed = kind == _SEALED
                if not entry.sealed and data["boot"] != self._boot:
                    LOG.warning("%s was not safe on the disk yet when the machine went down; render it again", path)
                    return None
            except FileNotFoundError:
                continue
            except (KeyError, TypeError, ValueError, JitRenderError) as error:
                LOG.warning("spool entry %s cannot be used: %s", path, error)
                continue
            if lost := [file for file in entry.files if _size_of(file.path) != file.size_bytes]:
                LOG.warning("spool entry %s has lost bytes of %s and is dropped", path, lost[0].url)
                return None
            self._load_sessions(entry)
            return entry
        return None

    def _load_sessions(self, entry: Entry) -> None:
        with contextlib.suppress(FileNotFoundError, TypeError, ValueError):  # half written: those uploads begin anew
            entry.take_sessions(json.loads(self._path(entry, _SESSION).read_bytes()))

    def _discard(self, path: Path) -> None:
        self.discarded += 1
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def _path(self, entry: Entry, kind: str) -> Path:
        return self.folder / f"{entry.name}.{kind}"

    def add(self, entry: Entry, outputs: Sequence[Path]) -> None:
        """Take `entry`, so that it survives a kill; its files' bytes are at `outputs` and stay there. In a thread.

        Gives the entry its name and each file its path in the spool. Raises DiskFull, CacheError.
        """
        entry.name = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        try:
            for number, (file, output) in enumerate(zip(entry.files, outputs, strict=True)):
                file.path = entry.place(self.folder, number)
                os.link(output, file.path)
                file.path.chmod(0o400)  # nobody writes through the link that will stand at the output's place
            self._write(entry, _JSON)
        except OSError as error:
            self.remove_quietly(entry)
            raise self._not_kept(entry, error) from error

    def sum(self, entry: Entry, look: Callable[[Path], None] = lambda _: None) -> None:
        """Find the crc32c of each file once it has passed `look`. In a thread.

        What does not pass is removed, and so is what cannot be read: nobody can tell any more what its bytes should be.
        Raises DiskFull, CacheError, OutputInvalid.
        """
        try:
            for file in entry.files:
                if file.crc32c == UNKNOWN:
                    look(file.path)
                    file.crc32c = crc32c_of_file(file.path)
        except OutputInvalid:
            self.remove_quietly(entry)
            raise
        except OSError as error:
            self.remove_quietly(entry)
            raise self._not_kept(entry, error) from error

    def seal(self, entry: Entry) -> None:
        """Make `entry`, which is summed, survive a loss of power. In a thread. Raises OSError.

        It may be removed meanwhile, or before; then this does nothing.
        """
        for file in entry.files:
            if not self._path(entry, _JSON).exists():
                return
            _sync(file.path)
        _sync(self.folder)
        with self._writing:
            if self._path(entry, _JSON).exists():
                self._write(entry, _SEALED, durably=True)
                entry.sealed = True
        _sync(self.folder)

    def _not_kept(self, entry: Entry, error: OSError) -> JitRenderError:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        return (DiskFull if full else CacheError)(
            f"{entry.files[0].url}: its bytes cannot be kept in {self.folder} until they are uploaded "
            f"({error.strerror}); {'free space on' if full else 'look after'} the cache's disk."
        )

    def save_sessions(self, entry: Entry) -> None:
        """Keep where the uploads of `entry` go on. In a thread. Raises OSError."""
        self._path(entry, _SESSION).write_text(json.dumps(entry.sessions_as_json()))

    def _write(self, entry: Entry, kind: str, failure: JitRenderError | None = None, *, durably: bool = False) -> None:
        temporary = self._path(entry, _PART)
        try:
            with temporary.open("wb") as file:
                file.write(json.dumps(entry.as_json(self._boot, failure)).encode())
                file.flush()
                if durably:
                    os.fsync(file.fileno())
            temporary.rename(self._path(entry, kind))
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def remove(self, entry: Entry) -> None:
        """The entry is done. In a thread. Not synced: one that power brings back finds that it has won."""
        self._remove_records(self.folder, entry)
        self._remove_bytes(self.folder, entry)

    def remove_quietly(self, entry: Entry) -> None:
        """What there is of an entry that did not come to be. In a thread."""
        with contextlib.suppress(OSError):
            self._remove_records(self.folder, entry)
        self._remove_bytes(self.folder, entry)

    def forget(self, entry: Entry) -> None:
        """Drop an entry that was put aside: its frames have been committed by others. In a thread."""
        self._remove_records(self.failed, entry)
        self._remove_bytes(self.failed, entry)

    def _remove_records(self, folder: Path, entry: Entry) -> None:
        with self._writing:
            for kind in (_SEALED, _JSON):
                (folder / f"{entry.name}.{kind}").unlink(missing_ok=True)

    @staticmethod
    def _remove_bytes(folder: Path, entry: Entry) -> None:
        for path in [folder / f"{entry.name}.{_SESSION}", *_bytes_in(folder, entry)]:
            with contextlib.suppress(OSError):
                path.unlink()

    def fail(self, entry: Entry, failure: JitRenderError) -> None:
        """Put the entry aside; what names it moves last, so a kill in between is mended by `recover`. In a thread."""
        with self._writing:
            with contextlib.suppress(OSError):
                self._write(entry, _JSON, failure)  # the reason is for people
            for path in _bytes_in(self.folder, entry):
                path.rename(self.failed / path.name)
            for kind in (_SESSION, _SEALED, _JSON):
                with contextlib.suppress(FileNotFoundError):
                    path = self._path(entry, kind)
                    path.rename(self.failed / path.name)


def _entry_of(path: Path) -> str:
    return path.name.partition(".")[0]


def _kind_of(path: Path) -> str:
    return path.name.partition(".")[2]


def _is_record(path: Path) -> bool:
    return _kind_of(path) in {_JSON, _SEALED}


def _bytes_in(folder: Path, entry: Entry) -> list[Path]:
    return [entry.place(folder, number) for number in range(len(entry.files))]


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
