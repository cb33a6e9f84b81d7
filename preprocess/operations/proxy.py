"""proxy: a level of the picture's pyramid, each half the size of the one before."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from preprocess.image import Floats, Image, Window
from preprocess.operations.bands import row_bands
from preprocess.operations.port import Context
from preprocess.operations.streaming import Plane, Rows, StreamingOperation


class Proxy(StreamingOperation):
    """(height, width, channels) to about (height / 2^levels, width / 2^levels, channels).

    Each level's pixel is the mean of the 2x2 cell below it, cells counted from the display window's corner; a cell that
    the picture fills only in part (odd sizes, odd places) is the mean of what it has. A NaN or Inf takes its cell.
    """

    kind: ClassVar[str] = "proxy"
    copies: ClassVar[float] = 0.4

    levels: int = Field(default=1, ge=1, le=16, description="halvings")

    def plane(self, given: Plane, context: Context) -> Plane:
        for _ in range(self.levels):
            given = _halved_plane(given)
        return given

    def make(self, rows: Rows, wanted: Window, context: Context) -> Image:
        data, display = rows.plane
        first, last = (row - display.y << self.levels for row in (wanted.y, wanted.bottom))
        image = rows.take(max(data.y, display.y + first), min(data.bottom, display.y + last))
        for _ in range(self.levels):
            image = halved(image)
        return image

    def rows_held(self, given: Plane, rows: int, context: Context) -> int:
        return min(given.data.height, rows << self.levels)


def pyramid(image: Image, levels: int) -> list[Image]:
    """The picture and its levels, finest first."""
    found = [image]
    for _ in range(levels):
        found.append(halved(found[-1]))
    return found


def halved(image: Image) -> Image:
    """One level coarser."""
    data, display = image.data_window, image.display_window
    made = _halved_plane(Plane(data, display))
    result = np.empty((made.data.height, made.data.width, image.shape[2]), np.float32)
    phase = (data.y - display.y) % 2
    for first, last in row_bands(made.data.height, 8 * data.width * image.shape[2]):
        part = image.pixels[max(0, 2 * first - phase) : 2 * last - phase]
        rows = _in_pairs(part, 0 if first else phase).transpose(1, 0, 2)
        result[first:last] = _in_pairs(rows, (data.x - display.x) % 2).transpose(1, 0, 2)
    return image.with_pixels(result, data_window=made.data, display_window=made.display)


def _halved_plane(plane: Plane) -> Plane:
    data, display = plane
    left, top = (data.x - display.x) // 2, (data.y - display.y) // 2
    right, bottom = -((display.x - data.right) // 2), -((display.y - data.bottom) // 2)
    return Plane(
        Window(display.x + left, display.y + top, right - left, bottom - top),
        Window(display.x, display.y, -(-display.width // 2), -(-display.height // 2)),
    )


def _in_pairs(pixels: Floats, phase: int) -> Floats:
    """Means of pairs along the first axis; with phase 1 the first row stands alone, and so does one left over."""
    size = -(-(pixels.shape[0] + phase) // 2)
    result = np.empty((size, *pixels.shape[1:]), np.float32)
    first, second = pixels[phase::2], pixels[phase + 1 :: 2]
    pairs = result[phase : phase + len(second)]
    np.multiply(first[: len(second)], np.float32(0.5), out=pairs)
    for row in range(len(second)):
        pairs[row] += second[row] * np.float32(0.5)
    if phase:
        result[0] = pixels[0]
    if len(first) > len(second):
        result[-1] = first[-1]
    return result
