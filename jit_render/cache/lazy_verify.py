"""Re-reading what lies on the disk, little by little, while nobody needs the disk.

Disks rot, and what nobody reads for weeks rots unseen. So an idle agent goes round: entry by entry in the order of
their digests, over and over, so that the next one is always the one whose turn is longest ago. That order costs
nothing to keep (`verified` in the cache's root remembers the place over restarts), and a new entry, whose bytes were
checked as they came, waits a round at most.

It must not be felt. It reads at a bounded rate, one block at a time, and before each block it looks whether anybody
has asked for anything since the last: then it waits until nobody has for `QUIET_SECONDS`. A round does not begin
before the last one is `ROUND_SECONDS` old: a small cache is not read all day long.

A bad copy is thrown away as `NodeCache.verify` does it, also from under a lease, and fetched again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from jit_render.cache import files
from jit_render.cache.health import OUT_OF_DESCRIPTORS, DiskHealth
from jit_render.cache.index import Entry, Index
from jit_render.cache.layout import Layout
from jit_render.model.clock import Clock
from jit_render.model.errors import JitRenderError
from jit_render.model.identity import ObjectId, ObjectInfo, ObjectUrl
from jit_render.store.crc import BLOCK_BYTES, Crc32c

QUIET_SECONDS = 2.0
ROUND_SECONDS = 86400.0
SAVE_EVERY_BYTES = 64 << 20
ENTRY_BYTES = 1 << 20  # what finding and opening a file counts: a million tiny ones must not be felt, either
_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)


@dataclass
class LazyVerify:
    """One cache's round. ``demands`` counts what was asked for; ``is_busy``: somebody needs the disk right now."""

    layout: Layout
    index: Index
    health: DiskHealth
    executor: Executor
    clock: Clock
    bytes_per_second: int
    demands: Callable[[], int]
    is_busy: Callable[[], bool]
    is_on_its_way: Callable[[str], bool]
    discard: Callable[[Entry], None]
    fetch: Callable[[ObjectInfo], Awaitable[object]]
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    entries: int = 0
    verified_bytes: int = 0
    _after: bytes = field(default=b"", init=False)
    _seen: int = field(default=-1, init=False)
    _unsaved: int = field(default=0, init=False)

    async def run(self) -> None:
        """Round after round, until cancelled."""
        rest_seconds = self._load()
        while True:
            await self.pause(rest_seconds)
            try:
                await self._round()
            finally:
                self._save()
            self._after, rest_seconds = b"", ROUND_SECONDS
            self._save()

    async def _round(self) -> None:
        while page := self.index.between(self._after, None):
            for row in page:
                await self.pause(ENTRY_BYTES / self.bytes_per_second)
                await self._quiet()
                await self._look_at(row.digest)
                self._after = bytes.fromhex(row.digest) + b"\0"
                if self._unsaved >= SAVE_EVERY_BYTES:
                    self._save()

    async def _quiet(self) -> None:
        """Return once nobody has asked for anything, at once or, if somebody had, for a while."""
        while self.is_busy() or self.demands() != self._seen or self.health.state == "down":
            self._seen = self.demands()
            await self.pause(QUIET_SECONDS)

    async def _look_at(self, digest: str) -> None:
        entry = self.index.get(digest)
        if entry is None or self.is_on_its_way(digest):
            return
        path = self.layout.object_path(digest, entry.name)
        try:
            is_intact = await self._read(path, entry)
        except FileNotFoundError:
            is_intact = False
        except OSError as error:
            if error.errno in OUT_OF_DESCRIPTORS:
                return
            self.health.failed(error)
            is_intact = False
        entry = self.index.get(digest)
        if entry is None or self.is_on_its_way(digest):
            return  # evicted, or fetched anew, while it was read
        self.entries += 1
        if not is_intact:
            await self._replace(entry)

    async def _replace(self, entry: Entry) -> None:
        """A copy found bad: away with it, and here again before anybody asks."""
        _log.warning("cache %s: the copy of %s is damaged; it is fetched again", self.layout.root, entry)
        self.discard(entry)
        identity = ObjectId(ObjectUrl.parse(entry.url), entry.generation)
        try:
            await self.fetch(ObjectInfo(identity, entry.size_bytes, entry.crc32c))
        except (JitRenderError, OSError) as error:  # whoever asks for it will be told
            _log.info("%s: not fetched again: %s", identity, error)

    async def _read(self, path: str, entry: Entry) -> bool:
        """Whether the file holds what `entry` says. Raises OSError."""
        seen, size_bytes = Crc32c(), 0
        descriptor = await self._in_thread(partial(os.open, path, os.O_RDONLY | os.O_CLOEXEC))
        try:
            while count := await self._in_thread(partial(_read_block, descriptor, seen)):
                size_bytes += count
                self._unsaved += count
                self.verified_bytes += count
                await self.pause(count / self.bytes_per_second)
                await self._quiet()
            is_another = os.fstat(descriptor).st_ino != files.inode_of(path)
        finally:
            os.close(descriptor)
        return is_another or (size_bytes, seen.value) == (entry.size_bytes, entry.crc32c)

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self.executor, work)

    @property
    def _note(self) -> Path:
        return self.layout.root / "verified"

    def _load(self) -> float:
        """Take up the round where the last run left it; the seconds until the next is due."""
        try:
            note = json.loads(self._note.read_text())
            self._after = bytes.fromhex(note["after"])
            age = self.clock.wall() - float(note["at"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0
        # A clock that was set back must not put the next round off for as long.
        return ROUND_SECONDS - age if not self._after and 0 <= age < ROUND_SECONDS else 0.0

    def _save(self) -> None:
        self._unsaved = 0
        temporary = self.layout.fresh()
        try:
            Path(temporary).write_text(json.dumps({"after": self._after.hex(), "at": self.clock.wall()}))
            files.move(temporary, str(self._note))
        except OSError as error:  # a full disk: the next run begins this round anew
            _log.debug("cache %s: %s", self.layout.root, error)
            files.remove(temporary)


def _read_block(descriptor: int, seen: Crc32c) -> int:
    """How many bytes came; their checksum goes into `seen`."""
    piece = os.read(descriptor, BLOCK_BYTES)
    seen.update(piece)
    return len(piece)
