"""Outputs that were published come in under their new identity, so that a later job on this node finds them warm."""

from __future__ import annotations

import os
from pathlib import Path

from jit_render.cache import files
from jit_render.cache.eviction import Space
from jit_render.cache.index import Entry, Index
from jit_render.cache.layout import Layout
from jit_render.model.errors import CacheError
from jit_render.model.identity import ObjectInfo


class Adopter:
    """Takes files in."""

    def __init__(self, layout: Layout, index: Index, space: Space, boot: str) -> None:
        self._layout = layout
        self._index = index
        self._space = space
        self._boot = boot

    def place(self, info: ObjectInfo, source: Path) -> None:
        """Give `source` a second name where the object of `info` lies. In a thread; see NodeCache.place."""
        final = self._layout.object_path(info.id.digest, info.url.name)
        try:
            size_bytes = source.stat().st_size
            if size_bytes != info.size_bytes:
                raise CacheError(
                    f"{source} has {size_bytes:,} bytes, {info.id} has {info.size_bytes:,}; it is left alone."
                )
            source.chmod(0o444)
            files.make_folder(str(Path(final).parent))
            self._link(source, final)
        except OSError as error:
            raise CacheError(
                f"{source} cannot be linked into the cache ({error.strerror}); the spool must lie on the cache's disk."
            ) from error

    def adopt(self, info: ObjectInfo) -> Path:
        """Count in what was placed; see NodeCache.adopt."""
        digest = info.id.digest
        final = self._layout.object_path(digest, info.url.name)
        if info.crc32c is None or files.size_of(final) != info.size_bytes:
            raise CacheError(f"{info.id} is not at its place in the cache any more, or without a checksum.")
        if self._index.get(digest) is None:
            self._space.take_in(digest, info.size_bytes)
        self._index.put(Entry(digest, str(info.url), info.id.generation, info.size_bytes, info.crc32c, self._boot))
        return Path(final)

    def _link(self, source: Path, final: str) -> None:
        try:
            os.link(source, final)
        except FileExistsError:
            if files.inode_of(final) == files.inode_of(str(source)):
                return  # by an agent that was killed before it let go of `source`
            aside = self._layout.fresh()  # the same object, fetched; or what a crash left
            os.link(source, aside)
            files.move(aside, final)
