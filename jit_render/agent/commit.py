"""The commit record of a frame: created once, only after its outputs are in the bucket.

A record names a version of everything that was read. An output of the same job that was read back before it was in the
bucket had none then; it is looked up now, and it counts as that version if it holds the bytes that were read. If it
does not (its upload failed, or another attempt's bytes won), the record names no version, and the frame is not reused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jit_render.agent.entry import Entry, ReadBack
from jit_render.model.errors import ObjectNotFound, PreconditionFailed
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.store.crc import Crc32c
from jit_render.store.port import ABSENT, Store

LOST = ""
"""Instead of a generation: what was read is in the bucket no more, or never was."""

# model.job is imported where it is used: a starting agent need not wait for it.


def commit(store: Store, entry: Entry, stored: Sequence[ObjectInfo], now: float) -> None:
    """Create the records of `entry`; one that exists is an earlier attempt's and stays. In a thread.

    `stored` is the version of each of the entry's files that the bucket holds. Raises StoreError.
    """
    from jit_render.model.job import CommitKey, CommitRecord, InputRecord, JobPaths, OutputRecord

    paths = JobPaths(ObjectUrl.parse(entry.attempt.job))
    read = [*entry.inputs, *((str(one.url), _version(store, one)) for one in entry.own)]
    inputs = tuple(InputRecord(url=url, generation=generation) for url, generation in read)
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


def _version(store: Store, one: ReadBack) -> str:
    found = find(store, one.url)
    same = found is not None and (found.size_bytes, found.crc32c) == (one.size_bytes, one.crc32c)
    return found.id.generation if found is not None and same else LOST


def find(store: Store, url: ObjectUrl) -> ObjectInfo | None:
    """What is at `url` now, with its crc32c even where the backend keeps none. In a thread."""
    try:
        found = store.stat(url)
        if found.crc32c is not None:
            return found
        crc = Crc32c()
        store.download(found, crc.update)
    except ObjectNotFound:
        return None
    return replace(found, crc32c=crc.value)


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
