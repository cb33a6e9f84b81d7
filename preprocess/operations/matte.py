"""A matte beside the picture's own channels."""

from __future__ import annotations

import numpy as np

from preprocess.image import Floats, Image


def channels_with(channels: tuple[str, ...], matte: str) -> tuple[str, ...]:
    return channels if matte in channels else (*channels, matte)


def with_room_for(image: Image, matte: str) -> tuple[Floats, tuple[str, ...], int]:
    """A copy of the pixels with a channel of that name (at the end where it is new), the names, and its place."""
    names = channels_with(image.channels, matte)
    pixels = np.empty((*image.shape[:2], len(names)), np.float32)
    pixels[:, :, : image.shape[2]] = image.pixels
    return pixels, names, names.index(matte)


def ramp(values: Floats, low: float, high: float) -> Floats:
    """0 up to `low`, 1 from `high` on, linear between; what is no number is 1: doubtful pixels are kept."""
    with np.errstate(invalid="ignore"):
        found: Floats = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    found[np.isnan(found)] = 1
    return found
