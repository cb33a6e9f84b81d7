"""Is every frame of a job really there? Its record, its outputs, their bytes, and whether each EXR is whole.

Everything is read again from the bucket: the live version must be the recorded one, its size and crc32c must be
the recorded ones, and an EXR must be complete by its own chunk table. An output that several records share (the
views of one file, the frames of a movie) is read once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jit_render.farm.fetching import fetch
from jit_render.farm.records import JobReader, concurrently
from jit_render.model.errors import JitRenderError, ObjectNotFound
from jit_render.model.exr import EXTENSIONS, check_exr
from jit_render.model.frames import FrameSet
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import CommitKey, CommitRecord, OutputRecord
from jit_render.store import Store


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one frame."""

    frame: int
    write: str
    view: str
    message: str

    def __str__(self) -> str:
        return f"frame {self.frame}, {self.write} ({self.view}): {self.message}"


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """`frames_verified` have no problem; `bytes_read` is what was downloaded to know it."""

    frames_verified: int
    frames_asked: int
    files: int
    bytes_read: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def verify_job(store: Store, home: ObjectUrl, scratch: Path, frames: FrameSet | None = None) -> VerifyReport:
    """Check the job's frames (or those of `frames`) against the bucket; `scratch` holds one file per thread."""
    reader = JobReader(store, home)
    spec = reader.spec()
    asked = [frame for frame in spec.frame_set if frames is None or frame in frames]
    keys = [key for frame in asked for key in spec.commits(frame)]
    committed = reader.committed_of(keys)
    records = reader.commit_records(committed)
    outputs = {(output.url, output.generation): output for record in records.values() for output in record.outputs}
    found = concurrently(lambda output: _check(store, output, scratch), outputs.values())
    wrong = dict(zip(outputs, found, strict=True))
    problems = [problem for key in keys for problem in _problems(key, key in committed, records.get(key), wrong)]
    bad = {problem.frame for problem in problems}
    return VerifyReport(
        frames_verified=sum(frame not in bad for frame in asked),
        frames_asked=len(asked),
        files=len(outputs),
        bytes_read=sum(output.size_bytes for place, output in outputs.items() if not wrong[place]),
        problems=tuple(problems),
    )


def _problems(
    key: CommitKey, is_committed: bool, record: CommitRecord | None, wrong: dict[tuple[str, str], str]
) -> list[Problem]:
    if record is None:
        message = "its commit record cannot be read." if is_committed else "it has no commit record: not rendered yet."
        return [Problem(key.frame, key.write, key.view, message)]
    if (record.write, record.view, record.frame) != (key.write, key.view, key.frame) or not record.outputs:
        return [Problem(key.frame, key.write, key.view, "its commit record is about something else, or about nothing.")]
    found = [wrong[output.url, output.generation] for output in record.outputs]
    return [Problem(key.frame, key.write, key.view, message) for message in found if message]


def _check(store: Store, output: OutputRecord, scratch: Path) -> str:
    """What is wrong with one output; an empty string for nothing."""
    url = ObjectUrl.parse(output.url)
    try:
        live = store.stat(url)
        if live.id.generation != output.generation:
            return f"{url} was overwritten since it was committed; render the frame again."
        target = scratch / f"{live.id.digest}-{url.name}"
        fetch(store, output, target)
        try:
            if target.suffix.lower() in EXTENSIONS:
                check_exr(target)
        finally:
            target.unlink(missing_ok=True)
    except ObjectNotFound:
        return f"{url} is gone from the bucket; render the frame again."
    except JitRenderError as error:
        return str(error)
    return ""
