"""crc32c, the one checksum that every GCS object has (composed objects have no md5)."""

from __future__ import annotations

import base64
import os
from ctypes import c_char
from pathlib import Path

import google_crc32c

from jit_render.store.buffers import page_aligned

BLOCK_BYTES = 1 << 20
_COPIED_BYTES = 1 << 18  # below that a copy costs less than the array's type


class Crc32c:
    """The checksum of bytes as they pass."""

    __slots__ = ("value",)

    def __init__(self, value: int = 0) -> None:
        self.value: int = value

    def update(self, data: memoryview | bytes) -> None:
        """Add `data`, which follows what was added before."""
        # The C extension takes bytes and what looks as constant; as a ctypes array a buffer does, without a copy.
        if isinstance(data, bytes) or data.readonly or len(data) < _COPIED_BYTES:
            self.value = google_crc32c.extend(self.value, bytes(data))
        else:
            self.value = google_crc32c.extend(self.value, (c_char * len(data)).from_buffer(data))


def crc32c_of_bytes(data: bytes) -> int:
    """The checksum of `data`."""
    return int(google_crc32c.value(data))


def crc32c_of_file(path: str | os.PathLike[str]) -> int:
    """The checksum of the whole file at `path`. Raises OSError."""
    crc = Crc32c()
    block = page_aligned(_COPIED_BYTES)  # small enough for the processor's cache, and other threads get a turn
    with Path(path).open("rb", buffering=0) as file:
        while count := file.readinto(block):
            crc.update(block[:count])
    return crc.value


def to_base64(value: int) -> str:
    """As Google's JSON API spells it: base64 of the four bytes, big end first."""
    return base64.b64encode(value.to_bytes(4, "big")).decode()


def from_base64(text: str | None) -> int | None:
    """The inverse of `to_base64`; None for None and for what is no crc32c."""
    if not text:
        return None
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return int.from_bytes(raw, "big") if len(raw) == 4 else None
