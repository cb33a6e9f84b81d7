"""Look-up tables in .cube files: three-dimensional ones by tetrahedral interpolation, one-dimensional ones linearly.

The format is Adobe's 'Cube LUT Specification 1.0': red changes fastest. Values outside the domain are held to it.
Tetrahedral interpolation walks from the cell's lower corner to its upper one along the axes in the order of the
pixel's fractions, so it takes four table entries where the trilinear way takes eight.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jit_render.model.errors import RenderError
from jit_render.render.standin.image import Plane

_ROWS = 32  # a strip's temporaries stay in the processor's cache
_MOST = 256  # entries along an edge; the specification's limit


@dataclass(frozen=True, slots=True)
class Cube:
    """`table` is [entries, 3]; `size` along an edge; `is_3d` or one curve per channel."""

    table: npt.NDArray[np.float32]
    size: int
    is_3d: bool
    low: tuple[float, ...]
    high: tuple[float, ...]

    def apply(self, planes: list[Plane]) -> list[Plane]:
        """Red, green, blue through the table."""
        if not self.is_3d:
            return [self._curve(plane, index) for index, plane in enumerate(planes)]
        out = [np.empty(plane.shape, np.float32) for plane in planes]
        for begin in range(0, planes[0].shape[0], _ROWS):
            strip = slice(begin, begin + _ROWS)
            self._strip([plane[strip] for plane in planes], [plane[strip] for plane in out])
        return out

    def _curve(self, plane: Plane, index: int) -> Plane:
        places = np.linspace(self.low[index], self.high[index], self.size, dtype=np.float32)
        return np.interp(plane, places, self.table[:, index]).astype(np.float32)

    def _strip(self, planes: list[Plane], out: list[Plane]) -> None:
        steps = (1, self.size, self.size * self.size)
        base, (r, g, b) = self._cells(planes, steps)
        most, least = np.maximum(np.maximum(r, g), b), np.minimum(np.minimum(r, g), b)
        middle = r + g + b - most - least
        # Ties between axes are harmless as long as the first and last axis differ.
        red, green, blue = (np.int32(step) for step in steps)
        first = np.where(r >= most, red, np.where(g >= most, green, blue))
        last = np.where(b <= least, blue, np.where(g <= least, green, red))
        same = first == last  # only for a grey fraction: all three are equal, any two differ
        last = np.where(same, np.where(first == red, blue, red), last)
        total = sum(steps)
        corners = [place.astype(np.intp) for place in (base, base + first, base - last + total, base + total)]
        weights = (1 - most, most - middle, middle - least, least)
        for index, target in enumerate(out):
            column = self.table[:, index]
            np.multiply(column.take(corners[0], mode="clip"), weights[0], out=target)
            for corner, weight in zip(corners[1:], weights[1:], strict=True):
                value = column.take(corner, mode="clip")
                value *= weight
                np.add(target, value, out=target)

    def _cells(self, planes: list[Plane], steps: tuple[int, ...]) -> tuple[npt.NDArray[np.int32], list[Plane]]:
        """Where each pixel's cell begins in the table, and the pixel's place in the cell along each axis."""
        base: npt.NDArray[np.int32] = np.zeros(planes[0].shape, np.int32)
        fractions: list[Plane] = []
        for plane, step, low, high in zip(planes, steps, self.low, self.high, strict=True):
            place = plane - np.float32(low)
            place *= np.float32((self.size - 1) / ((high - low) or 1))
            # fmax takes the number where the other is NaN, which must not become an index.
            np.fmax(place, np.float32(0), out=place)
            np.minimum(place, np.float32(self.size - 1), out=place)
            cell = place.astype(np.int32)
            np.minimum(cell, max(0, self.size - 2), out=cell)
            place -= cell
            fractions.append(place)
            cell *= step
            base += cell
        return base, fractions


def load(path: str) -> Cube:
    """The table in a file, read again only when the file has changed. Raises RenderError naming what is wrong."""
    try:
        status = Path(path).stat()
        return _loaded(path, status.st_mtime_ns, status.st_size, status.st_ino)
    except OSError as error:
        raise RenderError(f"{path} cannot be read: {error.strerror or error}") from None


@lru_cache(maxsize=16)
def _loaded(path: str, _changed: int, _size: int, _inode: int) -> Cube:
    try:
        return parse(Path(path).read_text(encoding="utf-8", errors="replace"))
    except ValueError as error:
        raise RenderError(f"{path} is no .cube table: {error}") from None


def parse(text: str) -> Cube:
    """Read a .cube. Raises ValueError."""
    size, is_3d = 0, True
    low: tuple[float, ...] = (0.0, 0.0, 0.0)
    high: tuple[float, ...] = (1.0, 1.0, 1.0)
    numbers: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("LUT_3D_SIZE", "LUT_1D_SIZE"):
            if size:
                raise ValueError("it has two tables; the stand-in takes one.")
            size, is_3d = int(words[1]), words[0] == "LUT_3D_SIZE"
        elif words[0] == "DOMAIN_MIN":
            low = _three(words[1:])
        elif words[0] == "DOMAIN_MAX":
            high = _three(words[1:])
        elif words[0] in ("LUT_3D_INPUT_RANGE", "LUT_1D_INPUT_RANGE"):
            low, high = (float(words[1]),) * 3, (float(words[2]),) * 3
        elif words[0][0] in "+-.0123456789":
            numbers += words
    if not 2 <= size <= (_MOST if is_3d else 1 << 16):
        raise ValueError(f"its size {size} is out of range.")
    expected = (size**3 if is_3d else size) * 3
    if len(numbers) != expected:
        raise ValueError(f"it has {len(numbers)} numbers where {expected} belong.")
    table = np.array(numbers, np.float32).reshape(-1, 3)
    # One contiguous column per channel makes look-ups local.
    return Cube(np.asfortranarray(table), size, is_3d, low, high)


def _three(words: list[str]) -> tuple[float, ...]:
    values = tuple(float(word) for word in words[:3])
    if len(values) != 3:
        raise ValueError("its domain wants three numbers.")
    return values
