"""resize: another resolution, by a filter of choice."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from preprocess.image import Floats, Image, Window
from preprocess.operations.bands import row_bands
from preprocess.operations.port import Context
from preprocess.operations.streaming import Plane, Rows, StreamingOperation

Doubles = npt.NDArray[np.float64]
Name = Literal["box", "triangle", "cubic", "lanczos3"]
_RADIUS = {"box": 0.5, "triangle": 1.0, "cubic": 2.0, "lanczos3": 3.0}


class Resize(StreamingOperation):
    """(height, width, channels) to the display window's new size, same channels.

    Separable, the filter stretched to the coarser of the two grids (so it averages when it shrinks), weights summing
    to 1 over the samples there are: box, triangle, cubic (Keys, a = -1/2), lanczos3 (C. Duchon, 1979). The display
    window becomes ``width`` x ``height`` at its old corner; the data window follows, outwards to whole pixels. Colour
    is filtered as it stands: linearise first. A NaN or Inf reaches as far as the filter. One size keeps the shape.
    """

    kind: ClassVar[str] = "resize"
    copies: ClassVar[float] = 2.2

    width: int = Field(default=0, ge=0, description="pixels of the display window; 0: follows height")
    height: int = Field(default=0, ge=0, description="pixels of the display window; 0: follows width")
    scale: float = Field(default=0.0, ge=0, description="instead of a size: factor for both")
    filter: Name = "lanczos3"

    @model_validator(mode="after")
    def _has_one_size(self) -> Self:
        if bool(self.scale) == bool(self.width or self.height):
            raise ValueError("give either scale, or width and height (or one of them)")
        return self

    def plane(self, given: Plane, context: Context) -> Plane:
        across, down = self._axes(given)
        window = Window(across.start, down.start, across.size, down.size)
        return Plane(window, Window(given.display.x, given.display.y, *self._size(given.display)))

    def make(self, rows: Rows, wanted: Window, context: Context) -> Image:
        across, down = self._axes(rows.plane)
        part = slice(wanted.y - down.start, wanted.bottom - down.start)
        places, weights = down.taps(self.filter)
        places, weights = places[part], weights[part]
        first = int(places.min())
        top = rows.plane.data.y
        image = rows.take(top + first, top + int(places.max()) + 1)
        places = places - first
        result = np.empty((wanted.height, wanted.width, image.shape[2]), np.float32)
        if down.factor > 1:  # the smaller picture between the two passes
            between = np.empty((wanted.height, *image.shape[1:]), np.float32)
            _along_rows(image.pixels, between, places, weights)
            _along_columns(between, result, *across.taps(self.filter))
        else:
            between = np.empty((image.shape[0], *result.shape[1:]), np.float32)
            _along_columns(image.pixels, between, *across.taps(self.filter))
            _along_rows(between, result, places, weights)
        display = self.plane(rows.plane, context).display
        return image.with_pixels(result, data_window=wanted, display_window=display)

    def rows_held(self, given: Plane, rows: int, context: Context) -> int:
        down = self._axes(given)[1]
        return min(given.data.height, math.ceil(rows * down.factor + 2 * _RADIUS[self.filter] * max(1, down.factor)))

    def _axes(self, given: Plane) -> tuple[_Axis, _Axis]:
        """Across and down."""
        data, display = given
        width, height = self._size(display)
        return (
            _Axis.of(display.x, display.width, width, data.x, data.width),
            _Axis.of(display.y, display.height, height, data.y, data.height),
        )

    def _size(self, display: Window) -> tuple[int, int]:
        if self.scale:
            return max(1, round(display.width * self.scale)), max(1, round(display.height * self.scale))
        width = self.width or max(1, round(display.width * self.height / display.height))
        height = self.height or max(1, round(display.height * self.width / display.width))
        return width, height


class _Axis:
    """One direction: where the result's samples lie in the source, and what they are made of."""

    def __init__(self, start: int, size: int, factor: float, offset: float, source_size: int) -> None:
        self.start = start
        self.size = size
        self.factor = factor  # source pixels per result pixel
        self.offset = offset  # of the result's first edge, in source pixels from the data window's edge
        self.source_size = source_size

    @classmethod
    def of(cls, display: int, old: int, new: int, data: int, size: int) -> _Axis:
        """`display`, `old`, `new`: the display window's corner, size and new size; `data`, `size`: the data window."""
        first = (data - display) * new // old
        last = -((display - data - size) * new // old)
        factor = old / new
        return cls(display + first, max(1, last - first), factor, first * factor - (data - display), size)

    def taps(self, name: Name) -> tuple[npt.NDArray[np.intp], Floats]:
        """Source places and weights, each (result size, taps)."""
        stretch = max(1.0, self.factor)
        radius = _RADIUS[name] * stretch
        centres = self.offset + (np.arange(self.size) + 0.5) * self.factor
        count = min(self.source_size, math.ceil(2 * radius) + 1)
        first = np.clip(np.floor(centres - radius).astype(np.intp), 0, self.source_size - count)
        places = first[:, None] + np.arange(count)
        distance = places + 0.5 - centres[:, None]
        weights = _kernel(name, distance / stretch) if name != "box" else _overlap(distance, radius)
        total = weights.sum(axis=1, keepdims=True)
        nearest = np.abs(distance) == np.abs(distance).min(axis=1, keepdims=True)
        weights = np.where(np.abs(total) > 1e-9, weights, nearest)
        return places, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _overlap(distance: Doubles, radius: float) -> Doubles:
    """How much of each source pixel lies inside the box."""
    covered: Doubles = np.minimum(distance + 0.5, radius) - np.maximum(distance - 0.5, -radius)
    return np.where(covered > 0, covered, 0.0)


def _kernel(name: Name, x: Doubles) -> Doubles:
    size = np.abs(x)
    if name == "triangle":
        return np.where(size < 1, 1 - size, 0.0)
    if name == "lanczos3":
        return np.where(size < 3, np.sinc(size) * np.sinc(size / 3), 0.0)
    near = (1.5 * size - 2.5) * size * size + 1
    far = ((-0.5 * size + 2.5) * size - 4) * size + 2
    return np.where(size < 1, near, np.where(size < 2, far, 0.0))


def _along_columns(source: Floats, target: Floats, places: npt.NDArray[np.intp], weights: Floats) -> None:
    for top, bottom in row_bands(source.shape[0], 4 * source.shape[2] * (source.shape[1] + target.shape[1])):
        part = source[top:bottom]
        target[top:bottom] = 0
        for tap in range(places.shape[1]):
            used = np.flatnonzero(weights[:, tap])  # 0 · NaN would be NaN
            taken = np.take(part, places[used, tap], axis=1, mode="clip")
            taken *= weights[used, tap][None, :, None]
            if len(used) == len(weights):
                target[top:bottom] += taken
            else:
                target[top:bottom, used] += taken


def _along_rows(source: Floats, target: Floats, places: npt.NDArray[np.intp], weights: Floats) -> None:
    for row in range(target.shape[0]):
        target[row] = 0
        for place, weight in zip(places[row], weights[row], strict=True):
            if weight != 0:
                target[row] += source[place] * weight
