"""Writing files as a bucket does: whole or not at all, and only where the precondition holds."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from jit_render.model.errors import ChecksumMismatch, HostilePath, PreconditionFailed, StoreError
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.store.crc import BLOCK_BYTES, Crc32c
from jit_render.store.local_attributes import OWN_PREFIX, generation_of, info_of, note
from jit_render.store.local_errors import mapped
from jit_render.store.port import ABSENT

_LOCK = OWN_PREFIX + "lock"
_LEFTOVER_SECONDS = 24 * 3600.0
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


class Writer:
    """Begins writes; remembers which folders it has swept of leftovers."""

    def __init__(self) -> None:
        self._swept: set[Path] = set()

    @contextlib.contextmanager
    def begin(self, url: ObjectUrl) -> Iterator[Temporary]:
        """A temporary file beside `url`'s place; it is gone afterwards unless published."""
        refuse_own_name(url)
        final = Path("/", url.key)
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            self._sweep(final.parent)
            name = final.with_name(f"{OWN_PREFIX}{secrets.token_hex(8)}.part")
            fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise mapped(error, "write", url) from error
        try:
            yield Temporary(url, final, name, fd)
        except OSError as error:
            raise mapped(error, "write", url) from error
        finally:
            os.close(fd)
            with contextlib.suppress(OSError):
                name.unlink()

    def delete(self, url: ObjectUrl, if_generation: str | None) -> None:
        """Remove the file where it is of that generation (None: of any). Gone already: no error."""
        refuse_own_name(url)
        final = Path("/", url.key)
        try:
            if not final.is_file() and not final.is_symlink():
                return
            with _locked(final.parent):
                if if_generation is not None and _live(final) not in {None, if_generation}:
                    raise _changed(url, if_generation)
                final.unlink(missing_ok=True)
                _sync(final.parent)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise mapped(error, "delete", url) from error

    def _sweep(self, folder: Path) -> None:
        """Remove temporary files that a killed process left here a day ago or earlier; once per folder."""
        if folder in self._swept:
            return
        self._swept.add(folder)
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(OWN_PREFIX) and entry.name.endswith(".part"):
                    with contextlib.suppress(OSError):
                        if time.time() - entry.stat().st_mtime > _LEFTOVER_SECONDS:
                            os.unlink(entry.path)  # noqa: PTH108 - scandir gives text


class Temporary:
    """A file on its way to its name."""

    def __init__(self, url: ObjectUrl, final: Path, name: Path, fd: int) -> None:
        self._url = url
        self._final = final
        self._name = name
        self._fd = fd

    def append(self, data: memoryview) -> None:
        """Add `data` at the end. Raises OSError."""
        while data:
            data = data[os.write(self._fd, data) :]

    def append_file(self, path: Path, crc32c: int) -> None:
        """Add the content of the file at `path`. Raises ChecksumMismatch when its crc32c is another, StoreError."""
        crc = Crc32c()
        try:
            source = path.open("rb", buffering=0)
        except OSError as error:
            raise StoreError(f"cannot upload {path} to {self._url}: {error.strerror}.") from error
        with source:
            while block := source.read(BLOCK_BYTES):
                crc.update(block)
                self.append(memoryview(block))
        if crc.value != crc32c:
            raise ChecksumMismatch(
                f"{path} changed while it was uploaded to {self._url}: its crc32c is {crc.value:08x}, "
                f"not {crc32c:08x}; publish it again."
            )

    def publish(self, crc32c: int, if_generation: str, writer: str | None) -> ObjectInfo:
        """Give the file its final name where the precondition holds. Raises PreconditionFailed, OSError."""
        unique = time.time_ns() // 1_000_000 * 1_000_000 + secrets.randbelow(1_000_000)
        os.utime(self._fd, ns=(unique, unique))
        note(self._fd, crc32c, writer)
        os.fsync(self._fd)
        # What was just written is known, also where no attribute could be left.
        info = dataclasses.replace(info_of(self._url, self._fd), crc32c=crc32c, writer=writer)
        if if_generation == ABSENT:
            self._create()
        else:
            self._replace(if_generation)
        _sync(self._final.parent)
        return info

    def _create(self) -> None:
        try:
            os.link(self._name, self._final)
        except FileExistsError:
            raise self._in_the_way() from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with _locked(self._final.parent):
                if os.path.lexists(self._final):
                    raise self._in_the_way() from None
                self._name.rename(self._final)

    def _in_the_way(self) -> Exception:
        if self._final.is_dir():
            return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(self._final))
        return PreconditionFailed(f"{self._url} exists already; somebody else wrote it first.")

    def _replace(self, if_generation: str) -> None:
        with _locked(self._final.parent):
            if _live(self._final) != if_generation:
                raise _changed(self._url, if_generation)
            self._name.replace(self._final)


def refuse_own_name(url: ObjectUrl) -> None:
    """Raises HostilePath for the names that this store keeps for itself."""
    if url.name.startswith(OWN_PREFIX):
        raise HostilePath(f"{url}: names that begin with {OWN_PREFIX!r} are kept for the store itself; rename it.")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    fd = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _live(path: Path) -> str | None:
    try:
        return generation_of(path.stat())
    except (FileNotFoundError, NotADirectoryError):
        return None


def _changed(url: ObjectUrl, if_generation: str) -> PreconditionFailed:
    return PreconditionFailed(f"{url} is no longer of generation {if_generation}; somebody else changed it first.")


def _sync(folder: Path) -> None:
    """Make the names in `folder` last. Some shares cannot; then the file's own sync must do."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            os.fsync(fd)
    finally:
        os.close(fd)
