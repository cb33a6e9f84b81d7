"""Turns: of the workers on one machine, one at a time makes a frame that takes more than its worker's share.

Where an operation insists on the whole of a very large picture, bands of rows do not help, and two such frames at once
could be more than the machine has. So such a frame begins when no other worker is at one; frames within the budget
never wait. The turn is a lock on a file in the machine's temporary folder; the system takes it back from whoever held
it, however that ends. Where no such file can be had (another user's, a link), nobody waits: only memory is at stake.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def turn_file() -> Path:
    """The same for all of this user's workers on this machine."""
    return Path(tempfile.gettempdir()) / f"jit-preprocess-{os.getuid()}.turn"


@contextmanager
def turn(path: Path, waits: Callable[[], None]) -> Iterator[None]:
    """Hold the turn; `waits` is called once where another one has it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waits()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
