"""statistics: what a picture's values are like, for the sequence's metadata."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from preprocess.image import Floats, Image
from preprocess.operations.bands import row_bands
from preprocess.operations.colours import luma
from preprocess.operations.port import Context, Operation

Percent = Annotated[float, Field(ge=0, le=100)]


class Statistics(Operation):
    """Passes (height, width, channels) on as it is, and records under ``name``:

    ``data_window``, ``display_window`` [x, y, width, height]; per channel ``min``, ``max``, ``mean``, ``nan`` and
    ``inf`` counts; for BT.709 luma (the first channel where there is no R, G, B) the same, ``percentiles``
    (linear between ranks) and ``histogram`` (``edges`` in stops relative to 1, ``counts``, ``below`` what is darker or
    not positive, ``above``). NaN and Inf take no part in anything but their counts; with nothing left values are None.
    """

    kind: ClassVar[str] = "statistics"
    copies: ClassVar[float] = 1.2  # of one channel; a third of that of three
    makes_pixels: ClassVar[bool] = False

    name: str = Field(default="statistics", min_length=1, description="key of the record")
    percentiles: tuple[Percent, ...] = (1.0, 50.0, 99.0)
    darkest: int = Field(default=-10, ge=-40, le=39, description="histogram's first edge, in stops relative to 1")
    stops: int = Field(default=16, ge=1, le=64, description="histogram's length, one bin for each stop")

    def scratch_bytes(self, given: int, made: int, channels: int) -> int:
        return int(self.copies * given / channels)

    def apply(self, image: Image, context: Context) -> Image:
        channels = {name: _described(image.pixels[:, :, place]) for place, name in enumerate(image.channels)}
        brightness = np.empty(image.shape[:2], np.float32)
        with np.errstate(invalid="ignore"):
            for top, bottom in row_bands(image.shape[0], 12 * image.shape[1]):
                brightness[top:bottom] = luma(image, slice(top, bottom))
        described = _described(brightness)
        finite = _finite_first(brightness.reshape(-1))
        described["histogram"] = self._histogram(finite)
        found = np.percentile(finite, self.percentiles, overwrite_input=True) if finite.size else None
        described["percentiles"] = {
            f"{percent:g}": None if found is None else float(found[place])
            for place, percent in enumerate(self.percentiles)
        }
        context.records[self.name] = {
            "data_window": list(image.data_window),
            "display_window": list(image.display_window),
            "channels": channels,
            "luma": described,
        }
        return image

    def _histogram(self, finite: Floats) -> dict[str, Any]:
        edges = np.exp2(np.arange(self.darkest, self.darkest + self.stops + 1, dtype=np.float64)).astype(np.float32)
        counts = np.zeros(self.stops + 2, np.int64)
        for start in range(0, finite.size, 2**18):
            bins = np.searchsorted(edges, finite[start : start + 2**18], side="right")
            counts += np.bincount(bins, minlength=self.stops + 2)
        stops = list(range(self.darkest, self.darkest + self.stops + 1))
        below, *inner, above = counts.tolist()
        return {"edges": stops, "counts": inner, "below": below, "above": above}


def _finite_first(values: Floats) -> Floats:
    """The finite ones of `values`, moved to its front a part at a time: no second copy of a large frame."""
    end = 0
    for start in range(0, values.size, 2**18):
        part = values[start : start + 2**18]
        kept = part[np.isfinite(part)]
        values[end : end + kept.size] = kept
        end += kept.size
    return values[:end]


def _finite_in_place(values: Floats) -> Floats:
    """The finite ones, moved to the front: a picture's worth of memory is not taken twice."""
    kept = 0
    for start in range(0, values.size, 2**18):
        part = values[start : start + 2**18]
        finite = part[np.isfinite(part)]
        values[kept : kept + finite.size] = finite
        kept += finite.size
    return values[:kept]


def _described(plane: Floats) -> dict[str, Any]:
    """Minimum, maximum, mean and counts of (height, width); sums in float64, a band of rows at a time."""
    lowest, highest, total, number, nans = np.inf, -np.inf, 0.0, 0, 0
    for top, bottom in row_bands(plane.shape[0], 8 * plane.shape[1]):
        part = plane[top:bottom]
        nans += int(np.isnan(part).sum())
        finite = part[np.isfinite(part)]
        if finite.size:
            lowest, highest = min(lowest, float(finite.min())), max(highest, float(finite.max()))
            total += float(finite.sum(dtype=np.float64))
            number += finite.size
    if not number:
        return {"min": None, "max": None, "mean": None, "nan": nans, "inf": plane.size - nans}
    return {
        "min": lowest,
        "max": highest,
        "mean": total / number,
        "nan": nans,
        "inf": plane.size - nans - number,
    }
