"""Which frames of earlier jobs are still what a new job would render.

A frame is *already there* when an earlier job of the same fingerprint committed it, every input that its record
names still has the recorded generation in the bucket, and so has every output. Then rendering it again would give
the same pixels. Generations are asked for folder by folder: a listing answers for a whole sequence at once.

What was absent when the frame was rendered must still be absent, unless the job made it itself later. What the
frame read of the job's own outputs must be of frames that stay, too: those of another frame are about to change.
A movie holds all its frames in one file, so it is reused whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jit_render.farm.pinning import index_of, pinned
from jit_render.farm.records import JobReader, concurrently, encode, task_of
from jit_render.model.errors import JobError, ObjectNotFound, PreconditionFailed
from jit_render.model.frames import FrameSet
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import CommitKey, CommitRecord
from jit_render.store import ABSENT, Store

FEW_IN_A_FOLDER = 3  # so many objects are asked for one by one; a folder may hold a hundred thousand others


class Generations:
    """The live generation of objects, remembered for one decision."""

    def __init__(self, store: Store, known: Mapping[ObjectUrl, str] | None = None) -> None:
        self._store = store
        self._known: dict[ObjectUrl, str | None] = dict(known or {})

    def of(self, url: ObjectUrl) -> str | None:
        """None: it is not there. Only for URLs that were looked up."""
        return self._known[url]

    def look_up(self, urls: Iterable[ObjectUrl]) -> None:
        """Ask for all of `urls` at once."""
        folders: dict[ObjectUrl, set[ObjectUrl]] = {}
        for url in urls:
            if url not in self._known:
                folders.setdefault(url.parent, set()).add(url)
        concurrently(self._look_into, folders.items())

    def _look_into(self, entry: tuple[ObjectUrl, set[ObjectUrl]]) -> None:
        folder, wanted = entry
        if len(wanted) <= FEW_IN_A_FOLDER:
            self._known.update({url: self._stat(url) for url in wanted})
            return
        self._known.update(dict.fromkeys(wanted))
        for info in self._store.list(folder, recursive=False):
            if info.url in wanted:
                self._known[info.url] = info.id.generation

    def _stat(self, url: ObjectUrl) -> str | None:
        try:
            return self._store.stat(url).id.generation
        except ObjectNotFound:
            return None


@dataclass(frozen=True, slots=True)
class Valid:
    """Frames of one earlier job that are still right, with their records."""

    job: JobReader
    frames: dict[int, tuple[CommitRecord, ...]]
    all_committed_are_valid: bool


def still_valid(job: JobReader, frames: FrameSet, generations: Generations) -> Valid:
    """Those of `frames` that `job` committed and that nothing has changed since."""
    spec = job.spec()
    asked = [frame for frame in frames if frame in spec.frame_set]
    keys = [key for frame in asked for key in spec.commits(frame)]
    records = job.commit_records(job.committed_of(keys))
    generations.look_up(url for record in records.values() for url, _ in _versions(record))
    made = {ObjectUrl.parse(output.url) for record in records.values() for output in record.outputs}
    good = {key for key, record in records.items() if _is_unchanged(record, generations, made)}
    whole = {frame for frame in asked if all(key in good for key in spec.commits(frame))}
    staying = _without_followers(whole, list(records.values()))
    valid = {frame: tuple(records[key] for key in spec.commits(frame)) for frame in asked if frame in staying}
    is_movie = any(not write.per_frame for write in spec.writes)
    if is_movie and (len(valid) < len(frames) or set(frames) != set(spec.frame_set)):
        valid = {}
    return Valid(job, valid, len(good) == len(records) and staying == whole)


def _is_unchanged(record: CommitRecord, generations: Generations, made: set[ObjectUrl]) -> bool:
    """`made`: what the job wrote itself; that it was absent at first is no change."""
    return bool(record.outputs) and all(
        generations.of(url) == (None if generation == ABSENT else generation)
        for url, generation in _versions(record)
        if generation != ABSENT or url not in made
    )


def _without_followers(frames: set[int], records: list[CommitRecord]) -> set[int]:
    """Those of `frames` that read nothing of what the other frames of the job have written."""
    staying = set(frames)
    while True:
        changing = {output.url for record in records if record.frame not in staying for output in record.outputs}
        followers = {
            record.frame
            for record in records
            if record.frame in staying and any(source.url in changing for source in record.inputs)
        }
        if not followers:
            return staying
        staying -= followers


def _versions(record: CommitRecord) -> list[tuple[ObjectUrl, str]]:
    """Every object that the record names, with its generation."""
    outputs = [(ObjectUrl.parse(output.url), output.generation) for output in record.outputs]
    return outputs + [(ObjectUrl.parse(source.url), source.generation) for source in record.inputs]


def pins_are_live(job: JobReader, frames: Iterable[int], generations: Generations) -> bool:
    """Whether `frames` of `job` would read what is live now. A job without pins settles that as it goes."""
    spec = job.spec()
    if not spec.inputs or spec.latest:
        return True
    try:
        inputs = frozenset().union(*pinned(job, index_of(job), frames).values())
    except (ObjectNotFound, JobError):
        return False  # it could not render without them
    generations.look_up(info.url for info in inputs)
    return all(generations.of(info.url) == info.id.generation for info in inputs)


def adopt(store: Store, job: JobReader, frames: dict[int, tuple[JobReader, tuple[CommitRecord, ...]]]) -> int:
    """Create commit records in `job` for `frames` that other jobs rendered; how many frames were adopted."""
    tasks = task_of(job.spec())

    def write(item: tuple[JobReader, CommitRecord]) -> None:
        source, record = item
        origin = record.adopted_from or source.paths.job_id
        adopted = record.model_copy(update={"adopted_from": origin, "task": tasks[record.frame], "attempt": 0})
        key = CommitKey(write=record.write, view=record.view, frame=record.frame)
        try:
            store.write(job.paths.commit(key), encode(adopted), if_generation=ABSENT)
        except PreconditionFailed:
            return

    concurrently(write, [(source, record) for source, records in frames.values() for record in records])
    return len(frames)
