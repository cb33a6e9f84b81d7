"""That a benchmark which is told to stop leaves nothing behind: neither its folders nor the processes on them.

SIGTERM becomes an exception, as Ctrl-C is one, so that ``with`` and ``finally`` do their work. An agent leads a session
of its own and may be starting at the very moment at which its worker is killed, when nobody can ask it yet who it is:
so it is found by what it was started with, the name of a cache below a folder that nobody else has.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

STOPPED = 128 + signal.SIGTERM


def stop_as_asked() -> None:
    """From now on SIGTERM raises SystemExit in the main thread."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(STOPPED)

    signal.signal(signal.SIGTERM, stop)


@contextlib.contextmanager
def none_left(folder: Path) -> Iterator[None]:
    """At the end, however it comes, no process lives that was started with a path below `folder`."""
    try:
        yield
    finally:
        for pid in started_with(folder):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def started_with(folder: Path) -> list[int]:
    """Processes of which an argument is `folder` or below it; not this one. None where there is no /proc."""
    root = os.fsencode(folder)
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            arguments = place.read_bytes().replace(b"file://", b"").split(b"\0")
            if any(one == root or one.startswith(root + b"/") for one in arguments):
                found.append(int(place.parent.name))
    return [pid for pid in found if pid != os.getpid()]
