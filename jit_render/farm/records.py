"""Reading a job's records, and the one rule for writing each of them.

Records are small objects that are created once (the spec, commits, the cancellation) or rewritten by one owner
under a generation precondition (attempts). A reader may meet any half of a job at any moment: a folder without
a spec, an attempt that is gone between listing and reading, a record cut short by a store that cannot write
atomically. It takes what it can read and leaves the rest for the next look; only a spec that cannot be
understood is an error.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from jit_render.model.errors import JobError, JobNotFound, ObjectNotFound, PreconditionFailed
from jit_render.model.frames import FrameSet
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.job import AttemptRecord, CommitKey, CommitRecord, JobPaths, JobSpec
from jit_render.model.settings import Settings
from jit_render.store import ABSENT, Store

READERS = 16  # threads for many small reads; their time is waiting
FEW = 64  # up to so many records are asked for one by one rather than by listing the job's

Record = TypeVar("Record", bound=BaseModel)
Item = TypeVar("Item")
Result = TypeVar("Result")


def concurrently(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`work` on each item, in order, many at once; the first exception comes out."""
    waiting = list(items)
    if len(waiting) < 2:
        return [work(item) for item in waiting]
    with ThreadPoolExecutor(min(READERS, len(waiting)), thread_name_prefix="records") as pool:
        return list(pool.map(work, waiting))


def encode(record: BaseModel) -> bytes:
    return record.model_dump_json(indent=1).encode()


def read_record(store: Store, url: ObjectUrl, kind: type[Record]) -> Record | None:
    """The record, or None while it is absent or cannot be read."""
    try:
        data, _ = store.read(url)
        return kind.model_validate_json(data)
    except (ObjectNotFound, ValidationError, ValueError):
        return None


def read_attempt(store: Store, url: ObjectUrl) -> AttemptRecord | None:
    """The attempt's record and when the store saw it written; None while it is absent or cannot be read."""
    try:
        data, info = store.read(url)
        record = AttemptRecord.model_validate_json(data)
    except (ObjectNotFound, ValidationError, ValueError):
        return None
    return record.model_copy(update={"seen": info.updated or None})  # some file systems do not know


class JobReader:
    """What a job's folder says now."""

    def __init__(self, store: Store, home: ObjectUrl) -> None:
        self.store = store
        self.paths = JobPaths(home)
        self._spec: JobSpec | None = None

    def spec(self) -> JobSpec:
        """The job's specification. Raises JobNotFound, and JobError for one that a newer release wrote."""
        if self._spec is None:
            try:
                data, _ = self.store.read(self.paths.spec)
            except ObjectNotFound:
                raise JobNotFound(f"there is no job at {self.paths.home}; `jit-render ls` lists the jobs.") from None
            try:
                self._spec = JobSpec.model_validate_json(data)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                raise JobError(
                    f"{self.paths.spec}: {where}: {first['msg']}; was it written by another release of jit-render?"
                ) from None
        return self._spec

    def committed(self) -> set[CommitKey]:
        """Everything that has a commit record, by one listing."""
        return {key for info in self.store.list(self.paths.frames) if (key := self.key_of(info.url)) is not None}

    def committed_of(self, keys: list[CommitKey]) -> set[CommitKey]:
        """Those of `keys` that have a commit record; a few are asked for one by one."""
        if len(keys) > FEW:
            return self.committed().intersection(keys)
        return {key for key, there in zip(keys, concurrently(self._has_commit, keys), strict=True) if there}

    def _has_commit(self, key: CommitKey) -> bool:
        try:
            self.store.stat(self.paths.commit(key))
        except ObjectNotFound:
            return False
        return True

    def key_of(self, url: ObjectUrl) -> CommitKey | None:
        """What a commit record's URL is about; None for anything else that lies there."""
        parts = url.key.removeprefix(self.paths.frames.key + "/").split("/")
        if len(parts) != 3 or not parts[2].endswith(".json"):
            return None
        try:
            return CommitKey(write=parts[0], view=parts[1], frame=int(parts[2].removesuffix(".json")))
        except ValueError:
            return None

    def commit_records(self, keys: Iterable[CommitKey]) -> dict[CommitKey, CommitRecord]:
        """The records of `keys`; those that are absent or unreadable are left out."""
        wanted = list(keys)
        records = concurrently(lambda key: read_record(self.store, self.paths.commit(key), CommitRecord), wanted)
        return {key: record for key, record in zip(wanted, records, strict=True) if record is not None}

    def attempt_infos(self, task: int | None = None) -> dict[tuple[int, int], ObjectInfo]:
        """Every attempt record there is, by task and number, by one listing."""
        folder = self.paths.attempts if task is None else self.paths.attempts / str(task)
        found = {}
        for info in self.store.list(folder):
            parts = info.url.key.removeprefix(self.paths.attempts.key + "/").split("/")
            if len(parts) == 2 and parts[0].isdigit() and parts[1].removesuffix(".json").isdigit():
                found[int(parts[0]), int(parts[1].removesuffix(".json"))] = info
        return found

    def attempts(self, task: int | None = None) -> list[AttemptRecord]:
        """All attempts (of one task), ordered by task and number."""
        urls = [info.url for _, info in sorted(self.attempt_infos(task).items())]
        records = concurrently(lambda url: read_attempt(self.store, url), urls)
        return [record for record in records if record is not None]

    def is_cancelled(self) -> bool:
        try:
            self.store.stat(self.paths.cancelled)
        except ObjectNotFound:
            return False
        return True

    def missing(self, frames: Iterable[int] | None = None) -> tuple[int, ...]:
        """Those of `frames` (default: the job's) that are not done, in order.

        A movie holds all its frames, so when one is missing, all are.
        """
        spec = self.spec()
        asked = tuple(spec.frame_set if frames is None else frames)
        keys = [key for frame in asked for key in spec.commits(frame)]
        done = self.committed_of(keys)
        left = tuple(frame for frame in asked if any(key not in done for key in spec.commits(frame)))
        return asked if left and any(not write.per_frame for write in spec.writes) else left


class JobSummary(BaseModel):
    """One line of a list of jobs; lies in ``<state>/index/<job id>.json`` so that a list is one listing."""

    id: str
    shot: str = ""
    show: str = ""
    user: str = ""
    frames: str = ""
    created: float = 0.0


@dataclass(frozen=True, slots=True)
class _Index:
    state: ObjectUrl

    def entry(self, job_id: str) -> ObjectUrl:
        return self.state / "index" / f"{job_id}.json"


def add_to_index(store: Store, state: ObjectUrl, spec: JobSpec) -> None:
    """Have `list_jobs` show the job. Done already: nothing happens."""
    summary = JobSummary.model_validate(spec.model_dump(include=set(JobSummary.model_fields)))
    try:
        store.write(_Index(state).entry(spec.id), encode(summary), if_generation=ABSENT)
    except PreconditionFailed:
        return


def list_jobs(store: Store, state: ObjectUrl) -> list[JobSummary]:
    """The jobs under `state`, newest first."""
    urls = [info.url for info in store.list(state / "index") if info.url.name.endswith(".json")]
    found = [entry for entry in concurrently(lambda url: read_record(store, url, JobSummary), urls) if entry]
    return sorted(found, key=lambda entry: (-entry.created, entry.id))


def state_of(settings: Settings) -> ObjectUrl:
    """Where the jobs' records live. Raises JobError where nothing is configured."""
    if not settings.job.state:
        raise JobError("no place for the jobs' records: set job.state (like gs://show-jobs/jit-render) or --state.")
    return ObjectUrl.parse(settings.job.state)


def job_home(settings: Settings, job_id: str) -> ObjectUrl:
    """The folder of the job with that id."""
    return JobPaths.of(state_of(settings), job_id).home


def find_job(store: Store, settings: Settings, name: str) -> ObjectUrl:
    """The folder of a job named by its id or URL. Raises JobNotFound, with ids that look alike."""
    home = ObjectUrl.parse(name) if "://" in name else job_home(settings, name)
    try:
        JobReader(store, home).spec()
    except JobNotFound:
        state = home.parent.parent
        known = [info.url.name.removesuffix(".json") for info in store.list(state / "index")]
        near = difflib.get_close_matches(home.name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "`jit-render ls` lists the jobs."
        raise JobNotFound(f"there is no job {home.name} under {state / 'jobs'}; {hint}") from None
    return home


def task_of(spec: JobSpec) -> dict[int, int]:
    """The task that renders each frame."""
    return {frame: task for task, frames in enumerate(spec.tasks()) for frame in frames}


def left_of(spec: JobSpec, done: set[CommitKey]) -> FrameSet | None:
    """The frames that are not done; None when all are."""
    left = [frame for frame in spec.frame_set if any(key not in done for key in spec.commits(frame))]
    return FrameSet.of(left) if left else None


def cancellation(by: str, at: float) -> bytes:
    """What ``cancelled.json`` says."""
    return json.dumps({"schema_version": 1, "by": by, "at": at}).encode()
