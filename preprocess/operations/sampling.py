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

Doubles = npt.NDArray[np.float64]
Filter = Literal["nearest", "linear", "cubic"]
Edge = Literal["black", "clamp"]
Places = Callable[[Doubles, Doubles], tuple[Doubles, Doubles]]
"""Columns (1, width) and rows (height, 1) of the result to their places in the source: (x, y), (height, width) both."""

_WORK = 8 * 7  # bytes per pixel of the places, while they are computed
_FAR = 2.0**30  # beyond every picture, and still exact as int32 with a tap's width added


def warp(image: Image, window: Window, places: Places, filter_name: Filter, edge: Edge) -> Floats:
    """(window's height, width, channels): each pixel is what `image` has at its place.

    A place that is NaN is outside. With ``black``, taps outside the data window count as 0; with ``clamp`` as the
    nearest pixel of its border (NaN places stay black).
    """
    result = np.empty((window.height, window.width, image.shape[2]), np.float32)
    guarded = not is_finite(image.pixels)
    columns = np.arange(window.x, window.right, dtype=np.float64)[None, :]
    for top, bottom in row_bands(window.height, window.width * (_WORK + 4 * image.shape[2])):
        rows = np.arange(window.y + top, window.y + bottom, dtype=np.float64)[:, None]
        x, y = places(columns, rows)
        sample(image, (x, y), result[top:bottom], filter_name, edge, guarded=guarded)
    return result


def sample(
    image: Image, places: tuple[Doubles, Doubles], target: Floats, filter_name: Filter, edge: Edge, *, guarded: bool
) -> None:
    """Fill `target` with the picture at the absolute places (x, y), each of target's height and width.

    `guarded` must be true where the picture may hold a NaN or Inf: a tap of weight 0 is then kept from spreading it.
    """
    x, y = places
    with np.errstate(invalid="ignore"):
        nowhere = ~(np.isfinite(x) & np.isfinite(y))
    window = image.data_window
    across = _taps(x - window.x, window.width, nowhere, filter_name, edge)
    down = _taps(y - window.y, window.height, nowhere, filter_name, edge)
    flat = image.pixels.reshape(-1, image.shape[2])
    target[...] = 0
    for row, row_weight in down:
        start = row * image.data_window.width
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


def _taps(
    places: Doubles, size: int, nowhere: npt.NDArray[np.bool_], filter_name: Filter, edge: Edge
) -> list[tuple[npt.NDArray[np.int64], Floats]]:
    """Per tap of one axis: which row or column of the array, and its weight (0 where it is outside)."""
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
