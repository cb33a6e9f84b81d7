"""A file that lies in memory only.

Image libraries want files: they seek, and some of them open by name alone. The kernel gives a file without a disk
(memfd_create, Linux 3.17), which has a name under ``/proc/self/fd`` for as long as it is open. So an object that is
used once goes from the bucket to a decoder, and an encoder's output to the bucket, without touching a disk, and it
vanishes with the process however that ends. Its bytes are this process's memory (to the kernel, shared memory).
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from jit_render.store.crc import crc32c_of_file


class MemoryFile:
    """An unnamed file; closed once, by whoever ends its use."""

    def __init__(self, label: str, descriptor: int | None = None) -> None:
        self._label = label
        # The kernel takes names of up to 249 bytes.
        self._descriptor = os.memfd_create(label[:60], os.MFD_CLOEXEC) if descriptor is None else descriptor
        self._is_open = True

    @property
    def path(self) -> Path:
        """A name by which this very process can open it again."""
        return Path(f"/proc/self/fd/{self._descriptor}")

    @property
    def size_bytes(self) -> int:
        return os.fstat(self._descriptor).st_size

    def append(self, data: memoryview | bytes) -> None:
        """Write `data` after what was appended before."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def read(self) -> bytes:
        """All of it."""
        return self.path.read_bytes()

    def crc32c(self) -> int:
        return crc32c_of_file(self.path)

    def shared(self) -> Self:
        """The same bytes once more, closed apart; they go with the last one that is closed."""
        return type(self)(self._label, os.dup(self._descriptor))

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
