"""What the spool holds: outputs with all that is needed to upload and commit them, as values and as JSON."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jit_render.agent.attempts import AttemptKey, CommitTuple
from jit_render.cache.layout import object_name
from jit_render.model.errors import JitRenderError
from jit_render.model.identity import NAME_LIMIT_BYTES, ObjectUrl
from jit_render.store.port import ABSENT

UNKNOWN = -1
"""Instead of a crc32c."""


@dataclass(slots=True)
class SpoolFile:
    """One output."""

    url: ObjectUrl
    path: Path
    size_bytes: int
    crc32c: int
    """`UNKNOWN` until it has been read after it was taken."""
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
    sealed: bool = False
    """It survives a loss of power."""

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

    def place(self, folder: Path, number: int) -> Path:
        """Where the bytes of its file of that number lie: for people by base name, where the disk takes one so long."""
        url = self.files[number].url
        name = f"{self.name}.{number}.{url.name}"
        if len(os.fsencode(name)) > NAME_LIMIT_BYTES:
            name = object_name(f"{self.name}.{number}", url.name)
        return folder / name

    def as_json(self, boot: str, failure: JitRenderError | None = None) -> dict[str, Any]:
        """All but `sealed` and what an interrupted upload needs to go on."""
        return {
            "version": 2,
            "boot": boot,
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
                    "size_bytes": file.size_bytes,
                    "crc32c": file.crc32c,
                    "views": file.views,
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
                path=folder,
                size_bytes=int(file["size_bytes"]),
                crc32c=int(file["crc32c"]),
                views=tuple(file["views"]),
            )
            for file in data["files"]
        ]
        entry = cls(
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
        for number, file in enumerate(files):
            file.path = entry.place(folder, number)
        return entry

    def sessions_as_json(self) -> list[list[str | None]]:
        """What the interrupted uploads of its files need to go on."""
        return [[file.session, file.condition] for file in self.files]

    def take_sessions(self, data: Any) -> None:
        """The inverse. Raises TypeError, ValueError for what is none; then nothing has changed."""
        sessions = [(None if session is None else str(session), str(condition)) for session, condition in data]
        if len(sessions) != len(self.files):
            raise ValueError("other files")
        for file, (session, condition) in zip(self.files, sessions, strict=True):
            file.session, file.condition = session, condition
