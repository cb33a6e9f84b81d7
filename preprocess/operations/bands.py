"""Bands of rows: scratch memory stays the size of a band, whatever the size of the frame.

Whoever works in bands must give the same bits for any height of band: each row's arithmetic may depend on its
neighbours, never on where a band begins.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from preprocess.image import Floats

Line = npt.NDArray[np.intp]

BAND_BYTES = 4 * 1024**2  # a few of them lie in a core's share of the last-level cache


def row_bands(height: int, row_bytes: int, *, most: int = BAND_BYTES) -> Iterator[tuple[int, int]]:
    """First row and the row behind the last of each band."""
    rows = max(1, most // max(1, row_bytes))
    for top in range(0, height, rows):
        yield top, min(height, top + rows)


def padded_rows(pixels: Floats, top: int, bottom: int, halo: int, mode: str) -> Floats:
    """Rows top..bottom of (height, width, ...) with `halo` more on all four sides; `mode` is for what lies outside.

    ``mirror`` repeats the picture without its border row (and so keeps a mosaic's phase), ``edge`` repeats the border.
    """
    rows = outside(np.arange(top - halo, bottom + halo), pixels.shape[0], mode)
    columns = outside(np.arange(-halo, pixels.shape[1] + halo), pixels.shape[1], mode)
    return pixels[rows[0] : rows[-1] + 1][:, columns] if _is_run(rows) else pixels[rows][:, columns]


def outside(places: Line, size: int, mode: str) -> Line:
    """Places on a line of `size`, with those outside brought in."""
    if mode == "edge" or size == 1:
        return np.where(places < 0, 0, np.where(places < size, places, size - 1))
    period = 2 * (size - 1)
    folded = np.abs(places) % period
    return np.where(folded < size, folded, period - folded)


def _is_run(places: Line) -> bool:
    return bool((np.diff(places) == 1).all())
