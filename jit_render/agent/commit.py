"""The commit record of a frame: created once, only after its outputs are in the bucket."""

from __future__ import annotations

from collections.abc import Sequence

from jit_render.agent.spool import Entry
from jit_render.model.errors import ObjectNotFound, PreconditionFailed
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.store.port import ABSENT, Store

# model.job is imported where it is used: a starting agent need not wait for it.


def commit(store: Store, entry: Entry, stored: Sequence[ObjectInfo], now: float) -> None:
    """Create the records of `entry`; one that exists is an earlier attempt's and stays. In a thread.

    `stored` is the version of each of the entry's files that the bucket holds. Raises StoreError.
    """
    from jit_render.model.job import CommitKey, CommitRecord, InputRecord, JobPaths, OutputRecord

    paths = JobPaths(ObjectUrl.parse(entry.attempt.job))
    inputs = tuple(InputRecord(url=url, generation=generation) for url, generation in entry.inputs)
    for write, view, frame in entry.keys:
        outputs = tuple(
            OutputRecord(
                url=str(info.url),
                generation=info.id.generation,
                size_bytes=info.size_bytes,
                crc32c=file.crc32c if info.crc32c is None else info.crc32c,
            )
            for file, info in zip(entry.files, stored, strict=True)
            if view in file.views
        )
        record = CommitRecord(
            write=write,
            view=view,
            frame=frame,
            outputs=outputs,
            inputs=inputs,
            task=entry.attempt.task,
            attempt=entry.attempt.attempt,
            host=entry.host,
            render_seconds=entry.render_seconds,
            committed=now,
        )
        key = CommitKey(write=write, view=view, frame=frame)
        try:
            store.write(paths.commit(key), record.model_dump_json().encode(), if_generation=ABSENT)
        except PreconditionFailed:
            continue


def is_committed(store: Store, entry: Entry) -> bool:
    """Whether an earlier attempt has already committed all that `entry` would. In a thread."""
    from jit_render.model.job import CommitKey, JobPaths

    paths = JobPaths(ObjectUrl.parse(entry.attempt.job))
    try:
        for write, view, frame in entry.keys:
            store.stat(paths.commit(CommitKey(write=write, view=view, frame=frame)))
    except ObjectNotFound:
        return False
    return True


def check_keys(home: ObjectUrl, write: str, views: Sequence[str], frames: Sequence[int]) -> None:
    """Raises HostilePath for names that cannot be part of a record's name."""
    from jit_render.model.job import CommitKey, JobPaths

    paths = JobPaths(home)
    for view in views:
        for frame in frames:
            paths.commit(CommitKey(write=write, view=view, frame=frame))
