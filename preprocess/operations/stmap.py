"""stmap: moves pixels to where a map of coordinates says."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from preprocess.image import Image
from preprocess.operations.port import AssetMark, Context, Operation
from preprocess.operations.sampling import Edge, Filter, is_finite, sample


class StMap(Operation):
    """(height, width, channels) to the map's data window, same channels.

    Nuke's convention: the map's first channel (or R) is s, its second (or G) is t; s runs from 0 at the left edge of
    the picture's display window to 1 at its right, t from 0 at its **bottom** to 1 at its top, both between edges, so
    that a pixel's centre is ``s = (x + 0.5) / width``. NaN or Inf in the map is black, as is what lies outside.
    """

    kind: ClassVar[str] = "stmap"
    copies: ClassVar[float] = 1.3

    map: Annotated[str, AssetMark("image"), Field(min_length=1, description="URL or path of the map; float")]
    filter: Filter = "cubic"
    edge: Edge = "black"

    def apply(self, image: Image, context: Context) -> Image:
        side = context.image("map")
        if side.shape[2] < 2:
            raise self.fail(context, f"the map has {side.shape[2]} channel; it wants two, s and t")
        s_place, t_place = side.place_of("RG") if {"R", "G"} <= set(side.channels) else [0, 1]
        display = image.display_window
        result = np.empty((*side.shape[:2], image.shape[2]), np.float32)
        guarded = not is_finite(image.pixels)
        step = max(1, 2**16 // side.shape[1])
        for top in range(0, side.shape[0], step):
            rows = slice(top, top + step)
            x = side.pixels[rows, :, s_place] * np.float64(display.width) + (display.x - 0.5)
            y = (1 - side.pixels[rows, :, t_place].astype(np.float64)) * display.height + (display.y - 0.5)
            sample(image, (x, y), result[rows], self.filter, self.edge, guarded=guarded)
        return image.with_pixels(result, data_window=side.data_window)
