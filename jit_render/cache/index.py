"""Which objects are here: rows in SQLite, with the changes of the last moment in front of them.

A start must be instant with a million rows, so rows are read when asked for and the most recent ones kept in
memory (`_hot`). A hit must cost microseconds, so changes gather in `_dirty` and go to SQLite in batches, written by
another thread while the agent goes on; until that thread is done its batch stays readable in `_writing`. Reading
looks in this order: hot, dirty, writing, row; that a row is missing is remembered too (`_missing`), because a miss is
looked up several times on its way. A kill loses the changes that were not written: files without a row,
or rows whose file is gone, both of which `reconcile` finds, and which no lease relies on.

"Last use" is a count of uses, not a time: a clock that jumps cannot reorder it.

INVARIANT: every entry in `_dirty` or `_writing` was used later than every row that is in neither.
INVARIANT: `entries` and `used_bytes` are those of the rows with `_writing` and then `_dirty` laid over them.
INVARIANT: what is in `_hot` is what `_dirty`, `_writing` or the row says; what is in `_missing` has no entry.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from jit_render.cache import schema

HOT_ENTRIES = 50_000  # about 25 MB
PAGE_ROWS = 256
_log = logging.getLogger(__name__)
_Row = tuple[bytes, str, str, int, int, str, int]
PinRow = tuple[str, str, str, float]
"""job, url, ObjectInfo as JSON, seconds since the epoch."""


@dataclass(slots=True, eq=False)
class Entry:
    """One object on this disk. ``boot`` is the boot in which its bytes were last known good; empty: check them."""

    digest: str
    url: str
    generation: str
    size_bytes: int
    crc32c: int
    boot: str
    last_use: int = 0
    path: Path | None = None
    """Kept once it was asked for: making it anew would double the cost of a hit."""

    @property
    def name(self) -> str:
        """The base name."""
        return self.url.rpartition("/")[2]

    def __str__(self) -> str:
        return f"{self.url}#{self.generation}"


@dataclass(frozen=True, slots=True)
class _Batch:
    changes: dict[str, Entry | None]
    pins: list[PinRow]
    pins_from: float
    entries: int
    used_bytes: int


class Index:
    """All entries. Used from one thread; `flush` writes in another."""

    def __init__(self, path: Path, connections: schema.Connections) -> None:
        self._path = path
        self._connections = connections
        self._hot: dict[str, Entry] = {}
        self._missing: set[str] = set()
        self._dirty: dict[str, Entry | None] = {}
        self._writing: dict[str, Entry | None] = {}
        self._pins: dict[tuple[str, str], PinRow] = {}
        self._pins_from = float("-inf")
        self._writer = ThreadPoolExecutor(1, "cache-index")
        self._flushing = asyncio.Lock()
        self._writing_pins: asyncio.Future[bool] | None = None
        self._complained = False
        self.changed = asyncio.Event()
        self.broken = False
        totals: tuple[int, int] = connections.reader.execute("SELECT entries, bytes FROM totals").fetchone()
        self.entries, self.used_bytes = totals
        self._uses: int = connections.reader.execute("SELECT max(last_use) FROM entries").fetchone()[0] or 0

    def get(self, digest: str) -> Entry | None:
        entry = self._hot.get(digest)
        if entry is not None:
            return entry
        for changes in (self._dirty, self._writing):
            if digest in changes:
                return changes[digest]
        if digest in self._missing:
            return None
        rows = self._rows("SELECT * FROM entries WHERE digest = ?", bytes.fromhex(digest))
        if not rows:
            if len(self._missing) >= HOT_ENTRIES:
                self._missing.clear()
            self._missing.add(digest)
            return None
        return self._keep(_entry(rows[0]))

    def look_up(self, digests: list[str]) -> None:
        """Read many rows at once, so that `get` finds them, or that they are missing, in memory."""
        unknown = [digest for digest in digests if not self._is_in_memory(digest)]
        if len(self._missing) + len(unknown) >= HOT_ENTRIES:
            self._missing.clear()
        for start in range(0, len(unknown), PAGE_ROWS):
            page = unknown[start : start + PAGE_ROWS]
            marks = ",".join("?" * len(page))
            rows = self._rows(f"SELECT * FROM entries WHERE digest IN ({marks})", *map(bytes.fromhex, page))  # noqa: S608 - marks only
            self._missing.update(page)
            for row in rows:
                self._missing.discard(self._keep(_entry(row)).digest)

    def _is_in_memory(self, digest: str) -> bool:
        return any(digest in known for known in (self._hot, self._dirty, self._writing, self._missing))

    def put(self, entry: Entry) -> None:
        """Add `entry`, or replace the one of the same digest, as used just now."""
        self.remove(entry.digest)
        self._missing.discard(entry.digest)
        self.entries += 1
        self.used_bytes += entry.size_bytes
        self.touch(entry)

    def touch(self, entry: Entry) -> None:
        """`entry` was used, or changed, just now."""
        self._uses += 1
        entry.last_use = self._uses
        self._dirty[entry.digest] = entry
        self._hot.pop(entry.digest, None)
        self._keep(entry)
        self.changed.set()

    def remove(self, digest: str) -> Entry | None:
        """Forget `digest`; gives what was there."""
        entry = self.get(digest)
        if entry is not None:
            self._hot.pop(digest, None)
            self._dirty[digest] = None
            self.entries -= 1
            self.used_bytes -= entry.size_bytes
            self.changed.set()
        return entry

    def oldest(self, spared: Callable[[str], bool]) -> Iterator[Entry]:
        """Entries by last use, oldest first, without those that are `spared`. The caller may remove what it gets."""
        after = -1
        while rows := self._rows(
            "SELECT * FROM entries WHERE last_use > ? ORDER BY last_use LIMIT ?", after, PAGE_ROWS
        ):
            after = rows[-1][6]
            for row in rows:
                digest = row[0].hex()
                if digest not in self._dirty and digest not in self._writing and not spared(digest):
                    yield self._hot.get(digest) or _entry(row)
        recent = [entry for entry in {**self._writing, **self._dirty}.values() if entry is not None]
        for entry in sorted(recent, key=lambda entry: entry.last_use):
            if self._dirty.get(entry.digest, entry) is not None and not spared(entry.digest):
                yield entry

    def between(self, first: bytes, end: bytes | None, count: int = PAGE_ROWS) -> list[Entry]:
        """Up to `count` written rows with first <= digest < end, in order; changes not yet written are left out."""
        return [
            _entry(row)
            for row in self._rows(
                "SELECT * FROM entries WHERE digest >= ? AND digest < ? ORDER BY digest LIMIT ?",
                first,
                b"\xff" * 33 if end is None else end,
                count,
            )
        ]

    def pin_of(self, job: str, url: str) -> str | None:
        """The info pinned for `url`, as JSON."""
        if (job, url) in self._pins:
            return self._pins[job, url][2]
        rows = self._rows("SELECT info FROM pins WHERE job = ? AND url = ?", job, url)
        return str(rows[0][0]) if rows else None

    def add_pin(self, pin: PinRow) -> None:
        self._pins[pin[:2]] = pin
        self.changed.set()

    @property
    def has_unwritten_pins(self) -> bool:
        """Whether a kill now would lose pins."""
        return bool(self._pins)

    async def pins_written(self) -> None:
        """Return once every pin added so far survives a kill of this process, or the disk has refused.

        Many that wait at once share a batch.
        """
        for _ in range(2):  # the batch under way may have been taken before the pin came
            if not self._pins:
                return
            if self._writing_pins is None or self._writing_pins.done():
                self._writing_pins = asyncio.ensure_future(self.flush())
            await asyncio.shield(self._writing_pins)

    def forget_pins(self, before: float) -> None:
        """Drop pins older than `before` (seconds since the epoch): their jobs are long over."""
        self._pins_from = before
        self.changed.set()

    async def flush(self) -> bool:
        """Write what changed; True when the file had broken and was begun anew.

        Never raises for the disk: what could not be written is tried again next time. A caller that is cancelled
        does not stop the writing half way.
        """
        return await asyncio.shield(asyncio.ensure_future(self._flush()))

    async def _flush(self) -> bool:
        async with self._flushing:
            broke = self.broken
            if broke:
                self._rebuild()
            self.changed.clear()
            self._writing, self._dirty = self._dirty, {}
            batch = _Batch(self._writing, list(self._pins.values()), self._pins_from, self.entries, self.used_bytes)
            try:
                await asyncio.get_running_loop().run_in_executor(self._writer, self._write, batch)
                for pin in batch.pins:
                    del self._pins[pin[:2]]
                self._complained = False
            except sqlite3.Error as error:
                self._failed(error)
                self._dirty = {**self._writing, **self._dirty}
            finally:
                self._writing = {}
            return broke

    def close(self) -> None:
        """Give the file back; what was not flushed is lost, as in a crash."""
        self._writer.shutdown(wait=True)
        self._connections.close()
        if self.broken:
            schema.move_aside(self._path)

    def check(self) -> None:
        """Raise AssertionError where an invariant does not hold. Reads every row."""
        rows = {row[0].hex(): _entry(row) for row in self._rows("SELECT * FROM entries")}
        merged: dict[str, Entry | None] = {**rows, **self._writing, **self._dirty}
        live = [entry for entry in merged.values() if entry is not None]
        assert self.entries == len(live), (self.entries, len(live))
        assert self.used_bytes == sum(entry.size_bytes for entry in live)
        newest = max(
            (e.last_use for d, e in rows.items() if d not in self._writing and d not in self._dirty), default=0
        )
        for digest, entry in {**self._writing, **self._dirty}.items():
            assert entry is None or entry.last_use > newest, digest
        assert all(merged.get(digest) is None for digest in self._missing)
        for digest, entry in self._hot.items():
            same = merged[digest]
            assert same is not None
            assert (same.url, same.generation, same.last_use) == (entry.url, entry.generation, entry.last_use)

    def _keep(self, entry: Entry) -> Entry:
        self._hot[entry.digest] = entry
        if len(self._hot) > HOT_ENTRIES:
            del self._hot[next(iter(self._hot))]
        return entry

    def _rows(self, query: str, *values: object) -> list[_Row]:
        if self.broken:
            return []
        try:
            return self._connections.reader.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._failed(error)
            return []

    def _failed(self, error: sqlite3.Error) -> None:
        """A row that cannot be read is a miss."""
        if not self._complained:  # a full disk fails twice a second until it has room
            _log.warning("index %s: %s", self._path, error)
            self._complained = True
        if schema.is_corrupt(error):
            self.broken = True
        self.changed.set()

    def _rebuild(self) -> None:
        """The file broke under our hands: go on with what is in memory, in a new one."""
        self._connections.close()
        schema.move_aside(self._path)
        try:
            self._connections, _ = schema.connect(self._path)
        except sqlite3.Error:
            self._connections = schema.in_memory()
        self.broken = False
        known: Iterable[Entry | None] = {**self._hot, **self._dirty}.values()
        live = sorted((entry for entry in known if entry is not None), key=lambda entry: entry.last_use)
        self._dirty = {entry.digest: entry for entry in live}
        self.entries, self.used_bytes = len(live), sum(entry.size_bytes for entry in live)

    def _write(self, batch: _Batch) -> None:
        rows = [
            (
                bytes.fromhex(digest),
                entry.url,
                entry.generation,
                entry.size_bytes,
                entry.crc32c,
                entry.boot,
                entry.last_use,
            )
            for digest, entry in batch.changes.items()
            if entry is not None
        ]
        gone = [(bytes.fromhex(digest),) for digest, entry in batch.changes.items() if entry is None]
        connection = self._connections.writer
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany("DELETE FROM entries WHERE digest = ?", gone)
            connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            connection.executemany("INSERT OR IGNORE INTO pins VALUES (?, ?, ?, ?)", batch.pins)
            connection.execute("DELETE FROM pins WHERE pinned < ?", (batch.pins_from,))
            connection.execute("UPDATE totals SET entries = ?, bytes = ?", (batch.entries, batch.used_bytes))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _entry(row: _Row) -> Entry:
    return Entry(row[0].hex(), *row[1:])
