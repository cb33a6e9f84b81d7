"""One file into the bucket, going on where an earlier, killed run has stopped.

A large file is sent in an upload session, whose address is kept beside the checksums. The session belongs to that very
version of the file and to the version that it replaces. What may pass leaves it for the next run.
"""

from __future__ import annotations

from pathlib import Path

from jit_render.farm.hash_cache import HashCache
from jit_render.farm.local_files import LocalFile
from jit_render.model.errors import TransientStoreError
from jit_render.model.identity import ObjectInfo
from jit_render.store import ABSENT, Store

SESSION_BYTES = 8 * 1024 * 1024
"""Up to this size a file is sent in one request, and again where that failed."""


def send(store: Store, hashes: HashCache, file: LocalFile, crc32c: int, *, replaces: ObjectInfo | None) -> ObjectInfo:
    """Upload the file. Raises StoreError: PreconditionFailed where the bucket has not `replaces` (None: nothing)."""
    earlier = hashes.session(file, replaces) if file.size_bytes > SESSION_BYTES else None
    has_session = earlier is not None

    def begin(address: str) -> None:
        nonlocal has_session
        has_session = True
        hashes.begin_session(file, replaces, address)

    if earlier is not None:
        begin(earlier)  # from now on it is this process that goes on with it
    is_over = True
    try:
        return store.upload(
            file.url,
            Path(file.path),
            crc32c=crc32c,
            if_generation=ABSENT if replaces is None else replaces.id.generation,
            session=earlier,
            on_session=begin,
        )
    except TransientStoreError:
        is_over = False
        raise
    finally:
        if has_session and is_over:
            hashes.end_session(file, replaces)
