"""One output's way into the bucket, whoever else writes there: the first attempt wins.

An upload first asks that its object must not exist. When the store says it does, what is there decides:

* the same bytes (size and crc32c): an earlier attempt won, or our own answer was lost; both are success;
* the mark of this job, or a commit record of this frame: an earlier attempt of this job won with other bytes. Its
  version is what is committed and ours is dropped;
* anything else is an old file of another job: it is replaced, on the condition that it is still that version.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from jit_render.agent.commit import find, is_committed
from jit_render.agent.entry import Entry, SpoolFile
from jit_render.model.errors import CacheError, ChecksumMismatch, PreconditionFailed
from jit_render.model.identity import ObjectInfo
from jit_render.store.crc import crc32c_of_file
from jit_render.store.port import ABSENT, Store

MOST_REPLACEMENTS = 5  # somebody else keeps writing there: that is for people to settle


def bring_to_bucket(
    store: Store, entry: Entry, file: SpoolFile, on_session: Callable[[str], None] | None = None
) -> ObjectInfo:
    """Upload `file` of `entry`; the version of its object that is to be committed. In a thread. Raises StoreError."""
    for _ in range(MOST_REPLACEMENTS):
        try:
            info = store.upload(
                file.url,
                file.path,
                crc32c=file.crc32c,
                if_generation=file.condition,
                writer=entry.job_id,
                session=file.session,
                on_session=on_session,
            )
            return replace(info, crc32c=file.crc32c)  # it was checked against it, whether the backend keeps it or not
        except ChecksumMismatch:
            if crc32c_of_file(file.path) == file.crc32c:
                raise
            raise CacheError(
                f"{file.url}: its bytes changed in {file.path} before they were uploaded; check the node's disk."
            ) from None
        except PreconditionFailed:
            file.session = None
            found = find(store, file.url)
            if found is None:
                file.condition = ABSENT
            elif is_same(found, file) or found.writer == entry.job_id or is_committed(store, entry):
                return found
            else:
                file.condition = found.id.generation
    raise PreconditionFailed(
        f"{file.url} was changed by somebody else {MOST_REPLACEMENTS} times while it was being replaced; "
        "end the other writer, then render the frame again."
    )


def is_same(info: ObjectInfo, file: SpoolFile) -> bool:
    """Whether the object holds the bytes of `file`."""
    return info.size_bytes == file.size_bytes and info.crc32c == file.crc32c
