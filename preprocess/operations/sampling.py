"""Values between pixels, for everything that moves them: lens, map, homography.

Places are float64 and absolute, weights are float32, and each result is the sum of its own taps in one fixed order, so
that the bits do not depend on how the frame is cut. (OpenCV's remap is quicker, but ends at 32767 pixels, and places
in a frame 11648 pixels wide are only good to 1/1024 pixel as float32.)

Filters: ``nearest`` (mattes, identities), ``linear``, ``cubic`` (R. Keys, Cubic convolution interpolation, IEEE ASSP
29, 1981, a = -1/2: sharp, overshoots a little at edges).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from preprocess.image import Floats, Image, Window
from preprocess.operations.bands import row_bands
from preprocess.operations.streaming import Rows

Doubles = npt.NDArray[np.float64]
Filter = Literal["nearest", "linear", "cubic"]
Edge = Literal["black", "clamp"]
Places = Callable[[Doubles, Doubles], tuple[Doubles, Doubles]]
"""Columns (1, width) and rows (height, 1) of the result to their places in the source: (x, y), (height, width) both."""

Taps = list[tuple[npt.NDArray[np.int64], Floats]]
"""Per tap of one axis: which row or column, and its weight."""

_WORK = 8 * 7  # bytes per pixel of the places, while they are computed
_PIXEL = 4 * 4  # and of most pictures' pixels
_LOOKS = 33  # places along each side by which a plan judges how far rows are moved
_FAR = 2.0**30  # beyond every picture, and still exact as int32 with a tap's width added


def warp(rows: Rows, window: Window, places: Places, filter_name: Filter, edge: Edge) -> Image:
    """The picture of `window`: each pixel is what the one behind `rows` has at its place.

    A place that is NaN is outside. With ``black``, taps outside the data window count as 0; with ``clamp`` as the
    nearest pixel of its border (NaN places stay black).
    """
    data = rows.plane.data
    pixels: Floats | None = None
    seen = _Seen()
    image = None
    columns = np.arange(window.x, window.right, dtype=np.float64)[None, :]
    for top, bottom in row_bands(window.height, window.width * (_WORK + _PIXEL)):
        x, y = places(columns, np.arange(window.y + top, window.y + bottom, dtype=np.float64)[:, None])
        with np.errstate(invalid="ignore"):
            nowhere = ~(np.isfinite(x) & np.isfinite(y))
        image = rows.take(*_span(y, nowhere, data))
        if pixels is None:
            pixels = np.empty((window.height, window.width, image.shape[2]), np.float32)
        across = _taps(x - data.x, data.width, nowhere, filter_name, edge)
        down = _taps(y - data.y, data.height, nowhere, filter_name, edge)
        _sample(image, image.data_window.y - data.y, (across, down), pixels[top:bottom], guarded=seen.anything(image))
    assert image is not None
    assert pixels is not None
    return image.with_pixels(pixels, data_window=window)


def reach_of(window: Window, data: Window, places: Places, rows: int) -> int:
    """About how many rows of `data` are held for `rows` neighbouring rows of `window`; all where a place is nowhere."""
    columns = np.linspace(window.x, window.right - 1, _LOOKS)[None, :]
    most = 1.0
    for top in np.linspace(window.y, max(window.y, window.bottom - rows), _LOOKS):
        _, y = places(columns, np.array([[top], [top + rows]]))
        if np.isnan(y).any():
            return data.height
        inside = np.clip(y, data.y, data.bottom)
        most = max(most, float(inside.max() - inside.min()))
    return min(data.height, int(most) + 4)


class _Seen:
    """Remembers which rows were looked at for NaN and Inf: neighbouring bands take mostly the same."""

    def __init__(self) -> None:
        self._top = self._bottom = 0
        self._found = False

    def anything(self, image: Image) -> bool:
        """Whether there may be a NaN or Inf in it."""
        data = image.data_window
        if not self._found:
            known = self._top <= data.y <= self._bottom
            fresh = image.pixels[max(0, self._bottom - data.y) :] if known else image.pixels
            self._found = len(fresh) > 0 and not is_finite(fresh)
            self._top, self._bottom = data.y, max(self._bottom, data.bottom) if known else data.bottom
        return self._found


def _span(y: Doubles, nowhere: npt.NDArray[np.bool_], data: Window) -> tuple[int, int]:
    """First row and the row behind the last of `data` that taps at `y` fall on, brought in from outside; 1 at least."""
    lowest = np.min(y, initial=np.inf, where=~nowhere)
    highest = np.max(y, initial=-np.inf, where=~nowhere)
    if lowest > highest:
        return data.y, data.y + 1
    last = data.bottom - 1
    top = int(min(max(np.floor(lowest) - 1, data.y), last))  # the widest filter has taps from -1 to +2
    return top, int(min(max(np.floor(highest) + 2, top), last)) + 1


def _sample(image: Image, first: int, taps: tuple[Taps, Taps], target: Floats, *, guarded: bool) -> None:
    """Fill `target` by the taps (across, down), which count from the data window; `image` has its rows from `first` on.

    `guarded` must be true where the picture may hold a NaN or Inf: a tap of weight 0 is then kept from spreading it.
    """
    across, down = taps
    flat = image.pixels.reshape(-1, image.shape[2])
    target[...] = 0
    for row, row_weight in down:
        start = np.clip(row - first, 0, image.shape[0] - 1) * image.shape[1]  # rows that are not here have no weight
        for column, column_weight in across:
            weight = row_weight * column_weight
            taken = np.take(flat, start + column, axis=0, mode="clip")  # all are inside; "raise" would look again
            taken *= weight[:, :, None]
            if guarded:
                taken[weight == 0] = 0  # 0 · NaN would be NaN
            target += taken


def is_finite(pixels: Floats) -> bool:
    """Whether there is no NaN or Inf; looks by bands."""
    return all(np.isfinite(pixels[top:bottom]).all() for top, bottom in row_bands(pixels.shape[0], pixels[0].nbytes))


def _taps(places: Doubles, size: int, nowhere: npt.NDArray[np.bool_], filter_name: Filter, edge: Edge) -> Taps:
    """Counted from the first of `size`; the weight is 0 where it is outside."""
    local = np.where(nowhere, -_FAR, np.clip(places, -_FAR, _FAR))
    if filter_name == "nearest":
        local = np.floor(local + 0.5)
    base = np.floor(local)
    between = (local - base).astype(np.float32)
    taps = []
    for step, weight in _weights(between, filter_name):
        at = base.astype(np.int64) + step
        inside = (at >= 0) & (at < size)
        used = inside if edge == "black" else ~nowhere
        taps.append((np.clip(at, 0, size - 1), np.where(used, weight, np.float32(0))))
    return taps


def _weights(t: Floats, filter_name: Filter) -> list[tuple[int, Floats]]:
    if filter_name == "nearest":
        return [(0, np.ones_like(t))]
    if filter_name == "linear":
        return [(0, 1 - t), (1, t)]
    half = np.float32(0.5)
    return [
        (-1, ((2 - t) * t - 1) * t * half),
        (0, ((3 * t - 5) * t * t + 2) * half),
        (1, ((4 - 3 * t) * t + 1) * t * half),
        (2, (t - 1) * t * t * half),
    ]
