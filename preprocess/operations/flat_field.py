"""flat_field: evens out what lens shading and the sensor's pixels do to a uniformly lit white field."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from preprocess.image import Floats, Image
from preprocess.operations.bands import row_bands
from preprocess.operations.port import AssetMark, Context, ImageAsset, Operation


class FlatField(Operation):
    """(height, width, channels) in linear light to the same shape and unit.

    ``(value - dark) · level / (flat - dark)``, the usual two-frame correction (EMVA 1288, release 4.0, chapter 8). The
    flat has one channel or as many as the picture, and covers its data window. Where ``flat - dark`` is not above
    ``least`` (dust, a dead pixel, NaN) the value only loses its dark part: mend it by dead_pixel.
    """

    kind: ClassVar[str] = "flat_field"
    tileable: ClassVar[bool] = True
    copies: ClassVar[float] = 1.2

    flat: Annotated[str, AssetMark("image"), Field(min_length=1, description="URL or path of the white field")]
    dark: ImageAsset = ""
    level: float = Field(default=1.0, gt=0, description="value of the flat that changes nothing")
    least: float = Field(default=1e-4, ge=0, description="smallest usable value of the flat, same unit as level")

    def apply(self, image: Image, context: Context) -> Image:
        flat = self._side(image, context, "flat")
        dark = self._side(image, context, "dark") if self.dark else None
        result = np.empty(image.shape, np.float32)
        for top, bottom in row_bands(image.shape[0], 4 * image.shape[1] * image.shape[2]):
            gain = flat[top:bottom] - (dark[top:bottom] if dark is not None else np.float32(0))
            usable = gain > np.float32(self.least)
            np.divide(np.float32(self.level), gain, out=gain, where=usable)
            gain[~usable] = 1
            part = result[top:bottom]
            np.subtract(image.pixels[top:bottom], dark[top:bottom] if dark is not None else np.float32(0), out=part)
            part *= gain
        return image.with_pixels(result)

    def _side(self, image: Image, context: Context, name: str) -> Floats:
        side = context.image(name)
        if not side.data_window.covers(image.data_window):
            raise self.fail(context, f"{name} covers {side.data_window}, not the picture's {image.data_window}")
        if side.shape[2] not in {1, image.shape[2]}:
            raise self.fail(context, f"{name} has {side.shape[2]} channels, the picture {image.shape[2]}; give 1")
        return side.pixels[side.rows_and_columns(image.data_window)]
