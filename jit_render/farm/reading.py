"""Reading a file of the artist's disk whole, once, and being sure of what was read.

A file may be written by Nuke or a copy while it is read. What was read counts only if the file is, before and after,
the same in size, times and inode; else it is read again, and after some tries named as one that will not hold still.

The file system's clock ticks a few hundred times a second. A file that is read in the very tick in which it was written
could be written once more without any of its numbers changing. So a file that young is waited for, for a tick, before
it is read; where times are counted in whole seconds only, that would be too long, and the checksum is not remembered.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from jit_render.farm.local_files import LocalFile
from jit_render.model.clock import Clock
from jit_render.store.crc import BLOCK_BYTES, Crc32c

TRIES = 3
TICK_SECONDS = 0.02  # twice the slowest tick of Linux (100 Hz)
COARSE_SECONDS = 2.0  # the slowest clock of a file system that is in use (FAT)

Opener = Callable[[str], BinaryIO]
"""Opens a path for reading, as a file with a descriptor."""


@dataclass(frozen=True, slots=True)
class WasRead:
    """The file as it was when it was read. `may_be_remembered`: another content would have another identity."""

    file: LocalFile
    crc32c: int
    may_be_remembered: bool


def open_plain(path: str) -> BinaryIO:
    """Without waiting, should a pipe have taken the file's place."""
    return open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0)  # noqa: PTH123


def read_whole(file: LocalFile, opener: Opener, clock: Clock) -> WasRead | None:
    """Read the file at `file.path`; None where it kept changing. Raises OSError."""
    for _ in range(TRIES):
        with opener(file.path) as stream:
            before = LocalFile.of(file.path, file.url, os.fstat(stream.fileno()))
            settled = _settle(before, clock)
            crc, count = Crc32c(), 0
            while count <= before.size_bytes and (block := stream.read(BLOCK_BYTES)):  # it may grow as fast as we read
                crc.update(block)
                count += len(block)
            after = LocalFile.of(file.path, file.url, os.fstat(stream.fileno()))
        if before == after:
            return WasRead(after, crc.value, settled)
    return None


def _settle(file: LocalFile, clock: Clock) -> bool:
    """Wait out the tick in which the file was last changed. False where that would take long."""
    coarse = file.ctime_ns % 1_000_000_000 == 0
    wait = file.ctime_ns / 1e9 + (COARSE_SECONDS if coarse else TICK_SECONDS) - clock.wall()
    if wait > TICK_SECONDS:
        return False
    if wait > 0:
        clock.sleep(wait)
    return True
