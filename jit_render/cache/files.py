# A Path costs two microseconds, which is what the call itself costs, and here there may be a million:
# ruff: noqa: PTH100, PTH102, PTH103, PTH105, PTH108, PTH112, PTH114, PTH115, PTH116, PTH208, PTH211
"""The file system by plain strings, for the paths that are hot or many."""

from __future__ import annotations

import contextlib
import os
import shutil


def absolute(path: str | os.PathLike[str]) -> str:
    """`path` from the root, with links in the way left as they are."""
    return os.path.abspath(path)


def size_of(path: str) -> int:
    """Bytes of the file at `path`; -1 where there is none to be read."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def inode_of(path: str) -> int:
    """Which file is at `path`; -1 where there is none."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return -1


def time_of(path: str) -> float | None:
    """When the file at `path` was last changed; seconds since the epoch. None where there is none."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None


def set_time(path: str, seconds: float) -> None:
    """Let the file at `path`, made if need be, seem changed at `seconds`, if the disk takes that."""
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.utime(path, (seconds, seconds))


def names_in(folder: str) -> list[str]:
    """What `folder` holds; nothing where it is missing. Raises OSError for a failing disk."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def move(path: str, to: str) -> None:
    """Rename, replacing what is there. Raises OSError."""
    os.replace(path, to)


def make_folder(path: str) -> None:
    """Make a folder and those on its way, for this user only; there already: fine. Raises OSError."""
    try:
        os.mkdir(path, 0o700)  # nearly always only the last one is missing, and looking first costs as much again
    except OSError:
        os.makedirs(path, mode=0o700, exist_ok=True)


def remove(path: str) -> None:
    """Remove a file, a link or a whole folder, as far as that is possible."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            os.unlink(path)


def symlink(place: str, target: str) -> None:
    """Make the link `place` lead to `target`. Raises FileExistsError where anything is."""
    os.symlink(target, place)


def keep_link(place: str, also: str) -> None:
    """Give the link at `place` itself a second name, where the disk can do that."""
    with contextlib.suppress(OSError):
        os.link(place, also, follow_symlinks=False)


def is_link(place: str) -> bool:
    """Is there a link, wherever it leads?"""
    return os.path.islink(place)


def leads_to(place: str, target: str) -> bool:
    """Is there a link to exactly `target`?"""
    return target_of(place) == target


def target_of(place: str) -> str | None:
    """What the link at `place` says; None where no link is."""
    try:
        return os.readlink(place)
    except OSError:
        return None
