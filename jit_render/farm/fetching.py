"""Bringing a committed output to a local file, checked against its record, never partial under its final name."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import BinaryIO

from jit_render.model.errors import ChecksumMismatch
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.job import OutputRecord
from jit_render.store import Store
from jit_render.store.crc import Crc32c, crc32c_of_file


def fetch(store: Store, output: OutputRecord, target: Path) -> None:
    """Download exactly the recorded version. Raises GenerationGone, ObjectNotFound, ChecksumMismatch, OSError."""
    info = store.stat(ObjectUrl.parse(output.url), generation=output.generation)
    temporary = target.with_name(f".jit-render-{uuid.uuid4().hex}{target.suffix}")
    try:
        with temporary.open("xb") as file:
            _download(store, info, output, file)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _download(store: Store, info: ObjectInfo, output: OutputRecord, file: BinaryIO) -> None:
    seen = Crc32c()

    def sink(piece: memoryview) -> None:
        seen.update(piece)
        file.write(piece)

    store.download(info, sink)
    if file.tell() != output.size_bytes or seen.value != output.crc32c:
        raise ChecksumMismatch(
            f"{output.url}: {file.tell()} bytes with crc32c {seen.value:08x} came; its record says "
            f"{output.size_bytes} bytes with {output.crc32c:08x}. Render the frame again."
        )


def is_here(output: OutputRecord, target: Path) -> bool:
    """True where `target` already holds these bytes."""
    try:
        return target.stat().st_size == output.size_bytes and crc32c_of_file(target) == output.crc32c
    except OSError:
        return False
