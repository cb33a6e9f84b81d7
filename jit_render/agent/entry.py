"""What the spool holds: outputs with all that is needed to upload and commit them, as values and as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jit_render.agent.attempts import AttemptKey, CommitTuple
from jit_render.model.errors import JitRenderError
from jit_render.model.identity import ObjectUrl
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

    def as_json(self, folder: Path, boot: str, failure: JitRenderError | None = None) -> dict[str, Any]:
        return {
            "version": 1,
            "boot": boot,
            "sealed": self.sealed,
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
            sealed=bool(data["sealed"]),
        )
