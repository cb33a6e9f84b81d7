"""A measurement that is told to end cleans up after itself.

Python cleans up after Ctrl-C, which is an exception, but SIGTERM and SIGHUP end it on the spot: folders of gigabytes,
servers and mounts would stay. Here they are an exception, too, so that every ``with`` on the way out is left.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP as SystemExit with a shell's number for them; the second of its kind ends on the spot."""
    if threading.current_thread() is not threading.main_thread():  # others cannot set a signal's reaction
        yield
        return
    before = {number: signal.signal(number, _leave) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, reaction in before.items():
            signal.signal(number, reaction)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)
    raise SystemExit(128 + number)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill it where it still runs, and wait for it."""
    if process.returncode is None:
        process.kill()
        process.wait()
