"""denoise: averages each pixel with the frames around it, where they show the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from preprocess.image import Floats, Image
from preprocess.operations.bands import padded_rows, row_bands
from preprocess.operations.port import Context, Operation

_TOE = 2.0**-12  # of stops: differences in what is darker than 12 stops below 1 count less and less


class Denoise(Operation):
    """(height, width, channels) and ``radius`` frames on either side to the same shape.

    A bilateral filter in time: the frame at offset o weighs ``(1 - |o| / (radius + 1)) · exp(-d² / 2)``; d² is the
    squared difference to this frame in units of ``sigma``, averaged over the channels and over a square of
    ``2 · patch + 1`` pixels. Noise averages out; what moved differs by many sigma and takes no part, so nothing ghosts.
    ``unit`` says what sigma measures: ``linear`` values, or ``stops`` (log2 of the values, for noise that grows with
    light). Frames behind the shot's ends do not count. A pixel that is NaN or Inf has no vote from other frames and
    stays as it is in this one; its patch does not count it.
    """

    kind: ClassVar[str] = "denoise"
    tileable: ClassVar[bool] = True
    copies: ClassVar[float] = 1.6

    radius: int = Field(default=1, ge=1, le=16, description="frames on either side")
    sigma: float = Field(gt=0, description="noise (standard deviation), in unit")
    unit: Literal["linear", "stops"] = "linear"
    patch: int = Field(default=1, ge=0, le=8, description="pixels around a pixel that are compared with it")

    @property
    def reads(self) -> int:
        return self.radius

    @property
    def halo(self) -> int:
        return self.patch

    def apply(self, image: Image, context: Context) -> Image:
        return self.apply_window({0: image}, context)

    def apply_window(self, images: Mapping[int, Image], context: Context) -> Image:
        image = images[0]
        others = [offset for offset in sorted(images) if offset != 0 and abs(offset) <= self.radius]
        for offset in others:
            other = images[offset]
            if (other.data_window, other.channels) != (image.data_window, image.channels):
                place = f"{other.data_window} ({', '.join(other.channels)}) {offset:+d} frames away"
                raise self.fail(context, f"{image.data_window} here and {place} cannot be compared; crop them first")
        result = np.empty(image.shape, np.float32)
        height, width, count = image.shape
        for top, bottom in row_bands(height, 8 * width * count):
            rows = slice(top, bottom)
            centre = image.pixels[rows]
            total, weights = centre.copy(), np.ones((bottom - top, width), np.float32)
            for offset in others:
                weight = self._weight(image, images[offset], top, bottom)
                weight *= np.float32(1 - abs(offset) / (self.radius + 1))
                weights += weight
                # Products of nothing must be nothing, also for NaN and Inf.
                total += np.where(weight[:, :, None] > 0, images[offset].pixels[rows], 0) * weight[:, :, None]
            result[rows] = total / weights[:, :, None]
        return image.with_pixels(result)

    def _weight(self, image: Image, other: Image, top: int, bottom: int) -> Floats:
        here = padded_rows(image.pixels, top, bottom, self.patch, "edge")
        there = padded_rows(other.pixels, top, bottom, self.patch, "edge")
        with np.errstate(invalid="ignore", over="ignore"):
            difference = self._measured(here) - self._measured(there)
            squared = (difference / np.float32(self.sigma)) ** 2
        mean = squared[:, :, 0].copy()
        for channel in range(1, squared.shape[2]):
            mean += squared[:, :, channel]
        mean /= np.float32(squared.shape[2])
        known = np.isfinite(mean)
        mean[~known] = 0
        patch = _boxed(mean, self.patch) / np.maximum(_boxed(known.astype(np.float32), self.patch), 1)
        weight = np.exp(patch * np.float32(-0.5))
        middle = known[self.patch : known.shape[0] - self.patch, self.patch : known.shape[1] - self.patch]
        return np.where(middle, weight, np.float32(0))

    def _measured(self, values: Floats) -> Floats:
        if self.unit == "linear":
            return values
        return np.log2(np.maximum(values, np.float32(0)) + np.float32(_TOE))


def _boxed(values: Floats, reach: int) -> Floats:
    """Sums over squares of 2·reach + 1; smaller than the input by reach on each side."""
    size = 2 * reach + 1
    height, width = values.shape[0] - 2 * reach, values.shape[1] - 2 * reach
    rows = values[:height].copy()
    for step in range(1, size):
        rows += values[step : step + height]
    total = rows[:, :width].copy()
    for step in range(1, size):
        total += rows[:, step : step + width]
    return total
