"""From the artist's disk to the bucket: what frames will read is brought there, and nothing else moves.

A file stands for an object by the path map. The bucket is asked folder by folder what it has; a file whose object is
there with the same size and crc32c is in its place already, by whatever way it came. So doing it twice costs a listing
and no reading (`hash_cache.py`), and whoever is interrupted, or killed, just begins again: what was uploaded is found
in the listing, a large file goes on in its upload session, and an object is visible whole or not at all.

Disk and bucket may differ because the artist has something new, or because somebody else has and the artist's copy is
stale. The disk's version goes up when it was changed after the object was written; otherwise the bucket's stays and
the file is listed as kept back, and only ``--overwrite`` says otherwise (decision 0031). Every upload names the version
that it replaces, so what somebody writes meanwhile is never written over, but told.
"""

from __future__ import annotations

import queue
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from jit_render.farm.hash_cache import HashCache, open_hashes
from jit_render.farm.ingest_report import Brought, Choices, IngestProgress, IngestReport
from jit_render.farm.local_files import Found, Left, LocalFile, find_named
from jit_render.farm.reading import WasRead, read_whole
from jit_render.farm.records import concurrently
from jit_render.farm.sending import send
from jit_render.model.clock import Clock
from jit_render.model.errors import (
    BucketNotFound,
    ChecksumMismatch,
    HostilePath,
    ObjectNotFound,
    PermissionDenied,
    PreconditionFailed,
    StoreError,
    TransientStoreError,
)
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.pathmap import PathMap
from jit_render.model.settings import Settings
from jit_render.store import Store
from jit_render.store.crc import Crc32c

_CONCERNING_ALL = (PermissionDenied, BucketNotFound, TransientStoreError)
REMEMBER = 64  # checksums in one transaction; a kill loses no more than these
_CHANGING = "it keeps changing while it is read; wait until whatever writes it is done"


def ingest_for(
    settings: Settings,
    store: Store,
    names: Iterable[str],
    *,
    clock: Clock,
    choices: Choices | None = None,
    there: Mapping[ObjectUrl, ObjectInfo] | None = None,
) -> IngestReport:
    """Bring those of `names` (as scripts spell them) that lie on this disk. Raises StoreError.

    `there`: what the bucket has of them, where it has been asked already.
    """
    found = find_named(PathMap(rules=settings.paths), names)
    return ingest(settings, store, found, clock=clock, choices=choices, there=there)


def ingest(
    settings: Settings,
    store: Store,
    found: Found,
    *,
    clock: Clock,
    choices: Choices | None = None,
    there: Mapping[ObjectUrl, ObjectInfo] | None = None,
) -> IngestReport:
    """Bring what was `found`. Raises StoreError for what concerns every file: permissions, the bucket, the network."""
    files = {url: file for url, file in found.files.items() if not _is_itself(file)}
    live = _listed(store, files) if there is None else there
    folder = Path(settings.ingest.hashes).expanduser()
    hashes = open_hashes(folder, settings.ingest.hashes_limit) if files else HashCache(None)
    try:
        run = _Ingest(store, hashes, clock, choices or Choices(), live)
        run.go(list(files.values()), settings.ingest.uploaders)
        return run.report(found, in_place=len(found.files) - len(files))
    finally:
        hashes.close()


def _is_itself(file: LocalFile) -> bool:
    """A folder may stand for a bucket, and hold the very file."""
    if file.url.root != "file://":
        return False
    try:
        return Path("/", file.url.key).samefile(file.path)
    except OSError:
        return False


def _listed(store: Store, urls: Iterable[ObjectUrl]) -> dict[ObjectUrl, ObjectInfo]:
    """Those of `urls` that the bucket has: one listing a folder, many at once."""
    wanted = set(urls)
    folders = sorted({url.parent for url in wanted})
    listed = concurrently(
        lambda folder: [info for info in store.list(folder, recursive=False) if info.url in wanted], folders
    )
    return {info.url: info for infos in listed for info in infos}


class _End(Enum):
    UNCHANGED = "unchanged"
    BROUGHT = "brought"
    KEPT = "kept"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class _Done:
    """What a thread has found out about one file."""

    end: _End
    file: LocalFile
    replaces: ObjectInfo | None = None
    why: str = ""
    was_read: WasRead | None = None


@dataclass
class _Ingest:
    """One run. The threads only read and upload; what is counted and remembered is the caller's thread's."""

    store: Store
    hashes: HashCache
    clock: Clock
    choices: Choices
    live: Mapping[ObjectUrl, ObjectInfo]
    done: list[_Done] = field(default_factory=list)
    bytes_read: int = 0
    bytes_uploaded: int = 0
    _fresh: list[tuple[LocalFile, int]] = field(default_factory=list)

    def go(self, files: list[LocalFile], threads: int) -> None:
        """Settle every file. What concerns them all stops the rest and is raised."""
        results: queue.SimpleQueue[_Done | BaseException] = queue.SimpleQueue()
        waiting = [(file, known) for file in files if not self._is_known(file, known := self.hashes.crc32c(file))]
        waiting.sort(key=lambda entry: -entry[0].size_bytes)  # the longest last would be waited for alone
        self._tell(len(files))
        try:
            with ThreadPoolExecutor(threads, thread_name_prefix="ingest") as pool:
                try:
                    for file, known in waiting:
                        pool.submit(self._settle, file, known, results)
                    for _ in waiting:
                        self._take(results.get())
                        self._tell(len(files))
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        finally:
            self.hashes.remember(self._fresh)

    def _is_known(self, file: LocalFile, crc32c: int | None) -> bool:
        """Whether nothing need be read to see that the bucket has this file."""
        info = self.live.get(file.url)
        if info is None or crc32c is None or (info.size_bytes, info.crc32c) != (file.size_bytes, crc32c):
            return False
        self.done.append(_Done(_End.UNCHANGED, file))
        return True

    def _take(self, result: _Done | BaseException) -> None:
        if isinstance(result, BaseException):
            raise result
        self.done.append(result)
        if result.was_read is not None:
            self.bytes_read += result.was_read.file.size_bytes
            if result.was_read.may_be_remembered:
                self._fresh.append((result.was_read.file, result.was_read.crc32c))
        if result.end is _End.BROUGHT and not self.choices.dry_run:
            self.bytes_uploaded += result.file.size_bytes
        if len(self._fresh) >= REMEMBER:
            self.hashes.remember(self._fresh)
            self._fresh.clear()

    def _tell(self, files: int) -> None:
        self.choices.on_progress(IngestProgress(len(self.done), files, self.bytes_read, self.bytes_uploaded))

    def _settle(self, file: LocalFile, known: int | None, results: queue.SimpleQueue[_Done | BaseException]) -> None:
        try:
            results.put(self._settled(file, known))
        except _CONCERNING_ALL as error:
            results.put(error)
        except (StoreError, HostilePath) as error:
            results.put(_Done(_End.REFUSED, file, why=str(error)))
        except OSError as error:
            results.put(_Done(_End.REFUSED, file, why=f"it cannot be read: {error.strerror or error}"))
        except BaseException as error:
            results.put(error)

    def _settled(self, file: LocalFile, known: int | None) -> _Done:
        info = self.live.get(file.url)
        if info is not None and info.size_bytes != file.size_bytes and not self._may_replace(file, info):
            return _Done(_End.KEPT, file, info, _why_kept(info))
        if info is None and self.choices.dry_run:
            return _Done(_End.BROUGHT, file)
        was_read: WasRead | None = None
        if known is None:
            was_read = read_whole(file, self.choices.opener, self.clock)
            if was_read is None:
                return _Done(_End.REFUSED, file, why=_CHANGING)
            file, known = was_read.file, was_read.crc32c
        if info is not None and self._is_same(info, file, known):
            return _Done(_End.UNCHANGED, file, was_read=was_read)
        if info is not None and not self._may_replace(file, info):
            return _Done(_End.KEPT, file, info, _why_kept(info), was_read)
        if self.choices.dry_run:
            return _Done(_End.BROUGHT, file, info, was_read=was_read)
        return self._upload(file, known, info, was_read)

    def _may_replace(self, file: LocalFile, info: ObjectInfo) -> bool:
        return self.choices.overwrite or file.mtime_ns / 1e9 > info.updated

    def _is_same(self, info: ObjectInfo, file: LocalFile, crc32c: int) -> bool:
        """By content; a backend that keeps no checksums is read."""
        if info.size_bytes != file.size_bytes:
            return False
        if info.crc32c is not None:
            return info.crc32c == crc32c
        crc = Crc32c()
        self.store.download(info, crc.update)
        return crc.value == crc32c

    def _upload(self, file: LocalFile, crc32c: int, info: ObjectInfo | None, was_read: WasRead | None) -> _Done:
        try:
            send(self.store, self.hashes, file, crc32c, replaces=info)
        except PreconditionFailed:
            return self._raced(file, crc32c, was_read)
        except ChecksumMismatch:
            fresh = read_whole(file, self.choices.opener, self.clock)
            if fresh is None or fresh.crc32c == crc32c or was_read is not None:
                return _Done(_End.REFUSED, file, why=_CHANGING, was_read=fresh)
            return self._upload(fresh.file, fresh.crc32c, info, fresh)  # what was remembered was out of date
        return _Done(_End.BROUGHT, file, info, was_read=was_read)

    def _raced(self, file: LocalFile, crc32c: int, was_read: WasRead | None) -> _Done:
        """Somebody wrote the object meanwhile: the same, or something else."""
        try:
            info = self.store.stat(file.url)
        except ObjectNotFound:
            return _Done(_End.REFUSED, file, why=f"{file.url} was removed meanwhile; push it again", was_read=was_read)
        if self._is_same(info, file, crc32c):
            return _Done(_End.UNCHANGED, file, was_read=was_read)
        why = f"{file.url} was changed by somebody else meanwhile (now #{info.id.generation}); look, and push again"
        return _Done(_End.REFUSED, file, why=why, was_read=was_read)

    def report(self, found: Found, *, in_place: int) -> IngestReport:
        """All of it, by path."""
        ends: dict[_End, list[_Done]] = {end: [] for end in _End}
        for one in sorted(self.done, key=lambda one: one.file.path):
            ends[one.end].append(one)
        return IngestReport(
            files=len(self.done) + in_place,
            unchanged=len(ends[_End.UNCHANGED]) + in_place,
            brought=tuple(_brought(one) for one in ends[_End.BROUGHT]),
            kept=_left(ends[_End.KEPT]),
            refused=(*found.refused, *_left(ends[_End.REFUSED])),
            skipped=tuple(found.skipped),
            bytes_read=self.bytes_read,
            bytes_uploaded=self.bytes_uploaded,
            dry_run=self.choices.dry_run,
            note=self.hashes.problem,
        )


def _left(done: Iterable[_Done]) -> tuple[Left, ...]:
    return tuple(Left(one.file.path, one.why) for one in done)


def _brought(one: _Done) -> Brought:
    replaces = one.replaces.id.generation if one.replaces is not None else ""
    return Brought(one.file.path, str(one.file.url), one.file.size_bytes, replaces)


def _why_kept(info: ObjectInfo) -> str:
    return f"{info.url} differs and was written later; it stays (push --overwrite replaces it)"
