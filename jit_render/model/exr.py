"""Is an OpenEXR file complete? Told from its structure alone, without decoding a pixel.

A writer reserves the chunk offset table right after the header and fills it in when it closes the file. So a
writer that was killed leaves offsets of zero, and a copy that was cut short leaves offsets, or the end of a chunk,
beyond the end of the file. `check_exr` reads the header of every part, computes how many chunks that part must
have, and then visits the head of each chunk: it must lie behind the tables, say the block it is meant to be,
and end inside the file. Cost: one small read per chunk (68 for a 1080p frame in ZIP), or one per 64 KiB where they are
many and small (1080 in Nuke's default, ZIP of one line). `check_exr_ended` visits only the last chunk of each part: it
tells those who wait whether its writer came to the end.

Layout (little-endian), from the OpenEXR file layout document: magic, version and flags, one header per part
(attributes: name, type, size, bytes; an empty name ends it; in a multi-part file an empty header ends the list), one
offset table per part, chunks. A chunk starts with its part's number (multi-part only), then ``y`` or
``tile x, tile y, level x, level y``, then its size (deep data: three 64-bit sizes, of which the first two are stored).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from jit_render.model.errors import OutputInvalid

MAGIC = b"\x76\x2f\x31\x01"
EXTENSIONS = frozenset({".exr", ".sxr"})
"""File name endings, in lower case, that promise an EXR; the second is Nuke's for stereo."""

_TILED, _DEEP, _MULTI_PART = 0x200, 0x800, 0x1000
_KNOWN_FLAGS = 0x200 | 0x400 | 0x800 | 0x1000
_NAME_LIMIT_BYTES = 255
_MOST_PARTS = 10_000
_CLOSE_BYTES = 8192  # from one chunk to the next: beyond that, copying what lies between costs more than the call
_WINDOW_BYTES = 1 << 16
# Scan lines in one chunk by the number of the compression: none, RLE, ZIPS, ZIP, PIZ, PXR24, B44, B44A, DWAA, DWAB,
# HTJ2K256, HTJ2K32. A number that is not here is from a later version: its chunks are counted by `chunkCount`.
_LINES = (1, 1, 1, 16, 32, 16, 32, 32, 32, 256, 256, 32)


class _Broken(Exception):
    """What is wrong, to be completed with the file's name."""


@dataclass(frozen=True, slots=True)
class _Part:
    attributes: dict[str, bytes]
    tiled: bool
    deep: bool

    def integers(self, name: str, layout: str) -> tuple[int, ...]:
        data = self.attributes.get(name)
        if data is None:
            raise _Broken(f"its header has no {name}")
        if len(data) != struct.calcsize(layout):
            raise _Broken(f"its header's {name} is {len(data)} bytes long")
        return struct.unpack(layout, data)

    def window(self) -> tuple[int, int, int, int]:
        left, bottom, right, top = self.integers("dataWindow", "<4i")
        if right < left or top < bottom:
            raise _Broken("its data window is empty")
        return left, bottom, right, top

    def head(self, *, multi: bool) -> struct.Struct:
        """What a chunk begins with: its part, its place, its sizes."""
        place, sizes = "4i" if self.tiled else "i", "3Q" if self.deep else "i"
        return struct.Struct(f"<{'i' if multi else ''}{place}{sizes}")

    def lines(self) -> int | None:
        """Scan lines in one chunk; None for a compression that is not known here."""
        (compression,) = self.integers("compression", "<B")
        return _LINES[compression] if compression < len(_LINES) else None

    def chunks(self) -> int | None:
        """How many chunks this part has; None where only its writer knows."""
        if self.tiled:
            return self._tiles()
        lines = self.lines()
        if lines is not None:
            _, bottom, _, top = self.window()
            return (top - bottom) // lines + 1
        return self.integers("chunkCount", "<i")[0] if "chunkCount" in self.attributes else None

    def _tiles(self) -> int:
        left, bottom, right, top = self.window()
        size = (right - left + 1, top - bottom + 1)
        across, down, mode = self.integers("tiles", "<IIB")
        if not across or not down:
            raise _Broken("its tiles have no size")
        level_mode, round_up = mode & 0x0F, bool(mode >> 4)
        if level_mode > 2:
            raise _Broken(f"its tiles have the unknown level mode {level_mode}")
        columns = [_per_level(size[0], across, level, up=round_up) for level in range(_levels(size[0], up=round_up))]
        rows = [_per_level(size[1], down, level, up=round_up) for level in range(_levels(size[1], up=round_up))]
        if level_mode == 0:
            return columns[0] * rows[0]
        if level_mode == 1:
            return sum(
                _per_level(size[0], across, level, up=round_up) * _per_level(size[1], down, level, up=round_up)
                for level in range(max(len(columns), len(rows)))
            )
        return sum(columns) * sum(rows)


def _levels(size: int, *, up: bool) -> int:
    """Halvings until one pixel is left, and the full size."""
    return (size - 1).bit_length() + 1 if up else size.bit_length()


def _per_level(size: int, tile: int, level: int, *, up: bool) -> int:
    """Tiles along one side of one level."""
    scaled = (size + (1 << level) - 1) >> level if up else size >> level
    return (max(1, scaled) + tile - 1) // tile


def check_exr(path: Path) -> None:
    """Return when the file at `path` is a whole EXR. Raises OutputInvalid naming it and what is missing, OSError."""
    _check_file(path, every_chunk=True)


def check_exr_ended(path: Path) -> None:
    """The same without a look at the chunks between: a killed writer, a full disk and a cut file are found."""
    _check_file(path, every_chunk=False)


def _check_file(path: Path, *, every_chunk: bool) -> None:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            _check(file, size, every_chunk=every_chunk)
        except _Broken as broken:
            raise OutputInvalid(
                f"{path.name} is no complete EXR: {broken} ({path}, {size:,} bytes); render the frame again."
            ) from None


def _check(file: BufferedReader, size: int, *, every_chunk: bool) -> None:
    magic, flags = struct.unpack("<4sI", _take(file, 8))
    if magic != MAGIC:
        raise _Broken("it does not start as one")
    if flags & 0xFF != 2 or flags & ~0xFF & ~_KNOWN_FLAGS:
        raise _Broken(f"its version {flags:#x} is unknown")
    multi = bool(flags & _MULTI_PART)
    parts = _parts(file, flags, multi=multi)
    tables: list[tuple[int, ...]] = []
    for part in parts:
        count = part.chunks()
        if count is None:
            count = _count_by_first_offset(file, part, alone=len(parts) == 1)
        if count < 0 or count * 8 > size - file.tell():
            raise _Broken("it ends inside the chunk offset table")
        tables.append(struct.unpack(f"<{count}Q", _take(file, count * 8)))
    first = file.tell()
    heads = _Heads(file.fileno(), size, sum(map(len, tables)))
    for number, (part, offsets) in enumerate(zip(parts, tables, strict=True)):
        _check_offsets(offsets, first, size)
        last = offsets.index(max(offsets)) if offsets else 0
        looked_at = range(len(offsets)) if every_chunk else range(last, min(last + 1, len(offsets)))
        _check_chunks(heads, part, offsets, number if multi else None, looked_at)


def _check_offsets(offsets: tuple[int, ...], first: int, size: int) -> None:
    """That each chunk lies behind `first` and begins inside the file."""
    if offsets and (min(offsets) < first or max(offsets) >= size):
        index, offset = next((index, at) for index, at in enumerate(offsets, 1) if not first <= at < size)
        told = "was never written" if offset == 0 else f"would lie at byte {offset:,}"
        raise _Broken(f"chunk {index} of {len(offsets)} {told}")


def _check_chunks(heads: _Heads, part: _Part, offsets: tuple[int, ...], number: int | None, looked_at: range) -> None:
    """That each chunk that is `looked_at` is the one that is meant and ends inside the file."""
    shape = part.head(multi=number is not None)
    unpack, room, size, deep, tiled = shape.unpack_from, shape.size, heads.size, part.deep, part.tiled
    lines, line = (None, 0) if tiled else (part.lines(), part.window()[1])
    if lines is not None:
        line += lines * looked_at.start
    for index, offset in enumerate(offsets[looked_at.start : looked_at.stop], looked_at.start + 1):
        at = offset - heads.start
        if at < 0 or at + room > heads.read_bytes:
            at = heads.read(offset, room)
        values: Sequence[int] = unpack(heads.data, at)
        if number is not None:
            owner, *values = values
            if owner != number:
                raise _Broken(f"chunk {index} is of another part")
        if lines is not None:
            if values[0] != line:
                raise _Broken(f"chunk {index} holds scan line {values[0]}")
            line += lines
        elif tiled and min(values[:4]) < 0:
            raise _Broken(f"tile {index} has a negative place")
        length = values[-3] + values[-2] if deep else values[-1]
        if length < 1 and not deep:
            raise _Broken(f"chunk {index} is empty")
        end = offset + room + length
        if end > size:
            raise _Broken(f"chunk {index} of {len(offsets)} ends {end - size:,} bytes after the file")


class _Heads:
    """The heads of a file's chunks: so much of the file at a time as holds several.

    Where they lie close together many are read at once: each call to the system gives the interpreter away, and a
    renderer waits.
    """

    def __init__(self, descriptor: int, size: int, count: int) -> None:
        self.size = size
        self.data = b""
        self.start = self.read_bytes = 0
        self._descriptor = descriptor
        self._ahead = _WINDOW_BYTES if size <= count * _CLOSE_BYTES else 0

    def read(self, offset: int, room: int) -> int:
        """Have `room` bytes at `offset` in `data`; where in it."""
        self.data = os.pread(self._descriptor, max(room, self._ahead), offset)
        self.start, self.read_bytes = offset, len(self.data)
        if self.read_bytes < room:
            raise _Broken("it ends in the middle of a chunk's head")
        return 0


def _parts(file: BufferedReader, flags: int, *, multi: bool) -> list[_Part]:
    parts: list[_Part] = []
    while len(parts) < _MOST_PARTS:
        attributes = _header(file)
        if not attributes:
            break
        kind = attributes.get("type", b"").rstrip(b"\0").decode("ascii", "replace")
        if multi and kind not in {"scanlineimage", "tiledimage", "deepscanline", "deeptile"}:
            raise _Broken(f"its part {len(parts) + 1} has the unknown type {kind!r}")
        named = multi or bool(flags & _DEEP)
        tiled = kind in {"tiledimage", "deeptile"} if named else bool(flags & _TILED)
        parts.append(_Part(attributes, tiled=tiled, deep=kind.startswith("deep")))
        if not multi:
            break
    if not parts:
        raise _Broken("its header is empty")
    return parts


def _header(file: BufferedReader) -> dict[str, bytes]:
    attributes: dict[str, bytes] = {}
    while name := _text(file):
        _text(file)  # the attribute's type; its size follows, so it need not be understood
        (length,) = struct.unpack("<i", _take(file, 4))
        if length < 0:
            raise _Broken(f"its attribute {name!r} has a negative size")
        attributes[name] = _take(file, length)
    return attributes


def _count_by_first_offset(file: BufferedReader, part: _Part, *, alone: bool) -> int:
    """Chunks of a compression from the future, from where the first chunk starts; 0 where that tells nothing."""
    if not alone or part.integers("lineOrder", "<B")[0] != 0:
        return 0
    start = file.tell()
    (first,) = struct.unpack("<Q", _take(file, 8))
    file.seek(start)
    if first <= start or (first - start) % 8:
        raise _Broken("its first chunk was never written")
    return int(first - start) // 8


def _text(file: BufferedReader) -> str:
    """Up to the zero byte. (Nuke writes hundreds of attributes, so not byte by byte.)"""
    found = b""
    while not found.endswith(b"\0"):
        ahead = file.peek()
        found += _take(file, ahead.find(b"\0") + 1 or len(ahead) or 1)
        if len(found) > _NAME_LIMIT_BYTES + 1:
            raise _Broken("its header is not one")
    return found[:-1].decode("utf-8", "replace")


def _take(file: BufferedReader, count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise _Broken("it ends in the middle of its header")
    return data
