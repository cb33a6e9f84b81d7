"""Outputs on their way to the bucket, on a disk that may lose its process, or its power, at any moment.

::

    spool/<entry>/<base name>      the bytes (of several files with one name: <entry>/<n>/<base name>)
          <entry>.json             what they are; an entry exists exactly when this file does
          failed/                  the same two, for what cannot be uploaded before somebody changes something

An entry comes to be in two steps (decision 0060). It is *taken*, in microseconds, for a renderer waits: a hard link of
each output (the output stays at its place in the view, so a kill loses nothing), then the JSON, under a temporary name
and renamed. That survives a kill of every process, for the kernel has the bytes. Its files are *summed*: the crc32c
with which they are uploaded. Where it is not in the bucket soon, it is *sealed*, for power may fail: fsync of files and
folders, and the JSON anew, fsync, rename, fsync. It ends by the removal of the JSON, then of the bytes.

So after a kill: a folder without JSON never was an entry and goes, and bytes that a JSON names are whole; after another
boot that holds for sealed entries only, and the others go: their frames have no commit record and are rendered again.
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
from collections.abc import Sequence
from pathlib import Path

from jit_render.agent.entry import UNKNOWN, Entry, SpoolFile
from jit_render.cache.layout import this_boot
from jit_render.model.errors import CacheError, DiskFull, JitRenderError
from jit_render.store.crc import crc32c_of_file

__all__ = ["Entry", "Spool", "SpoolFile"]

LOG = logging.getLogger(__name__)
_SUFFIX = ".json"
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
        for path in sorted(self.failed.iterdir(), key=lambda path: path.suffix == _SUFFIX):
            path.rename(self.folder / path.name)  # folders before their JSON, as in `fail`
        entries: list[Entry] = []
        unread: set[str] = set()
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            try:
                entry = self._load(path)
            except OSError as error:  # a sick disk recovers, and these may be a frame's only bytes
                LOG.warning("spool entry %s cannot be read now; the next agent tries again: %s", path, error)
                unread.add(path.name.removesuffix(_SUFFIX))
                continue
            if entry is not None:
                entries.append(entry)
        known = {entry.name for entry in entries} | unread
        for path in self.folder.iterdir():
            if path != self.failed and path.name.removesuffix(_SUFFIX) not in known:
                self._discard(path)
        return entries

    def _sweep_failed(self) -> None:
        oldest = time.time_ns() - FAILED_DAYS * 86_400 * 10**9
        for path in list(self.failed.iterdir()):
            if path.name < f"{oldest:020d}":
                LOG.warning("%s failed to be uploaded over %d days ago and is dropped", path, FAILED_DAYS)
                self._discard(path)

    def _load(self, path: Path) -> Entry | None:
        """The entry; None for what is none or has lost its bytes. Raises OSError where the disk does not answer."""
        name = path.name.removesuffix(_SUFFIX)
        try:
            data = json.loads(path.read_bytes())
            entry = Entry.from_json(name, data, self.folder / name)
            if not entry.sealed and data["boot"] != self._boot:
                LOG.warning("%s was not safe on the disk yet when the machine went down; render it again", path)
                return None
            lost = [file for file in entry.files if file.path.stat().st_size != file.size_bytes]
        except (KeyError, TypeError, ValueError, FileNotFoundError, JitRenderError) as error:
            LOG.warning("spool entry %s cannot be used and is dropped: %s", path, error)
            return None
        if lost:
            LOG.warning("spool entry %s has lost bytes of %s and is dropped", path, lost[0].url)
            return None
        return entry

    def _discard(self, path: Path) -> None:
        self.discarded += 1
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def add(self, entry: Entry, outputs: Sequence[Path]) -> None:
        """Take `entry`, so that it survives a kill; its files' bytes are at `outputs` and stay there. In a thread.

        Gives the entry its name and each file its path in the spool. Raises DiskFull, CacheError.
        """
        entry.name = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        folder = self.folder / entry.name
        try:
            for number, (file, output) in enumerate(zip(entry.files, outputs, strict=True)):
                place = folder / str(number) if len(outputs) > 1 else folder
                place.mkdir(parents=True)
                file.path = place / file.url.name
                os.link(output, file.path)
                file.path.chmod(0o400)  # nobody writes through the link that will stand at the output's place
            self._write(entry)
        except OSError as error:
            self.remove_quietly(entry)
            raise self._not_kept(entry, error) from error

    def sum(self, entry: Entry) -> None:
        """Find the crc32c of each file. In a thread.

        What cannot be read is removed: nobody can tell any more what its bytes should be. Raises DiskFull, CacheError.
        """
        try:
            for file in entry.files:
                if file.crc32c == UNKNOWN:
                    file.crc32c = crc32c_of_file(file.path)
        except OSError as error:
            self.remove_quietly(entry)
            raise self._not_kept(entry, error) from error

    def seal(self, entry: Entry) -> None:
        """Make `entry`, which is summed, survive a loss of power. In a thread. Raises OSError.

        It may be removed meanwhile, or before; then this does nothing.
        """
        for file in entry.files:
            if not (self.folder / f"{entry.name}{_SUFFIX}").exists():
                return
            _sync(file.path)
            _sync(file.path.parent)
        _sync(self.folder / entry.name)
        with self._writing:
            if (self.folder / f"{entry.name}{_SUFFIX}").exists():
                entry.sealed = True
                self._write(entry, durably=True)
        _sync(self.folder)

    def _not_kept(self, entry: Entry, error: OSError) -> JitRenderError:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        return (DiskFull if full else CacheError)(
            f"{entry.files[0].url}: its bytes cannot be kept in {self.folder / entry.name} until they are uploaded "
            f"({error.strerror}); {'free space on' if full else 'look after'} the cache's disk."
        )

    def save(self, entry: Entry, failure: JitRenderError | None = None) -> None:
        """Write the entry's JSON anew, durably where its bytes are. In a thread."""
        with self._writing:
            self._write(entry, failure, durably=entry.sealed)
        if entry.sealed:
            _sync(self.folder)

    def _write(self, entry: Entry, failure: JitRenderError | None = None, *, durably: bool = False) -> None:
        path = self.folder / f"{entry.name}{_SUFFIX}"
        temporary = path.with_suffix(".part")
        try:
            with temporary.open("wb") as file:
                file.write(json.dumps(entry.as_json(self.folder / entry.name, self._boot, failure)).encode())
                file.flush()
                if durably:
                    os.fsync(file.fileno())
            temporary.rename(path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def twin(self, entry: Entry) -> Path:
        """A name beside the entry for one more link to its bytes; swept by `recover`."""
        return self.folder / f"{entry.name}.twin"

    def remove(self, entry: Entry) -> None:
        """The entry is done. In a thread. Not synced: one that power brings back finds that it has won."""
        with self._writing:
            (self.folder / f"{entry.name}{_SUFFIX}").unlink(missing_ok=True)
        shutil.rmtree(self.folder / entry.name, ignore_errors=True)

    def remove_quietly(self, entry: Entry) -> None:
        """What there is of an entry that did not come to be. In a thread."""
        with contextlib.suppress(OSError):
            self.remove(entry)
        shutil.rmtree(self.folder / entry.name, ignore_errors=True)

    def forget(self, entry: Entry) -> None:
        """Drop an entry that was put aside: its frames have been committed by others. In a thread."""
        (self.failed / f"{entry.name}{_SUFFIX}").unlink(missing_ok=True)
        shutil.rmtree(self.failed / entry.name, ignore_errors=True)

    def fail(self, entry: Entry, failure: JitRenderError) -> None:
        """Put the entry aside; the JSON moves last, so a kill in between is mended by `recover`. In a thread."""
        with contextlib.suppress(OSError):
            self.save(entry, failure)  # the reason is for people
        (self.folder / entry.name).rename(self.failed / entry.name)
        (self.folder / f"{entry.name}{_SUFFIX}").rename(self.failed / f"{entry.name}{_SUFFIX}")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
