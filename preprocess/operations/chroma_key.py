"""chroma_key: a matte of what is not the green, blue or red screen."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from preprocess.image import Image
from preprocess.operations.bands import row_bands
from preprocess.operations.colours import rgb_places
from preprocess.operations.matte import channels_with, ramp, with_room_for
from preprocess.operations.port import Context, Operation


class ChromaKey(Operation):
    """(height, width, channels with R, G, B) to the same with ``matte`` added or replaced: 0 screen, 1 foreground.

    Petro Vlahos's colour difference: ``spill = screen - max(the other two)``; the matte falls from 1 at spill ``low``
    to 0 at ``high``. ``despill`` takes what spill is above 0 out of the screen's channel. A NaN among R, G and B makes
    the matte 1, and the colour is left as it is.
    """

    kind: ClassVar[str] = "chroma_key"
    tileable: ClassVar[bool] = True
    copies: ClassVar[float] = 1.3

    screen: Literal["red", "green", "blue"] = "green"
    low: float = Field(default=0.0, description="spill in linear units that is still all foreground")
    high: float = Field(default=0.3, description="spill in linear units that is all screen")
    despill: bool = False
    matte: str = Field(default="A", min_length=1, description="name of the channel that is made")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"high {self.high:g} is not above low {self.low:g}; raise high")
        return self

    def output_channels(self, channels: tuple[str, ...]) -> tuple[str, ...]:
        return channels_with(channels, self.matte)

    def apply(self, image: Image, context: Context) -> Image:
        places = rgb_places(self, image, context)
        screen = places.pop(("red", "green", "blue").index(self.screen))
        pixels, names, place = with_room_for(image, self.matte)
        for top, bottom in row_bands(image.shape[0], 12 * image.shape[1]):
            part = image.pixels[top:bottom]
            with np.errstate(invalid="ignore"):
                spill = part[:, :, screen] - np.maximum(part[:, :, places[0]], part[:, :, places[1]])
                pixels[top:bottom, :, place] = ramp(-spill, -self.high, -self.low)
                if self.despill:
                    np.subtract(part[:, :, screen], spill, out=pixels[top:bottom, :, screen], where=spill > 0)
        return image.with_pixels(pixels, channels=names)
