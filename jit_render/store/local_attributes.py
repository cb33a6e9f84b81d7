"""What a file says of itself: its generation, and the crc32c and writer that our own writes leave beside it."""

from __future__ import annotations

import json
import os
from typing import Any

from jit_render.model.identity import ObjectId, ObjectInfo, ObjectUrl

_ATTRIBUTE = "user.jit_render.object"
OWN_PREFIX = ".jit_render-"
"""Base names that begin so are this store's own."""


def generation_of(status: os.stat_result) -> str:
    """The generation of a file with that status."""
    return f"{status.st_mtime_ns}-{status.st_ino}-{status.st_size}"


def info_of(url: ObjectUrl, file: int | str) -> ObjectInfo:
    """What is known of the file that `file` (a descriptor or path; symlinks are followed) is. Raises OSError."""
    status = os.stat(file)  # noqa: PTH116 - a descriptor has no Path
    generation = generation_of(status)
    noted = _noted(file, generation)
    return ObjectInfo(
        id=ObjectId(url, generation),
        size_bytes=status.st_size,
        crc32c=noted.get("crc32c"),
        updated=status.st_mtime,
        writer=noted.get("writer"),
    )


def note(fd: int, crc32c: int, writer: str | None) -> None:
    """Leave crc32c and writer on the file, valid for the generation it has now. No attributes here: nothing."""
    entry = {"generation": generation_of(os.fstat(fd)), "crc32c": crc32c, "writer": writer}
    try:
        os.setxattr(fd, _ATTRIBUTE, json.dumps(entry).encode())
    except OSError:
        return  # a file system without user attributes, or one whose attribute space is full


def _noted(file: int | str, generation: str) -> dict[str, Any]:
    try:
        entry = json.loads(os.getxattr(file, _ATTRIBUTE))
    except (OSError, ValueError):
        return {}
    if not isinstance(entry, dict) or entry.get("generation") != generation:
        return {}
    return entry
