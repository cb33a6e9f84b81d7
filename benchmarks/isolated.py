"""A process tree in namespaces of its own: whoever of starter and tree dies, and however, nothing of it is left.

`unshare` makes the tree's first process the first of a process namespace, with its own mounts and network: when it
ends, the kernel ends all others, and with the last of them go mounts, addresses and links. The kernel also ends it when
its starter does (PR_SET_PDEATHSIG). What is left on disk is one folder under the system's temporary one; it is locked
while somebody works in it, so that the next one can tell what may go.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_SET_PDEATHSIG = 1  # linux/prctl.h
_LOCK = "lock"
_LAID_OVER = ("/var/lib/glusterd", "/var/log/glusterfs")


def has_namespaces() -> bool:
    """Whether a process can have its own mounts and network here."""
    return os.geteuid() == 0 and all(shutil.which(name) for name in ("unshare", "ip", "tc"))


def command(module: str, *arguments: str, alone: bool) -> list[str]:
    """``python -m MODULE``, `alone` in namespaces or as a plain process."""
    python = [sys.executable, "-m", module, *arguments]
    if not alone:
        return python
    return ["unshare", "--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc", *python]


def die_with(parent: int) -> Any:
    """For a child before its program starts: have the kernel kill it when we die, even by kill -9."""
    prctl = ctypes.CDLL(None).prctl

    def tie() -> None:
        prctl(_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def remove_leftovers(prefix: str) -> None:
    """Folders of those that were killed; one whose owner lives holds its lock."""
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError), (folder / _LOCK).open("rb") as lock:
            if folder.stat().st_uid == os.geteuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)


@contextmanager
def locked_folder(prefix: str) -> Iterator[Path]:
    """A new one, gone again at the end."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    with (folder / _LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def lay_over(folder: Path) -> None:
    """Give GlusterFS and `ip netns` places of their own; from within the namespaces, seen by this tree only."""
    _call("mount", "-t", "tmpfs", "none", "/run")
    Path("/run/netns").mkdir()
    Path("/run/gluster").mkdir()
    for place in map(Path, _LAID_OVER):
        if place.is_dir():
            own = folder / place.name
            own.mkdir()
            _call("mount", "--bind", str(own), str(place))


def _call(*words: str) -> None:
    subprocess.run(words, check=True)
