"""difference_key: a matte of what differs from a clean plate."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from preprocess.image import Image
from preprocess.operations.bands import row_bands
from preprocess.operations.matte import channels_with, ramp, with_room_for
from preprocess.operations.port import AssetMark, Context, Operation


class DifferenceKey(Operation):
    """(height, width, channels) to the same with the channel ``matte`` added or replaced: 0 background, 1 foreground.

    The greatest absolute difference of the channels that both have (but alpha), ramped from ``low`` to ``high``. Where
    either is NaN, or both infinite, the matte is 1.
    """

    kind: ClassVar[str] = "difference_key"
    tileable: ClassVar[bool] = True
    copies: ClassVar[float] = 1.3

    plate: Annotated[str, AssetMark("image"), Field(min_length=1, description="URL or path of the clean plate")]
    low: float = Field(default=0.02, ge=0, description="difference in linear units that is still background")
    high: float = Field(default=0.1, gt=0, description="difference in linear units that is all foreground")
    matte: str = Field(default="A", min_length=1, description="name of the channel that is made")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"high {self.high:g} is not above low {self.low:g}; raise high")
        return self

    def output_channels(self, channels: tuple[str, ...]) -> tuple[str, ...]:
        return channels_with(channels, self.matte)

    def apply(self, image: Image, context: Context) -> Image:
        plate = context.image("plate")
        if not plate.data_window.covers(image.data_window):
            raise self.fail(context, f"plate covers {plate.data_window}, not the picture's {image.data_window}")
        shared = [name for name in image.channels if name in plate.channels and name not in {"A", self.matte}]
        if not shared:
            raise self.fail(context, f"plate ({', '.join(plate.channels)}) shares no channel with the picture")
        clean = plate.pixels[plate.rows_and_columns(image.data_window)]
        pixels, names, place = with_room_for(image, self.matte)
        pairs = list(zip(image.place_of(shared), plate.place_of(shared), strict=True))
        for top, bottom in row_bands(image.shape[0], 12 * image.shape[1]):
            largest = np.zeros((bottom - top, image.shape[1]), np.float32)
            for here, there in pairs:
                with np.errstate(invalid="ignore"):
                    difference = image.pixels[top:bottom, :, here] - clean[top:bottom, :, there]
                np.maximum(largest, np.abs(difference), out=largest)
            pixels[top:bottom, :, place] = ramp(largest, self.low, self.high)
        return image.with_pixels(pixels, channels=names)
