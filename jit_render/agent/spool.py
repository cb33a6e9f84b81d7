"""Outputs on their way to the bucket, on a disk that may lose its process, or its power, at any moment.

::

    spool/<entry>/<base name>      the bytes (of several files with one name: <entry>/<n>/<base name>)
          <entry>.json             what they are; an entry exists exactly when this file does
          failed/                  the same two, for what cannot be uploaded before somebody changes something

An entry comes to be in this order: a hard link of each output (the output stays at its place in the view, so a kill
loses nothing), fsync, the JSON under a temporary name, fsync, rename, fsync of the folder. It ends by the removal of
the JSON, then of the bytes. So after a kill: a folder without JSON never was an entry and goes, and bytes that a
JSON names are whole. What had failed is tried once more by each new agent, for `FAILED_DAYS` (decision 0014).
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jit_render.agent.attempts import AttemptKey, CommitTuple
from jit_render.model.errors import CacheError, DiskFull, JitRenderError
from jit_render.model.identity import ObjectUrl
from jit_render.store.port import ABSENT

LOG = logging.getLogger(__name__)
_SUFFIX = ".json"
FAILED_DAYS = 30  # a month is time enough to give a permission, or to copy the pixels from the node


@dataclass(slots=True)
class SpoolFile:
    """One output."""

    url: ObjectUrl
    path: Path
    size_bytes: int
    crc32c: int
    views: tuple[str, ...]
    """The views it holds."""
    session: str | None = None
    """Where an interrupted upload goes on, and `condition`, the precondition it was begun with."""
    condition: str = ABSENT


@dataclass(frozen=True, slots=True)
class ReadBack:
    """An output of the job that one of its own frames read before it was in the bucket, known by its bytes."""

    url: ObjectUrl
    size_bytes: int
    crc32c: int


@dataclass(slots=True)
class Entry:
    """Files that are committed together: when all are in the bucket, each of `views` is done for each of `frames`."""

    name: str
    attempt: AttemptKey
    write: str
    frames: tuple[int, ...]
    views: tuple[str, ...]
    files: list[SpoolFile]
    inputs: list[tuple[str, str]] = field(default_factory=list)
    """(URL, generation) of what was read for it, or found absent; `own` is what had no version yet."""
    own: list[ReadBack] = field(default_factory=list)
    render_seconds: float = 0.0
    host: str = ""

    @property
    def job_id(self) -> str:
        return ObjectUrl.parse(self.attempt.job).name

    @property
    def urls(self) -> set[ObjectUrl]:
        return {file.url for file in self.files}

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def keys(self) -> list[CommitTuple]:
        return [(self.write, view, frame) for frame in self.frames for view in self.views]

    def as_json(self, folder: Path, failure: JitRenderError | None = None) -> dict[str, Any]:
        return {
            "version": 1,
            "job": self.attempt.job,
            "task": self.attempt.task,
            "attempt": self.attempt.attempt,
            "write": self.write,
            "frames": self.frames,
            "views": self.views,
            "inputs": self.inputs,
            "own": [[str(one.url), one.size_bytes, one.crc32c] for one in self.own],
            "render_seconds": self.render_seconds,
            "host": self.host,
            "files": [
                {
                    "url": str(file.url),
                    "path": str(file.path.relative_to(folder)),
                    "size_bytes": file.size_bytes,
                    "crc32c": file.crc32c,
                    "views": file.views,
                    "session": file.session,
                    "condition": file.condition,
                }
                for file in self.files
            ],
            "failure": None if failure is None else {"kind": failure.kind, "message": str(failure)},
        }

    @classmethod
    def from_json(cls, name: str, data: dict[str, Any], folder: Path) -> Entry:
        """Raises KeyError, TypeError, ValueError, HostilePath for what is no entry."""
        files = [
            SpoolFile(
                url=ObjectUrl.parse(file["url"]),
                path=folder / file["path"],
                size_bytes=int(file["size_bytes"]),
                crc32c=int(file["crc32c"]),
                views=tuple(file["views"]),
                session=file["session"],
                condition=file["condition"],
            )
            for file in data["files"]
        ]
        return cls(
            name=name,
            attempt=AttemptKey(str(data["job"]), int(data["task"]), int(data["attempt"])),
            write=str(data["write"]),
            frames=tuple(int(frame) for frame in data["frames"]),
            views=tuple(data["views"]),
            files=files,
            inputs=[(url, generation) for url, generation in data["inputs"]],
            own=[ReadBack(ObjectUrl.parse(url), int(size), int(crc)) for url, size, crc in data.get("own", ())],
            render_seconds=float(data["render_seconds"]),
            host=str(data["host"]),
        )


class Spool:
    """The folder. Methods that touch many bytes say so; they may run in any thread, one per entry at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failed = folder / "failed"
        self.failed.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.discarded = 0

    def recover(self) -> list[Entry]:
        """Every entry that an earlier agent left, oldest first; sweeps what never became one, and failures of old."""
        self._sweep_failed()
        for path in sorted(self.failed.iterdir(), key=lambda path: path.suffix == _SUFFIX):
            path.rename(self.folder / path.name)  # folders before their JSON, as in `fail`
        entries: list[Entry] = []
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            entry = self._load(path)
            if entry is not None:
                entries.append(entry)
        known = {entry.name for entry in entries}
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
        name = path.name.removesuffix(_SUFFIX)
        try:
            entry = Entry.from_json(name, json.loads(path.read_bytes()), self.folder / name)
            lost = [file for file in entry.files if file.path.stat().st_size != file.size_bytes]
        except (KeyError, TypeError, ValueError, OSError, JitRenderError) as error:
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
        """Make `entry` durable; its files' bytes are at `outputs` and stay there. In a thread.

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
                _sync(file.path)
                _sync(place)
            _sync(folder)
            self.save(entry)
        except OSError as error:
            self.remove_quietly(entry)
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            raise (DiskFull if full else CacheError)(
                f"{entry.files[0].url}: its bytes cannot be kept in {folder} until they are uploaded "
                f"({error.strerror}); {'free space on' if full else 'look after'} the cache's disk."
            ) from error

    def save(self, entry: Entry, failure: JitRenderError | None = None) -> None:
        """Write the entry's JSON anew, durably. In a thread."""
        path = self.folder / f"{entry.name}{_SUFFIX}"
        temporary = path.with_suffix(".part")
        try:
            with temporary.open("wb") as file:
                file.write(json.dumps(entry.as_json(self.folder / entry.name, failure)).encode())
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync(self.folder)

    def twin(self, entry: Entry) -> Path:
        """A name beside the entry for one more link to its bytes; swept by `recover`."""
        return self.folder / f"{entry.name}.twin"

    def remove(self, entry: Entry) -> None:
        """The entry is done. In a thread."""
        (self.folder / f"{entry.name}{_SUFFIX}").unlink(missing_ok=True)
        _sync(self.folder)
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
