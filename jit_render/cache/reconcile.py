"""After a crash the index and the disk may disagree. The index is right: files without a row go, and rows without a
whole file go. A file without a row cannot be taken back: its name tells a digest, not of what.

This runs in the background behind a cache that already works, a bucket of a 256th of the objects at a time; the
disk is looked at in a worker thread, and what looks wrong is looked at again on the agent's thread before it is acted
on, because meanwhile objects come and go.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from concurrent.futures import Executor
from dataclasses import dataclass

from jit_render.cache import files
from jit_render.cache.eviction import Space
from jit_render.cache.index import Index
from jit_render.cache.layout import Layout, digest_of, object_name
from jit_render.cache.leases import Leases
from jit_render.cache.view import ViewTree

LINKS_AT_A_TIME = 1000
_log = logging.getLogger(__name__)


@dataclass
class Reconciler:
    """Brings index and disk together once. ``lost``: rows without a file; ``strays``: files without a row."""

    layout: Layout
    index: Index
    leases: Leases
    space: Space
    view: ViewTree
    executor: Executor
    lost: int = 0
    strays: int = 0

    async def run(self) -> None:
        has_rows = bool(self.index.entries)
        for number in range(256):
            await self._bucket(number, has_rows=has_rows)
        await self._links()
        if self.lost or self.strays:
            _log.warning(
                "cache %s: after a crash %d entries had lost their file and %d files had no entry; both were removed",
                self.layout.root, self.lost, self.strays,
            )  # fmt: skip

    async def _bucket(self, number: int, *, has_rows: bool) -> None:
        folder = f"{self.layout.objects}/{number:02x}"
        rows = await self._rows(number) if has_rows else {}
        lost, strays = await asyncio.get_running_loop().run_in_executor(self.executor, examine, folder, rows)
        for digest in lost:
            self._drop_row(digest)
        for name in strays:
            self._drop_files(f"{folder}/{name}", name)

    async def _rows(self, number: int) -> dict[str, tuple[str, int]]:
        rows: dict[str, tuple[str, int]] = {}
        first, end = bytes([number]), bytes([number + 1]) if number < 255 else None
        while page := self.index.between(first, end):
            rows |= {entry.digest: (object_name(entry.digest, entry.name), entry.size_bytes) for entry in page}
            first = bytes.fromhex(page[-1].digest) + b"\0"
            await asyncio.sleep(0)  # a page of rows takes half a millisecond; requests go in between
        return rows

    def _drop_row(self, digest: str) -> None:
        entry = self.index.get(digest)
        if entry is None or digest in self.space.fetches.flights:
            return
        if files.size_of(self.layout.object_path(digest, entry.name)) != entry.size_bytes:
            self.leases.revoke(digest)
            self.space.forget(entry)
            self.lost += 1

    def _drop_files(self, path: str, name: str) -> None:
        digest = digest_of(name)
        if digest in self.space.fetches.flights or (_is_digest(digest) and self._is_meant(digest, name)):
            return
        aside = self.layout.fresh()
        files.move(path, aside)
        self.space.dispose(aside)
        self.strays += 1

    def _is_meant(self, digest: str, name: str) -> bool:
        entry = self.index.get(digest)
        return entry is not None and object_name(digest, entry.name) == name

    async def _links(self) -> None:
        links = self.view.links()
        loop = asyncio.get_running_loop()
        while some := await loop.run_in_executor(self.executor, lambda: list(itertools.islice(links, LINKS_AT_A_TIME))):
            for place, target in some:
                self.view.found(place, target)


def examine(folder: str, rows: dict[str, tuple[str, int]]) -> tuple[list[str], list[str]]:
    """Digests whose file is not there whole, and names in `folder` that no row accounts for."""
    names = set(files.names_in(folder))
    lost = [digest for digest, (name, size) in rows.items() if files.size_of(f"{folder}/{name}") != size]
    return lost, sorted(names.difference(name for name, _ in rows.values()))


def _is_digest(name: str) -> bool:
    return len(name) == 64 and not set(name) - set("0123456789abcdef")
