"""Outputs that were published move in under their new identity, so that a later job on this node finds them warm."""

from __future__ import annotations

import contextlib
from pathlib import Path

from jit_render.cache.eviction import Space
from jit_render.cache.index import Entry, Index
from jit_render.cache.layout import Layout
from jit_render.model.errors import CacheError
from jit_render.model.identity import ObjectInfo
from jit_render.store.crc import crc32c_of_file


class Adopter:
    """Takes files in."""

    def __init__(self, layout: Layout, index: Index, space: Space, boot: str) -> None:
        self._layout = layout
        self._index = index
        self._space = space
        self._boot = boot

    def adopt(self, info: ObjectInfo, source: Path) -> Path:
        """Move `source` in; see NodeCache.adopt."""
        digest = info.id.digest
        final = Path(self._layout.object_path(digest, info.url.name))
        entry = self._index.get(digest)
        if entry is not None and entry.boot == self._boot and final.exists():
            with contextlib.suppress(OSError):
                source.unlink()
            return final
        try:
            size_bytes = source.stat().st_size
            if size_bytes != info.size_bytes:
                raise CacheError(
                    f"{source} has {size_bytes:,} bytes, {info.id} has {info.size_bytes:,}; it is left alone."
                )
            value = crc32c_of_file(source) if info.crc32c is None else info.crc32c
            source.chmod(0o444)
            final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            source.rename(final)
            source.unlink(missing_ok=True)  # a rename to another name of the same file, left by a kill, does nothing
        except OSError as error:
            raise CacheError(
                f"{source} cannot be moved into the cache ({error.strerror}); the spool must lie on the cache's disk."
            ) from error
        if entry is None:
            self._space.take_in(digest, size_bytes)
        self._index.put(Entry(digest, str(info.url), info.id.generation, size_bytes, value, self._boot))
        return final
