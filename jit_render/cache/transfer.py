"""Bytes from the store to this disk. Nothing here owns any state of the cache: it runs in worker threads, but for
`Transfer.at_once`, which the loop calls for a small object.

An object is written under a temporary name, its crc32c taken as the bytes pass, and renamed only when size and
crc32c are those of the identity that was asked for. There is no fsync: what a lost power supply loses can be fetched
again, and what it damages is found because an entry of another boot is checked before it is used.

OSError from here is always this disk's: a store maps its own.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

from jit_render.cache import crc, files
from jit_render.model.errors import CacheError, ChecksumMismatch
from jit_render.model.identity import ObjectInfo
from jit_render.store.crc import Crc32c, crc32c_of_file
from jit_render.store.port import Store

PARTS_FROM_BYTES = 64 << 20
PART_BYTES = 16 << 20
_OPEN_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Gate:
    """Lets finished files through to their names, until the cache is closed. A thread that is late finds it shut."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shut = False

    def check(self) -> None:
        """Raises CacheError once the cache is closed."""
        if self._shut:
            raise CacheError("the cache was closed while a download was under way; ask its successor.")

    def publish(self, temporary: str, final: str) -> None:
        """Give the file at `temporary` its final name."""
        with self._lock:
            self.check()
            try:
                files.move(temporary, final)
            except FileNotFoundError:  # the first object of its folder
                files.make_folder(final.rpartition("/")[0])
                files.move(temporary, final)

    def shut(self) -> None:
        """From here on nothing gets a final name."""
        with self._lock:
            self._shut = True


@dataclass
class Transfer:
    """One download of `info` into the file `temporary`. ``written`` is for estimates only: threads add to it."""

    store: Store
    info: ObjectInfo
    temporary: str
    final: str
    gate: Gate
    written: int = 0
    _descriptor: int = field(default=-1, init=False)
    _abandoned: bool = field(default=False, init=False)
    _published: bool = field(default=False, init=False)

    def whole(self) -> int:
        """Fetch in one stream and publish; gives the crc32c. Raises ChecksumMismatch, StoreError, OSError."""
        try:
            self.begin()
            value = self.part(0, self.info.size_bytes)
            self.finish(value)
        finally:
            self.end()
        return value

    def at_once(self, data: memoryview) -> None:
        """Publish the whole, which came in one piece. Raises ChecksumMismatch before it touches the disk, OSError."""
        self.gate.check()
        seen = Crc32c()
        seen.update(data)
        self.compare(seen.value)
        try:
            self.begin()
            self._write(data, 0)
            self.publish()
        finally:
            self.end()

    def in_parts(self, pool: Executor) -> int:
        """The same by ranges, several at a time. This thread waits for those of `pool`."""
        parts = parts_of(self.info.size_bytes)
        futures: list[Future[int]] = []
        try:
            self.begin()
            futures = [pool.submit(self.part, *part) for part in parts]
            value = joined(parts, [future.result() for future in futures])
            self.finish(value)
        finally:
            self._abandoned = True
            for future in futures:
                future.cancel()
            wait(futures)  # the descriptor must outlive the last write through it
            self.end()
        return value

    def begin(self) -> None:
        self._descriptor = os.open(self.temporary, _OPEN_NEW, 0o444)  # for all but this descriptor

    def part(self, start: int, end: int) -> int:
        """Fetch ``start:end`` into its place; gives that part's crc32c."""
        seen = Crc32c()
        position = start

        def sink(piece: memoryview) -> None:
            nonlocal position
            self.gate.check()
            if self._abandoned:
                raise CacheError(f"{self.info.id}: another part failed.")
            if position + len(piece) > end:
                raise self._mismatch(f"more than {end - start:,} bytes came")
            seen.update(piece)
            position = self._write(piece, position)

        if end > start:
            # The whole object is asked for without a range: a store may serve that from a cheaper path.
            whole = start == 0 and end == self.info.size_bytes
            self.store.download(self.info, sink, start=start, end=None if whole else end)
        if position != end:
            raise self._mismatch(f"{position - start:,} of {end - start:,} bytes came")
        return seen.value

    def finish(self, value: int) -> None:
        """Check the whole and give it its name."""
        self.compare(value)
        self.publish()

    def compare(self, value: int) -> None:
        """Raises ChecksumMismatch unless `value` is the crc32c that was asked for."""
        if self.info.crc32c is not None and value != self.info.crc32c:
            raise self._mismatch(f"crc32c is {value:08x}, not {self.info.crc32c:08x}")

    def publish(self) -> None:
        """Give the file its name."""
        self.gate.publish(self.temporary, self.final)
        self._published = True

    def end(self) -> None:
        """Leave nothing behind, whether it worked or not."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        if not self._published:
            files.remove(self.temporary)

    def _write(self, piece: memoryview, position: int) -> int:
        while piece:
            count = os.pwrite(self._descriptor, piece, position)
            position += count
            self.written += count
            piece = piece[count:]
        return position

    def _mismatch(self, what: str) -> ChecksumMismatch:
        return ChecksumMismatch(
            f"{self.info.id}: {what}; it was thrown away. Try again; if it stays, the object itself is damaged."
        )


def parts_of(size_bytes: int) -> list[tuple[int, int]]:
    """The ranges a large object is fetched in."""
    return [(start, min(start + PART_BYTES, size_bytes)) for start in range(0, size_bytes, PART_BYTES)]


def joined(parts: list[tuple[int, int]], values: list[int]) -> int:
    """The crc32c of the whole."""
    lengths = [end - start for start, end in parts]
    return reduce(lambda so_far, part: crc.join(so_far, *part), zip(values, lengths, strict=True), 0)


def is_intact(path: str, size_bytes: int, crc32c: int) -> bool:
    """Re-read the file at `path`. A file that is gone is not intact. Raises OSError for a failing disk."""
    try:
        return Path(path).stat().st_size == size_bytes and crc32c_of_file(path) == crc32c
    except FileNotFoundError:
        return False
