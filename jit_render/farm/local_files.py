r"""The artist's own disk: which files there stand for which objects.

A name is looked for under the prefix that it is spelled with, or, where this machine has no such folder
(``P:\show`` on Linux), under another prefix of the same rule. Only names that scripts may read are brought: what lies
under a rule for writing is made by jobs.

What is not a file is never opened: a named pipe would hang whoever does. A link to a file is that file, as it is to
Nuke; a link to a folder is entered when it is named, but not when it is met on the way through a folder, where it might
lead round in a circle or bring a show twice.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from jit_render.farm.records import concurrently
from jit_render.model.errors import HostilePath, PathRefused, UsageError
from jit_render.model.identity import ObjectUrl
from jit_render.model.pathmap import Mapped, PathMap

BLOCK = 256  # files that one thread looks at, one after another: on a shared disk each look is a round trip


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file as it was when it was looked at, and the object that it stands for."""

    path: str
    url: ObjectUrl
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, path: str, url: ObjectUrl, status: os.stat_result) -> LocalFile:
        return cls(path, url, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    @property
    def identity(self) -> tuple[str, int, int, int, int]:
        """Another one for every change that the file system can tell; the change time is nobody's to set back."""
        return (self.path, self.size_bytes, self.mtime_ns, self.ctime_ns, self.inode)


@dataclass(frozen=True, slots=True)
class Left:
    """What is not brought, and why."""

    path: str
    why: str


@dataclass(slots=True)
class Found:
    """`refused` was asked for and cannot be brought; `skipped` was met on the way and is nothing to bring."""

    files: dict[ObjectUrl, LocalFile] = field(default_factory=dict)
    refused: list[Left] = field(default_factory=list)
    skipped: list[Left] = field(default_factory=list)

    def look(self, path: str, url: ObjectUrl, *, must_be_there: bool) -> None:
        """Take the file at `path` in, whatever it turns out to be."""
        try:
            status = os.stat(path)  # noqa: PTH116 - 20,000 Paths cost more than what is done with them
        except (FileNotFoundError, NotADirectoryError):
            if must_be_there:
                why = "a link that leads nowhere" if os.path.islink(path) else "it is not on this disk"  # noqa: PTH114
                self.refused.append(Left(path, why))
            return
        except (OSError, ValueError) as error:
            self.refused.append(Left(path, f"it cannot be looked at: {_reason(error)}"))
            return
        if stat.S_ISREG(status.st_mode):
            self.files.setdefault(url, LocalFile.of(path, url, status))
        else:
            (self.refused if must_be_there else self.skipped).append(Left(path, f"it is {_kind(status)}, not a file"))

    def add(self, other: Found) -> None:
        for url, file in other.files.items():
            self.files.setdefault(url, file)
        self.refused += other.refused
        self.skipped += other.skipped


class Places:
    """Where mapped names lie on this machine."""

    def __init__(self, path_map: PathMap) -> None:
        self._path_map = path_map
        self._bases: dict[tuple[str, str], str] = {}

    def of(self, mapped: Mapped) -> str:
        """The path here; empty where this machine has none of the rule's folders."""
        base = self._base(mapped)
        tail = mapped.url.key.removeprefix(mapped.target.key).lstrip("/")
        return f"{base}/{tail}".rstrip("/") if base else ""

    def _base(self, mapped: Mapped) -> str:
        key = (mapped.prefix, str(mapped.target))
        if key not in self._bases:
            spellings = [mapped.prefix] + [
                prefix
                for rule in self._path_map.rules
                if rule.target == key[1].removesuffix("/") and rule.mode == mapped.mode
                for prefix in rule.prefix
            ]
            here = (prefix for prefix in spellings if _is_of_this_system(prefix) and os.path.isdir(prefix or "/"))  # noqa: PTH112
            self._bases[key] = next(here, "")
        return self._bases[key]


def _is_of_this_system(prefix: str) -> bool:
    posix = prefix.startswith("/") and not prefix.startswith("//")
    return posix if os.name == "posix" else not posix


def find_named(path_map: PathMap, names: Iterable[str]) -> Found:
    """The files behind `names` that are on this disk. A name under no rule, or under one for writing, is passed by."""
    found, places = Found(), Places(path_map)
    wanted: dict[ObjectUrl, str] = {}
    for name in names:
        try:
            mapped = path_map.find(name)
        except PathRefused as error:
            found.refused.append(Left(name, str(error)))
            continue
        if mapped is not None and mapped.mode == "read" and (path := places.of(mapped)):
            wanted.setdefault(mapped.url, path)
    return _look_at(wanted, found)


def _look_at(wanted: dict[ObjectUrl, str], found: Found) -> Found:
    entries = list(wanted.items())

    def look(block: list[tuple[ObjectUrl, str]]) -> Found:
        one = Found()
        for url, path in block:
            one.look(path, url, must_be_there=False)
        return one

    for one in concurrently(look, [entries[start : start + BLOCK] for start in range(0, len(entries), BLOCK)]):
        found.add(one)
    return found


def find_pushed(path_map: PathMap, paths: Iterable[str]) -> Found:
    """Files by path, and everything below folders. Raises UnmappedPath, HostilePath, UsageError for what is named."""
    found, places = Found(), Places(path_map)
    for name in paths:
        mapped = path_map.resolve(name if path_map.find(name) is not None else os.path.abspath(name))  # noqa: PTH100
        if mapped.mode == "write":
            raise UsageError(f"{name} is where jobs write; only what scripts read is brought. Map it for reading.")
        path = places.of(mapped)
        if path and os.path.isdir(path):  # noqa: PTH112
            _walk(path_map, path, found)
        elif mapped.url.key:
            found.look(path or name, mapped.url, must_be_there=True)
    return found


def _walk(path_map: PathMap, top: str, found: Found) -> None:
    """Everything below `top`, without recursion: folders may be nested deeply."""
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            mapped = path_map.find(folder)
        except PathRefused as error:
            found.refused.append(Left(folder, str(error)))
            continue
        if mapped is None or mapped.mode == "write":
            found.skipped.append(Left(folder, "jobs write there"))
            continue
        try:
            entries = list(_entries(folder))
        except OSError as error:
            found.refused.append(Left(folder, f"the folder cannot be read: {_reason(error)}"))
            continue
        for entry in entries:
            _meet(entry, mapped.url, found, folders)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from sorted(entries, key=lambda entry: entry.name)


def _meet(entry: os.DirEntry[str], at: ObjectUrl, found: Found, folders: list[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        folders.append(entry.path)
    elif entry.is_dir():
        found.skipped.append(Left(entry.path, "it is a link to a folder; push it by its own name"))
    else:
        try:
            url = at / entry.name
        except HostilePath as error:
            found.refused.append(Left(entry.path, str(error)))
            return
        found.look(entry.path, url, must_be_there=entry.is_symlink())


def _kind(status: os.stat_result) -> str:
    kinds = {
        stat.S_ISDIR: "a folder",
        stat.S_ISFIFO: "a named pipe",
        stat.S_ISSOCK: "a socket",
        stat.S_ISCHR: "a device",
        stat.S_ISBLK: "a device",
    }
    return next((name for test, name in kinds.items() if test(status.st_mode)), "something else")


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
