"""Any other URL (``memory://``, ``s3://``, ``az://`` …) through fsspec, for what has no backend of its own here.

What fsspec does not give is emulated, and weaker than on ``gs://`` and ``file://``:

* *Create if absent* asks the backend for ``mode="create"`` (S3 and memory honour it); where that does not exist,
  it looks first and then writes, under a lock of this process. Two machines may then both believe they won.
* *Replace under a precondition* looks first, then writes, under a lock of this process only.
* *Generation*: whatever of etag, version, modification time and size the backend tells, hashed. A read looks
  before and after; an object that was overwritten in between is GenerationGone, never mixed.
* *crc32c and writer* are known for what this process itself wrote, and None for all else.
* A created object whose answer was lost is met as somebody else's: PreconditionFailed.
* No upload sessions: an interrupted upload starts anew.

``memory://`` keeps the whole contract, within its one process.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from jit_render.model.clock import Clock
from jit_render.model.errors import (
    ChecksumMismatch,
    ConfigError,
    GenerationGone,
    HostilePath,
    JitRenderError,
    ObjectNotFound,
    PreconditionFailed,
    RangeInvalid,
    StoreError,
)
from jit_render.model.identity import ObjectId, ObjectInfo, ObjectUrl, check_key
from jit_render.model.settings import StoreSettings
from jit_render.store.anyfs_errors import mapped
from jit_render.store.crc import BLOCK_BYTES, crc32c_of_bytes, crc32c_of_file
from jit_render.store.port import ABSENT, Guarantees, Sink, Store
from jit_render.store.retry import Passing, Retrier, latest_of

T = TypeVar("T")
Entries = list[dict[str, Any]]
_TAGS = ("generation", "version_id", "VersionId", "ETag", "etag")
_TIMES = ("LastModified", "last_modified", "mtime", "created")
_written: dict[ObjectId, tuple[int, str | None]] = {}
"""What this process wrote: crc32c and writer. One for all stores, as ``memory://`` is."""
_writing = tuple(threading.Lock() for _ in range(64))
"""Serialise writers of one place; striped, so that uploads to other places run beside."""


class AnyFsStore(Store):
    """All roots of one scheme; see the module's text for which guarantees are emulated."""

    def __init__(self, scheme: str, settings: StoreSettings, clock: Clock) -> None:
        self._scheme = scheme
        self._retrier = Retrier(clock, settings.deadline)
        try:
            kind = fsspec.get_filesystem_class(scheme)
            self._fs = kind(use_listings_cache=False, skip_instance_cache=True)
        except ValueError:
            raise ConfigError(f"{scheme}:// is no storage known here; use gs://, file:// or one fsspec has.") from None
        except ImportError as error:
            raise ConfigError(f"{scheme}:// needs another library: {error}.") from error

    def guarantees(self, root: str) -> Guarantees:
        del root
        memory = self._scheme == "memory"
        return Guarantees(
            atomic_create=memory, atomic_replace=memory, checksums=memory, pinned_reads=memory, writer_mark=memory
        )

    def stat(self, url: ObjectUrl, *, generation: str | None = None) -> ObjectInfo:
        try:
            info = self._call("read", url, lambda: self._look(url))
        except ObjectNotFound:
            if generation is None:
                raise
            raise _gone(url, generation) from None
        if generation is not None and info.id.generation != generation:
            raise _gone(url, generation)
        return info

    def list(self, prefix: ObjectUrl, *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """As the port says. Names that are no safe object name are left out."""
        place = self._place(prefix)
        base = place if place.endswith("/") else place + "/"
        try:
            entries = self._call("list", prefix, lambda: self._entries(place, recursive))
        except ObjectNotFound:
            return
        for entry in sorted(entries, key=_name):
            name = str(entry["name"])
            try:
                url = prefix / name.removeprefix(base) if name.startswith(base) else None
            except HostilePath:
                continue
            if url is not None and entry.get("type") == "file":
                yield _info(url, entry)

    def read(self, url: ObjectUrl, *, generation: str | None = None) -> tuple[bytes, ObjectInfo]:
        return latest_of(lambda: self._read(url, generation), pinned=generation is not None)

    def _read(self, url: ObjectUrl, generation: str | None) -> tuple[bytes, ObjectInfo]:
        info = self.stat(url, generation=generation)
        data = bytes(self._call("read", url, lambda: self._fs.cat_file(self._place(url))))
        self.stat(url, generation=info.id.generation)
        if info.crc32c is not None and crc32c_of_bytes(data) != info.crc32c:
            raise ChecksumMismatch(f"{url}: the bytes that came are not those that were written; try again.")
        return data, info

    def download(self, info: ObjectInfo, sink: Sink, *, start: int = 0, end: int | None = None) -> None:
        stop = info.size_bytes if end is None else end
        if not 0 <= start <= stop <= info.size_bytes:
            raise RangeInvalid(f"{info.url}: bytes {start}:{stop} are not within its {info.size_bytes} bytes.")
        self.stat(info.url, generation=info.id.generation)
        step = 16 * BLOCK_BYTES
        for at in range(start, stop, step):
            until = min(at + step, stop)
            data = self._call("read", info.url, functools.partial(self._piece, info, at, until))
            self.stat(info.url, generation=info.id.generation)
            sink(memoryview(data))

    def write(self, url: ObjectUrl, data: bytes, *, if_generation: str, writer: str | None = None) -> ObjectInfo:
        def put(place: str, mode: dict[str, str]) -> None:
            self._fs.pipe_file(place, data, **mode)

        return self._put(url, crc32c_of_bytes(data), if_generation, writer, put)

    def upload(
        self,
        url: ObjectUrl,
        path: Path,
        *,
        crc32c: int,
        if_generation: str,
        writer: str | None = None,
        session: str | None = None,
        on_session: Callable[[str], None] | None = None,
    ) -> ObjectInfo:
        """As the port says. There are no sessions: an interrupted upload starts anew."""
        del session, on_session
        try:
            actual = crc32c_of_file(path)
        except OSError as error:
            raise StoreError(f"cannot upload {path} to {url}: {error.strerror}.") from error
        if actual != crc32c:
            raise ChecksumMismatch(f"{path}: crc32c is {actual:08x}, not {crc32c:08x}; publish it again.")

        def put(place: str, mode: dict[str, str]) -> None:
            self._fs.put_file(str(path), place, **mode)

        return self._put(url, crc32c, if_generation, writer, put)

    def delete(self, url: ObjectUrl, *, if_generation: str | None = None) -> None:
        with _writing[hash(url) % len(_writing)]:
            try:
                live = self.stat(url).id.generation
                if if_generation not in {None, live}:
                    raise _changed(url)
                self._call("delete", url, lambda: self._fs.rm_file(self._place(url)))
            except ObjectNotFound:
                return

    def close(self) -> None:
        """Nothing to do: the file systems of fsspec keep their own connections."""

    def _put(
        self,
        url: ObjectUrl,
        crc32c: int,
        if_generation: str,
        writer: str | None,
        put: Callable[[str, dict[str, str]], Any],
    ) -> ObjectInfo:
        check_key(url.key, str(url))
        with _writing[hash(url) % len(_writing)]:
            self._require(url, if_generation)
            mode = {"mode": "create"} if if_generation == ABSENT else {}
            try:
                self._call("write", url, lambda: self._create_or_put(put, self._place(url), mode))
            except FileExistsError:
                raise _changed(url) from None
            info = self.stat(url)
            _written[info.id] = (crc32c, writer)
        return self.stat(url)

    def _create_or_put(self, put: Callable[[str, dict[str, str]], Any], place: str, mode: dict[str, str]) -> None:
        try:
            put(place, mode)
        except (TypeError, NotImplementedError):
            if not mode:
                raise
            put(place, {})  # this backend has no create mode; `_require` has just looked

    def _require(self, url: ObjectUrl, if_generation: str) -> None:
        try:
            live = self.stat(url).id.generation
        except ObjectNotFound:
            live = ABSENT
        if live != if_generation:
            raise _changed(url)

    def _entries(self, place: str, recursive: bool) -> Entries:
        if recursive:
            return list(self._fs.find(place, detail=True).values())
        return list(self._fs.ls(place, detail=True))

    def _look(self, url: ObjectUrl) -> ObjectInfo:
        entry = self._fs.info(self._place(url))
        if entry.get("type") != "file":
            raise FileNotFoundError(str(url))
        return _info(url, entry)

    def _piece(self, info: ObjectInfo, start: int, end: int) -> bytes:
        data = bytes(self._fs.cat_file(self._place(info.url), start=start, end=end))
        if len(data) != end - start:
            if self._look(info.url).id != info.id:
                raise _gone(info.url, info.id.generation)
            raise OSError(f"{len(data)} bytes came instead of {end - start}")
        return data

    def _place(self, url: ObjectUrl) -> str:
        return str(self._fs._strip_protocol(str(url)))  # noqa: SLF001 - fsspec has no public name for it

    def _call(self, verb: str, url: ObjectUrl, work: Callable[[], T]) -> T:
        def once() -> T:
            try:
                return work()
            except (FileExistsError, JitRenderError):
                raise
            except Exception as error:
                problem = mapped(error, verb, url)
                raise (Passing(problem) if problem.retryable else problem) from error

        return self._retrier.call(once)


def _info(url: ObjectUrl, entry: dict[str, Any]) -> ObjectInfo:
    times = [_seconds(entry[key]) for key in _TIMES if entry.get(key) is not None]
    told = [f"{key}={entry[key]}" for key in _TAGS if entry.get(key) is not None] + [f"{time:.6f}" for time in times]
    generation = hashlib.sha256("\0".join([*told, str(entry.get("size"))]).encode()).hexdigest()[:32]
    identity = ObjectId(url, generation)
    crc32c, writer = _written.get(identity, (None, None))
    return ObjectInfo(identity, int(entry.get("size") or 0), crc32c, next(iter(times), 0.0), writer)


def _name(entry: dict[str, Any]) -> str:
    return str(entry["name"])


def _seconds(value: Any) -> float:
    """Since the epoch, of what some calls of a backend give as a datetime, others as a number or text."""
    if isinstance(value, datetime):
        return value.timestamp()
    try:
        return float(value) if isinstance(value, int | float) else datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        return 0.0


def _gone(url: ObjectUrl, generation: str) -> GenerationGone:
    return GenerationGone(f"{url}: generation {generation} is gone, it was changed or removed; submit again.")


def _changed(url: ObjectUrl) -> PreconditionFailed:
    return PreconditionFailed(f"{url}: somebody else created, changed or removed it first.")
