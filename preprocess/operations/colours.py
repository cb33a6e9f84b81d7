"""Which channels are colour, and how bright they are."""

from __future__ import annotations

import numpy as np

from preprocess.image import Floats, Image
from preprocess.operations.port import Context, Operation

LUMA = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709-6, 3.2
ALPHA = ("A", "a", "alpha", "Z", "depth.Z")


def colour_places(image: Image) -> list[int]:
    """Every channel but alpha and depth."""
    return [place for place, name in enumerate(image.channels) if name.rpartition(".")[2] not in ALPHA]


def rgb_places(operation: Operation, image: Image, context: Context) -> list[int]:
    """Where R, G and B stand. Raises OperationFailed."""
    try:
        return image.place_of("RGB")
    except KeyError as error:
        raise operation.fail(context, f"{error.args[0]}; demosaic first, or name the channels R, G, B") from error


def luma(image: Image, rows: slice) -> Floats:
    """(rows, width): BT.709 luma of R, G, B, or the first channel where there are no such three."""
    pixels = image.pixels[rows]
    if not {"R", "G", "B"} <= set(image.channels):
        return pixels[:, :, 0].copy()
    red, green, blue = (pixels[:, :, place] for place in image.place_of("RGB"))
    total = red * np.float32(LUMA[0])
    total += green * np.float32(LUMA[1])
    total += blue * np.float32(LUMA[2])
    return total
