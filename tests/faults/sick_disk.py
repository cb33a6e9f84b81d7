"""A file system that passes all on to a folder, and answers EIO while it is told to.

``python sick_disk.py FOLDER MOUNT SWITCH``: the file SWITCH holds the names of the operations that fail now (like
``write fsync``); without it none does. It serves until it is unmounted. It needs /dev/fuse, libfuse and mfusepy.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

from mfusepy import FUSE, Operations

_STAT = (
    "st_atime_ns", "st_ctime_ns", "st_mtime_ns", "st_gid", "st_uid", "st_mode", "st_nlink", "st_size", "st_ino",
    "st_blocks",
)  # fmt: skip
_SPACE = (
    "f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files", "f_flag", "f_frsize", "f_namemax",
)  # fmt: skip


class SickDisk(Operations):
    """Each operation on the same path below `folder`."""

    use_ns = True

    def __init__(self, folder: Path, switch: Path) -> None:
        self._folder = str(folder)
        self._switch = switch

    def _ask(self, operation: str) -> None:
        try:
            failing = self._switch.read_text().split()
        except FileNotFoundError:
            return
        if operation in failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def _real(self, path: str) -> str:
        return f"{self._folder}{path}"

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        found = os.lstat(self._real(path))
        return {name.removesuffix("_ns"): getattr(found, name) for name in _STAT}

    def statfs(self, path: str) -> dict[str, Any]:
        found = os.statvfs(self._real(path))
        return {name: getattr(found, name) for name in _SPACE}

    def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
        self._ask("readdir")
        with os.scandir(self._real(path)) as found:
            return [(one.name, {"st_ino": one.inode(), "st_mode": one.stat(follow_symlinks=False).st_mode}, 0)
                    for one in found]  # fmt: skip

    def readlink(self, path: str) -> str:
        return os.readlink(self._real(path))  # noqa: PTH115 - bytes as they are

    def mkdir(self, path: str, mode: int) -> int:
        self._ask("mkdir")
        os.mkdir(self._real(path), mode)  # noqa: PTH102 - the same
        return 0

    def mknod(self, path: str, mode: int, dev: int) -> int:
        """The agent's socket."""
        os.mknod(self._real(path), mode, dev)
        return 0

    def rmdir(self, path: str) -> int:
        os.rmdir(self._real(path))  # noqa: PTH106 - the same
        return 0

    def unlink(self, path: str) -> int:
        self._ask("unlink")
        os.unlink(self._real(path))  # noqa: PTH108 - the same
        return 0

    def symlink(self, target: str, source: str) -> int:
        self._ask("symlink")
        os.symlink(source, self._real(target))  # noqa: PTH211 - the same
        return 0

    def link(self, target: str, source: str) -> int:
        self._ask("link")
        os.link(self._real(source), self._real(target))
        return 0

    def rename(self, old: str, new: str) -> int:
        self._ask("rename")
        os.replace(self._real(old), self._real(new))  # noqa: PTH105 - the same
        return 0

    def chmod(self, path: str, mode: int) -> int:
        os.chmod(self._real(path), mode)  # noqa: PTH101 - the same
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        os.utime(self._real(path), ns=times)
        return 0

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        self._ask("create")
        return os.open(self._real(path), os.O_RDWR | os.O_CREAT, mode)

    def open(self, path: str, flags: int) -> int:
        self._ask("open")
        return os.open(self._real(path), flags & ~os.O_APPEND)  # the kernel gives the position of each write

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        self._ask("read")
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self._ask("write")
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        self._ask("write")
        os.truncate(self._real(path), length)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self._ask("fsync")
        os.fsync(fh)
        return 0

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0


if __name__ == "__main__":
    folder, mount, switch = (Path(given).absolute() for given in sys.argv[1:])
    FUSE(
        SickDisk(folder, switch), str(mount), foreground=True, nothreads=True, use_ino=True, attr_timeout=0,
        entry_timeout=0, negative_timeout=0, fsname="sick-disk",
    )  # fmt: skip
