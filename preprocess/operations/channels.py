"""channels: keeps, orders and renames channels, so that a matte can become an output of its own."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from preprocess.image import Image
from preprocess.operations.port import Context, Operation


class Channels(Operation):
    """(height, width, channels) to (height, width, ``keep``), values untouched."""

    kind: ClassVar[str] = "channels"
    tileable: ClassVar[bool] = True

    keep: tuple[str, ...] = Field(min_length=1, description="names of the channels that stay, in order")
    names: tuple[str, ...] = Field(default=(), description="their new names; none: as they were")

    @model_validator(mode="after")
    def _is_one_to_one(self) -> Self:
        if self.names and len(self.names) != len(self.keep):
            raise ValueError(f"{len(self.names)} names for {len(self.keep)} channels; give as many")
        twins = sorted({name for name in self.output if self.output.count(name) > 1})
        if twins:
            raise ValueError(f"two channels would be called {twins[0]!r}; set names")
        return self

    @property
    def output(self) -> tuple[str, ...]:
        return self.names or self.keep

    def output_channels(self, channels: tuple[str, ...]) -> tuple[str, ...]:
        return self.output

    def apply(self, image: Image, context: Context) -> Image:
        try:
            places = image.place_of(self.keep)
        except KeyError as error:
            raise self.fail(context, str(error.args[0])) from error
        pixels = np.empty((*image.shape[:2], len(places)), np.float32)
        for target, place in enumerate(places):
            pixels[:, :, target] = image.pixels[:, :, place]
        return image.with_pixels(pixels, channels=self.output)
