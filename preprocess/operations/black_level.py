"""black_level: takes the sensor's pedestal off and scales white to one."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from preprocess.image import Image
from preprocess.operations.mosaic import corner_phase
from preprocess.operations.port import Context, Operation


class BlackLevel(Operation):
    """(height, width, any channels) in sensor units to the same shape, black at 0 and ``white`` at 1.

    ``(value - black) / (white - black)``, the first step of DNG 1.7's "Mapping Raw Values to Linear Reference Values",
    without its clipping: noise below black stays negative, so that averages stay unbiased. NaN and Inf pass through.
    """

    kind: ClassVar[str] = "black_level"
    tileable: ClassVar[bool] = True

    black: Annotated[
        float | tuple[float, float, float, float],
        Field(description="sensor units; one number, or four for the mosaic's 2x2 cell, row by row"),
    ]
    white: float = Field(default=1.0, description="sensor units that become 1.0")

    @model_validator(mode="after")
    def _white_is_above_black(self) -> Self:
        if self.white <= max(self.cell):
            raise ValueError(f"white {self.white:g} is not above black {max(self.cell):g}; raise white")
        return self

    @property
    def cell(self) -> tuple[float, float, float, float]:
        return self.black if isinstance(self.black, tuple) else (self.black,) * 4

    def apply(self, image: Image, context: Context) -> Image:
        down, right = corner_phase(image)
        result = np.empty(image.shape, np.float32)
        for row in range(2):
            for column in range(2):
                black = self.cell[2 * ((row + down) % 2) + (column + right) % 2]
                part = result[row::2, column::2]
                np.subtract(image.pixels[row::2, column::2], np.float32(black), out=part)
                part /= np.float32(self.white - black)
        return image.with_pixels(result)
