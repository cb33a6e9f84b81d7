"""The folders of one cache, who owns them, and names that nobody else uses.

::

    <root>/lock            flock: one agent per cache
           objects/ab/<digest>.<extension>
           incoming/       downloads under way, and what is on its way out; emptied at each start
           view/<job>/…    see view.py
           spool/          the agent's
           index.sqlite

Temporaries have a folder of their own on the same file system, and not a name beside the final one, for two reasons:
an object may be called anything, so no name in its folder is surely ours; and a start after a crash finds what
was left with one listing, even where a million objects lie beside.

An object has no folder of its own: that would cost as much time as the file, and a block of the disk that no limit
counts. Its base name is seen in the view; here it keeps only its extension, by which readers choose how to read.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from jit_render.model.errors import CacheLocked, CacheUnusable, HostilePath
from jit_render.model.identity import NAME_LIMIT_BYTES

PATH_LIMIT_BYTES = 4095  # Linux's PATH_MAX without its closing NUL
ROOT_LIMIT_BYTES = PATH_LIMIT_BYTES - NAME_LIMIT_BYTES - 128  # a job and its outputs want room below
EXTENSION_LIMIT = 16  # characters: no format has a longer one, and 64 digits with it fit every disk
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Layout:
    """Where things lie below `root`, an absolute path."""

    root: Path
    _run: str = field(default_factory=lambda: f"{os.getpid()}-{secrets.token_hex(4)}")
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def incoming(self) -> Path:
        return self.root / "incoming"

    @property
    def view(self) -> Path:
        return self.root / "view"

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def index(self) -> Path:
        return self.root / "index.sqlite"

    def object_path(self, digest: str, name: str) -> str:
        """Where the object of `digest` lies; a string, because this is on the hot path."""
        return f"{self.root}/objects/{digest[:2]}/{object_name(digest, name)}"

    def fresh(self) -> str:
        """A path in `incoming` that no run ever gave out before."""
        return f"{self.root}/incoming/{self._run}-{next(self._numbers)}"

    def is_ours(self, name: str) -> bool:
        """Was this name in `incoming` given out by this run?"""
        return name.startswith(f"{self._run}-")

    def make(self) -> None:
        """Make what is missing, for this user only. Raises CacheUnusable."""
        if len(os.fsencode(self.root)) > ROOT_LIMIT_BYTES:
            raise CacheUnusable(f"cache {str(self.root)[:60]}…: the path is too long; set a shorter cache.root.")
        for folder in (self.root, self.objects, self.incoming, self.view, self.spool):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise CacheUnusable(
                    f"cache {self.root}: cannot use {folder} ({error.strerror}); {_way_out(error)}"
                ) from error


def object_name(digest: str, name: str) -> str:
    """What the object `digest`, whose base name is `name`, is called in its folder."""
    _, dot, extension = name.rpartition(".")
    return f"{digest}.{extension}" if dot and len(extension) <= EXTENSION_LIMIT and extension.isalnum() else digest


def digest_of(object_name: str) -> str:
    """The reverse of `object_name`, for whatever may lie in a folder of objects."""
    return object_name.partition(".")[0]


def take_lock(layout: Layout) -> int:
    """Own this cache; gives the lock's descriptor. Raises CacheLocked, CacheUnusable.

    The kernel gives the lock back when the process ends, however it ends.
    """
    path = layout.root / "lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CacheUnusable(f"cache {layout.root}: cannot open {path} ({error.strerror}); {_way_out(error)}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        if error.errno not in {errno.EAGAIN, errno.EACCES}:
            raise CacheUnusable(
                f"cache {layout.root}: this file system takes no locks ({error.strerror}); {_way_out(error)}"
            ) from error
        raise CacheLocked(
            f"cache {layout.root} belongs to process {holder}; use its socket, end it, or set another cache.root."
        ) from None
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:  # the number is only for people; a full disk is no reason
            os.close(descriptor)
            raise CacheUnusable(f"cache {layout.root}: cannot write ({error.strerror}); {_way_out(error)}") from error
    return descriptor


def this_boot() -> str:
    """What tells this boot of the machine from all others."""
    return BOOT_ID.read_text(encoding="ascii").strip()


def name_refused(shown: str, error: OSError) -> HostilePath:
    """What to say when the disk does not take a name that storage takes."""
    if error.errno == errno.ENAMETOOLONG:
        return HostilePath(
            f"{shown[:120]}: the name is too long for this disk; shorten it, or set a shorter cache.root."
        )
    return HostilePath(
        f"{shown[:120]}: a folder on its way is also an object; a disk cannot hold both. Rename one of them."
    )


def _way_out(error: OSError) -> str:
    if error.errno in {errno.EEXIST, errno.ENOTDIR}:
        return "it is no folder; set cache.root to one."
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "the disk is full; free some of it or set another cache.root."
    return "set cache.root to a folder that this user can write."
