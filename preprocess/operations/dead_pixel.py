"""dead_pixel: mends pixels that a map names, that stand out from their neighbours, or that are no number."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from preprocess.image import Floats, Image
from preprocess.operations.bands import row_bands
from preprocess.operations.port import Context, ImageAsset, Operation

Flags = npt.NDArray[np.bool_]

# Batcher's odd-even merge sort of eight (Knuth, TAOCP 3, 5.3.4): pairs to put in order, 19 of them.
_NETWORK = (
    (0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (1, 2), (5, 6),
    (0, 4), (1, 5), (2, 6), (3, 7), (2, 4), (3, 5), (1, 2), (3, 4), (5, 6),
)  # fmt: skip


class DeadPixel(Operation):
    """(height, width, channels) to the same shape; each channel on its own.

    A bad pixel becomes the median of its eight neighbours of the same colour: ``spacing`` pixels away, 2 in a mosaic
    (the phase needs no telling, equal colours repeat every second pixel), 1 otherwise. Bad are: what ``map`` marks (not
    zero), what is NaN or infinite, and, with a ``threshold``, what differs from that median by more than
    ``threshold + relative · |median|``. Bad (by map or no number) and missing neighbours do not vote; with none left
    the pixel becomes 0.
    """

    kind: ClassVar[str] = "dead_pixel"
    tileable: ClassVar[bool] = True
    copies: ClassVar[float] = 1.3

    map: ImageAsset = ""
    threshold: float | None = Field(default=None, ge=0, description="sensor or linear units; none: no search")
    relative: float = Field(default=0.0, ge=0, description="added to the threshold, as a part of the median")
    spacing: Literal[1, 2] = Field(default=2, description="pixels between equal colours: 2 in a mosaic")

    @property
    def halo(self) -> int:
        return self.spacing

    def apply(self, image: Image, context: Context) -> Image:
        result = image.pixels.copy()
        marked = self._marked(image, context)
        for channel in range(image.shape[2]):
            plane = image.pixels[:, :, channel]
            flags = None if marked is None else marked[:, :, min(channel, marked.shape[2] - 1)]
            for top, bottom in row_bands(image.shape[0], 40 * image.shape[1]):
                self._mend(plane, flags, result[top:bottom, :, channel], top, bottom)
        return image.with_pixels(result)

    def _marked(self, image: Image, context: Context) -> Floats | None:
        if not self.map:
            return None
        side = context.image("map")
        if not side.data_window.covers(image.data_window) or side.shape[2] not in {1, image.shape[2]}:
            raise self.fail(context, f"map has {side.data_window} x {side.shape[2]}, not {image.data_window}")
        return side.pixels[side.rows_and_columns(image.data_window)]

    def _mend(self, plane: Floats, marked: Floats | None, target: Floats, top: int, bottom: int) -> None:
        reach = self.spacing
        first, last = max(0, top - reach), min(plane.shape[0], bottom + reach)
        votes = plane[first:last].copy()
        votes[~np.isfinite(votes)] = np.inf
        if marked is not None:
            votes[marked[first:last] != 0] = np.inf
        bad: Flags = np.isinf(votes[top - first : bottom - first])
        missing = (reach - (top - first), reach - (last - bottom))
        padded = np.pad(votes, (missing, (reach, reach)), constant_values=np.inf)
        if self.threshold is None:
            rows, columns = np.nonzero(bad)
            target[rows, columns] = _median([padded[rows + dy, columns + dx] for dy, dx in _around(reach)])
            return
        height, width = target.shape
        median = _median([padded[dy : dy + height, dx : dx + width].copy() for dy, dx in _around(reach)])
        with np.errstate(invalid="ignore"):
            bad |= np.abs(target - median) > np.abs(median) * np.float32(self.relative) + np.float32(self.threshold)
        np.copyto(target, median, where=bad)


def _around(reach: int) -> list[tuple[int, int]]:
    steps = (0, reach, 2 * reach)
    return [(dy, dx) for dy in steps for dx in steps if (dy, dx) != (reach, reach)]


def _median(eight: list[Floats]) -> Floats:
    """Of eight arrays, per element, where infinities have no vote; 0 where nothing votes. Spoils its input."""
    for low, high in _NETWORK:
        smaller = np.minimum(eight[low], eight[high])
        np.maximum(eight[low], eight[high], out=eight[high])
        eight[low] = smaller
    result = (eight[3] * np.float32(0.5)) + eight[4] * np.float32(0.5)
    few = np.isinf(eight[7])
    if few.any():
        rest = np.stack([plane[few] for plane in eight])
        votes = np.isfinite(rest).sum(axis=0)
        at = np.arange(rest.shape[1])
        low, high = np.maximum(votes - 1, 0) // 2, votes // 2
        with np.errstate(invalid="ignore"):
            some = rest[low, at] * np.float32(0.5) + rest[high, at] * np.float32(0.5)
        result[few] = np.where(votes > 0, some, np.float32(0))
    return result
