"""``file://``: the local disk, or a mounted share, as a store.

The root is ``file://``, the whole file system: ``file:///show/a.exr`` has the key ``show/a.exr``. There is
no bucket, so BucketNotFound never comes: a folder that does not exist is simply empty. Files that others put there
(plates by hand, a render by another program) are objects like any; hidden files too.

What stands in for a bucket's services:

* *Generation*: time of last modification in ns, inode and size. What this store writes gets a modification
  time with random nanoseconds, so that two writes within one tick of the kernel's clock still differ. A file that
  another program changes in place, to the same size, within one tick (about 4 ms) keeps its generation.
* *Create if absent*: a temporary file in the same folder, synced, then ``link`` under the final name, which fails
  when that exists: atomic, also between machines on one share. A file system without hard links falls
  back to look-then-rename under the folder's lock.
* *Replace and delete under a precondition*: under ``flock`` of ``.jit_render-lock`` in the same folder, made at
  the first such call and left there. Atomic among all who go through this store; another program is not held back.
* *crc32c and writer*: an extended attribute ``user.jit_render.object``, which names the generation it was
  written for; once another program has changed the file it no longer counts. Where the file system has no
  user attributes both are None.

The names ``.jit_render-*`` are this store's own: never listed, never written through it. A temporary file that a
killed process left is removed a day later, when something is next written to its folder.
A symlink is followed for reading and replaced, not followed, by a write. ``a`` and ``a/b`` cannot both be objects here.
"""

from __future__ import annotations

import os
import stat as stat_bits
from collections.abc import Callable, Iterator
from pathlib import Path

from jit_render.model.errors import ChecksumMismatch, GenerationGone, ObjectNotFound, RangeInvalid
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.store import local_attributes as attributes
from jit_render.store.buffers import page_aligned
from jit_render.store.crc import BLOCK_BYTES, crc32c_of_bytes
from jit_render.store.local_errors import mapped
from jit_render.store.local_list import walk
from jit_render.store.local_write import Writer, refuse_own_name
from jit_render.store.port import Guarantees, Sink, Store


class LocalStore(Store):
    """Files as objects; see the module's text for what each guarantee rests on."""

    def __init__(self) -> None:
        self._writer = Writer()

    def guarantees(self, root: str) -> Guarantees:
        """``checksums`` is False because files that others wrote have none; our own carry theirs."""
        del root
        return Guarantees(atomic_create=True, atomic_replace=True, checksums=False, pinned_reads=True, writer_mark=True)

    def stat(self, url: ObjectUrl, *, generation: str | None = None) -> ObjectInfo:
        fd = self._open(url, generation)
        try:
            return attributes.info_of(url, fd)
        finally:
            os.close(fd)

    def list(self, prefix: ObjectUrl, *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """As the port says. Names that are no safe object name (not Unicode, control characters) are left out."""
        return walk(prefix, recursive=recursive)

    def read(self, url: ObjectUrl, *, generation: str | None = None) -> tuple[bytes, ObjectInfo]:
        fd = self._open(url, generation)
        try:
            info = attributes.info_of(url, fd)
            pieces: list[bytes] = []
            _copy(info, fd, lambda piece: pieces.append(bytes(piece)), 0, info.size_bytes)
        finally:
            os.close(fd)
        data = b"".join(pieces)
        if info.crc32c is not None and crc32c_of_bytes(data) != info.crc32c:
            raise ChecksumMismatch(f"{url}: what the disk holds is not what was written; write or copy it again.")
        return data, info

    def download(self, info: ObjectInfo, sink: Sink, *, start: int = 0, end: int | None = None) -> None:
        stop = info.size_bytes if end is None else end
        if not 0 <= start <= stop <= info.size_bytes:
            raise RangeInvalid(f"{info.url}: bytes {start}:{stop} are not within its {info.size_bytes} bytes.")
        fd = self._open(info.url, info.id.generation)
        try:
            _copy(info, fd, sink, start, stop)
        finally:
            os.close(fd)

    def write(self, url: ObjectUrl, data: bytes, *, if_generation: str, writer: str | None = None) -> ObjectInfo:
        crc32c = crc32c_of_bytes(data)
        with self._writer.begin(url) as temporary:
            temporary.append(memoryview(data))
            return temporary.publish(crc32c, if_generation, writer)

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
        with self._writer.begin(url) as temporary:
            temporary.append_file(path, crc32c)
            return temporary.publish(crc32c, if_generation, writer)

    def delete(self, url: ObjectUrl, *, if_generation: str | None = None) -> None:
        self._writer.delete(url, if_generation)

    def close(self) -> None:
        """Nothing is kept open."""

    def _open(self, url: ObjectUrl, generation: str | None) -> int:
        """A descriptor of the regular file at `url`, of that generation. Opened without blocking: it may be a fifo."""
        refuse_own_name(url)
        try:
            fd = os.open(f"/{url.key}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise _absent(url, generation) from None
        except OSError as error:
            raise mapped(error, "read", url) from error
        status = os.fstat(fd)
        if not stat_bits.S_ISREG(status.st_mode):
            os.close(fd)
            raise _absent(url, generation)
        if generation is not None and generation != attributes.generation_of(status):
            os.close(fd)
            raise _gone(url, generation)
        return fd


def _copy(info: ObjectInfo, fd: int, sink: Sink, start: int, stop: int) -> None:
    """Bytes ``start:stop`` to `sink`; each block is handed over only if the file was still the same after its read."""
    buffer = page_aligned(min(BLOCK_BYTES, max(stop - start, 1)))
    at = start
    while at < stop:
        try:
            count = os.preadv(fd, [buffer[: min(len(buffer), stop - at)]], at)
            generation = attributes.generation_of(os.fstat(fd))
        except OSError as error:
            raise mapped(error, "read", info.url) from error
        if generation != info.id.generation or not count:
            raise _gone(info.url, info.id.generation)
        sink(buffer[:count])
        at += count


def _absent(url: ObjectUrl, generation: str | None) -> ObjectNotFound | GenerationGone:
    return ObjectNotFound(f"{url} does not exist.") if generation is None else _gone(url, generation)


def _gone(url: ObjectUrl, generation: str) -> GenerationGone:
    return GenerationGone(f"{url}: generation {generation} is gone, the file was changed or removed; submit again.")
