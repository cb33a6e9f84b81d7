"""Is an OpenEXR file complete? Told from its structure alone, without decoding a pixel.

A writer reserves the chunk offset table right after the header and fills it in when it closes the file. So a
writer that was killed leaves offsets of zero, and a copy that was cut short leaves offsets, or the end of a chunk,
beyond the end of the file. `check_exr` reads the header of every part, computes how many chunks that part must
have, and then visits the head of each chunk: it must lie behind the tables, say the block it is meant to be,
and end inside the file. Cost: one small read per chunk (68 for a 1080p frame in ZIP), or one per 64 KiB where they are
many and small (1080 in Nuke's default, ZIP of one line).

Layout (little-endian), from the OpenEXR file layout document: magic, version and flags, one header per part
(attributes: name, type, size, bytes; an empty name ends it; in a multi-part file an empty header ends the list), one
offset table per part, chunks. A chunk starts with its part's number (multi-part only), then ``y`` or
``tile x, tile y, level x, level y``, then its size (deep data: three 64-bit sizes, of which the first two are stored).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BufferedReader
from operator import add
from pathlib import Path
from typing import TypeVar

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


_T = TypeVar("_T")


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
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            _check(file, size)
        except _Broken as broken:
            raise OutputInvalid(
                f"{path.name} is no complete EXR: {broken} ({path}, {size:,} bytes); render the frame again."
            ) from None


def _check(file: BufferedReader, size: int) -> None:
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
    body = _Body(file.fileno(), file.tell(), size, size <= sum(map(len, tables)) * _CLOSE_BYTES)
    for number, (part, offsets) in enumerate(zip(parts, tables, strict=True)):
        if offsets:
            body.check(part, offsets, number if multi else None)


@dataclass(frozen=True, slots=True)
class _Body:
    """The chunks, from byte `first` to the file's end at `size`.

    They are looked at column by column, for there may be thousands, and a renderer waits.
    """

    descriptor: int
    first: int
    size: int
    are_close: bool
    """So that reading many heads at once is cheaper, though it copies what lies between."""

    def check(self, part: _Part, offsets: tuple[int, ...], number: int | None) -> None:
        """That each chunk lies behind `first`, is the one that is meant, and ends inside the file."""
        count = len(offsets)
        if min(offsets) < self.first or max(offsets) >= self.size:
            index, offset = _odd(offsets, lambda offset: not self.first <= offset < self.size)
            told = "was never written" if offset == 0 else f"would lie at byte {offset:,}"
            raise _Broken(f"chunk {index} of {count} {told}")
        shape = part.head(multi=number is not None)
        columns = list(zip(*self._heads(offsets, shape), strict=True))
        if number is not None:
            owners = columns.pop(0)
            if owners.count(number) != count:
                raise _Broken(f"chunk {_odd(owners, lambda owner: owner != number)[0]} is of another part")
        _check_places(part, columns)
        lengths = tuple(map(add, columns[-3], columns[-2])) if part.deep else columns[-1]
        if min(lengths) < 1 and not part.deep:
            raise _Broken(f"chunk {_odd(lengths, lambda length: length < 1)[0]} is empty")
        ends = tuple(map(add, offsets, lengths))
        if max(ends) > self.size - shape.size:
            index, end = _odd(ends, lambda end: end > self.size - shape.size)
            raise _Broken(f"chunk {index} of {count} ends {end + shape.size - self.size:,} bytes after the file")

    def _heads(self, offsets: tuple[int, ...], shape: struct.Struct) -> list[tuple[int, ...]]:
        """What stands at each offset. Each call to the system gives the interpreter away: the fewer, the better."""
        unpack, room, ahead = shape.unpack_from, shape.size, _WINDOW_BYTES if self.are_close else 0
        data, start, last = b"", 0, -1  # a head that starts from `start` to `last` is in `data`
        heads: list[tuple[int, ...]] = []
        for offset in offsets:
            if not start <= offset <= last:
                data = os.pread(self.descriptor, max(room, ahead), offset)
                start, last = offset, offset + len(data) - room
                if last < start:
                    raise _Broken("it ends in the middle of a chunk's head")
            heads.append(unpack(data, offset - start))
        return heads


def _check_places(part: _Part, columns: Sequence[tuple[int, ...]]) -> None:
    """That chunks of scan lines are in their order and tiles have a place."""
    if part.tiled:
        if min(map(min, columns[:4])) < 0:
            index, _ = _odd(list(zip(*columns[:4], strict=True)), lambda place: min(place) < 0)
            raise _Broken(f"tile {index} has a negative place")
        return
    step = part.lines()
    if step is None:
        return
    _, bottom, _, top = part.window()
    if columns[0] != tuple(range(bottom, top + 1, step)):
        meant = iter(range(bottom, top + 1, step))
        index, line = _odd(columns[0], lambda line: line != next(meant))
        raise _Broken(f"chunk {index} holds scan line {line}")


def _odd(values: Sequence[_T], is_odd: Callable[[_T], bool]) -> tuple[int, _T]:
    """The number, from 1, of the first that is, and it."""
    return next((number, value) for number, value in enumerate(values, 1) if is_odd(value))


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
