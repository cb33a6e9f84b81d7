"""One volume of a job's manifest as bytes: objects, each once, and the ranges of them that frames read.

A volume holds *strands*, objects that differ in one frame number, and columns over them: what changes from object to
object and cannot be told from its neighbours (generation, size, crc32c) makes up nearly all of the bytes. So each
column is one string of hexadecimal digits, as many per object as the strand's largest value above its smallest needs
(for generations: the differences between neighbours), which gzip packs to four bits a digit: nine or ten bytes an
object. A range of numbers is the gap before it and its length, so neighbouring frames spell alike and cost nothing.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from jit_render.model.errors import JobError
from jit_render.model.identity import ObjectId, ObjectInfo, ObjectUrl

_NUMBER = re.compile(r"(?P<head>.*?)(?P<digits>[0-9]{1,15})(?P<tail>[^0-9]*)", re.DOTALL)
_NO_CHECKSUM = "--------"

Run = tuple[int, int, int]
"""First, how many, step."""


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume as it is read back. ``frames``: ranges of object numbers per frame of its part."""

    number: int
    start: int
    objects: tuple[ObjectInfo, ...]
    frames: Mapping[int, tuple[range, ...]]


def read_volume(number: int, data: bytes, shown: str) -> Volume:
    """Raises JobError naming `shown` for what is no volume."""
    try:
        table = json.loads(gzip.decompress(data))
        frames = {int(frame): tuple(_ranges(flat)) for frame, flat in table["frames"].items()}
        return Volume(number, int(table["start"]), tuple(_objects(table)), frames)
    except (ValueError, TypeError, KeyError, EOFError, OSError) as error:
        raise unreadable(shown, repr(error)) from None


def runs_of(numbers: Iterable[int]) -> list[Run]:
    """Ascending `numbers` as few runs of equal steps; each number once."""
    found: list[Run] = []
    for number in numbers:
        if found:
            first, count, step = found[-1]
            if count == 1 and number > first:
                found[-1] = (first, 2, number - first)
                continue
            if number == first + count * step:
                found[-1] = (first, count + 1, step)
                continue
        found.append((number, 1, 1))
    return found


def spread(runs: Iterable[Run]) -> Iterator[int]:
    """The numbers of `runs`."""
    for first, count, step in runs:
        yield from range(first, first + count * step, step)


def as_runs(table: Any) -> tuple[Run, ...]:
    return tuple((int(first), int(count), int(step)) for first, count, step in table)


def unreadable(shown: str, why: object) -> JobError:
    return JobError(f"{shown} cannot be read ({why}); was it written by another release of jit-render?")


def pack(table: dict[str, Any]) -> bytes:
    """`table` as compressed JSON, the same bytes for the same table."""
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":"))
    # Digits of noise repeat by chance in threes, which deflate would rather spell than count; and no time stamp.
    packer = zlib.compressobj(6, zlib.DEFLATED, wbits=31, memLevel=9, strategy=zlib.Z_FILTERED)
    return packer.compress(text.encode()) + packer.flush()


def pack_volume(start: int, listed: list[ObjectInfo], frames: dict[str, list[int]]) -> bytes:
    """A volume of objects in `strand_key`'s order, the first of which has the number `start`."""
    return pack({"start": start, **_columns(listed), "frames": frames})


Key = tuple[str, str, int, str, int]


def strand_key(url: ObjectUrl) -> Key:
    """Everything but the last number (folder and head, tail, width), then that; equal names sort together."""
    folder, slash, name = url.key.rpartition("/")
    match = _NUMBER.fullmatch(name)
    if match is None:
        return f"{url.root}/{folder}{slash}{name}", "", 0, url.root, 0
    head = f"{url.root}/{folder}{slash}{match['head']}"
    return head, match["tail"], len(match["digits"]), url.root, int(match["digits"])


def spell_strand(url: ObjectUrl) -> tuple[str, int]:
    """The name of an object's strand, and its number in it."""
    head, tail, width, _, number = strand_key(url)
    return (f"{head}<{width}>{tail}" if width else head), number


def _columns(listed: list[ObjectInfo]) -> dict[str, Any]:
    strands: list[tuple[Key, list[int], list[ObjectInfo]]] = []
    for info in listed:
        key = strand_key(info.url)
        if not strands or strands[-1][0][:4] != key[:4]:
            strands.append((key, [], []))
        strands[-1][1].append(key[4])
        strands[-1][2].append(info)
    generations, sizes = _DigitWriter(), _DigitWriter()
    for _, _, infos in strands:
        values = [info.id.generation for info in infos]
        if all(_is_number(value) for value in values):
            numbers = [int(value) for value in values]
            generations.add([later - earlier for earlier, later in pairwise(numbers)], numbers[0])
        else:
            generations.heads.append(values)
        sizes.add([info.size_bytes for info in infos])
    sums = (_NO_CHECKSUM if info.crc32c is None else f"{info.crc32c:08x}" for info in listed)
    return {
        "strands": [[key[3], key[0][len(key[3]) + 1 :], key[1], key[2], runs_of(found)] for key, found, _ in strands],
        "generations": [generations.heads, "".join(generations.digits)],
        "sizes": [sizes.heads, "".join(sizes.digits)],
        "crc32c": "".join(sums),
    }


def _is_number(generation: str) -> bool:
    """A generation is opaque and must come back as it was: no sign, no leading zero."""
    return generation.isdecimal() and generation.isascii() and (generation == "0" or generation[0] != "0")


class _DigitWriter:
    """One column: per strand its head (least value, width, and what else it needs), and everybody's digits."""

    def __init__(self) -> None:
        self.heads: list[Any] = []
        self.digits: list[str] = []

    def add(self, values: list[int], *more: int) -> None:
        least = min(values, default=0)
        width = len(f"{max(values) - least:x}") if values and max(values) > least else 0
        self.heads.append([least, width, *more])
        if width:
            self.digits += [f"{value - least:0{width}x}" for value in values]


class _DigitReader:
    def __init__(self, digits: str) -> None:
        self._digits = digits
        self._at = 0

    def take(self, least: int, width: int, count: int) -> list[int]:
        if not width:
            return [least] * count
        begin, self._at = self._at, self._at + width * count
        return [least + int(self._digits[at : at + width], 16) for at in range(begin, self._at, width)]


def _ranges(flat: list[int]) -> Iterator[range]:
    end = 0
    for gap, length in zip(flat[::2], flat[1::2], strict=True):
        yield range(end + gap, end + gap + length)
        end += gap + length


def _objects(table: dict[str, Any]) -> Iterator[ObjectInfo]:
    sums: str = table["crc32c"]
    heads, digits = table["generations"]
    size_heads, size_digits = table["sizes"]
    steps, sizes = _DigitReader(digits), _DigitReader(size_digits)
    at = 0
    for (root, head, tail, width, runs), told, (least, places) in zip(table["strands"], heads, size_heads, strict=True):
        numbers = list(spread(as_runs(runs)))
        generations = told if isinstance(told[0], str) else _summed(steps, told, len(numbers))
        for number, generation, size in zip(numbers, generations, sizes.take(least, places, len(numbers)), strict=True):
            key = f"{head}{number:0{width}d}{tail}" if width else head
            checksum = None if sums[at] == "-" else int(sums[at : at + 8], 16)
            at += 8
            yield ObjectInfo(ObjectId(ObjectUrl(root, key), generation), size, checksum)


def _summed(steps: _DigitReader, told: list[int], count: int) -> Iterator[str]:
    least, width, first = told
    return map(str, accumulate(steps.take(least, width, count - 1), initial=first))
