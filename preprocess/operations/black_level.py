"""black_level: takes the sensor's pedestal off and scales white to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from preprocess.image import Image
from preprocess.operations.mosaic import BLACK, WHITE, corner_phase
from preprocess.operations.port import Context, Operation


class BlackLevel(Operation):
    """(height, width, any channels) in sensor units to the same shape, black at 0 and ``white`` at 1.

    ``(value - black) / (white - black)``, the first step of DNG 1.7's "Mapping Raw Values to Linear Reference Values",
    without its clipping: noise below black stays negative, so that averages stay unbiased. NaN and Inf pass through.
    """

    kind: ClassVar[str] = "black_level"
    tileable: ClassVar[bool] = True

    black: Annotated[
        float | tuple[float, float, float, float] | Literal["file"],
        Field(description="sensor units; one number, four for the 2x2 cell row by row; file: both as camera raw says"),
    ]
    white: float = Field(default=1.0, description="sensor units that become 1.0")

    @model_validator(mode="after")
    def _white_is_above_black(self) -> Self:
        if self.black == "file":
            if "white" in self.model_fields_set:
                raise ValueError('black = "file" takes white from the file, too; leave white out')
            return self
        darkest = max(self.black) if isinstance(self.black, tuple) else self.black
        if self.white <= darkest:
            raise ValueError(f"white {self.white:g} is not above black {darkest:g}; raise white")
        return self

    def _levels(self, image: Image, context: Context) -> tuple[Sequence[float], float]:
        """Black by place of the cell, and white."""
        if isinstance(self.black, tuple):
            return self.black, self.white
        if self.black != "file":
            return (self.black,) * 4, self.white
        black, white = image.metadata.get(BLACK), image.metadata.get(WHITE)
        if black is None or white is None:
            raise self.fail(
                context, 'the source is no camera raw that says its levels; write numbers instead of "file"'
            )
        if float(white) <= max(black):
            raise self.fail(context, f"the source says that white is {white:g} and black {max(black):g}; write numbers")
        return black, float(white)

    def apply(self, image: Image, context: Context) -> Image:
        cell, white = self._levels(image, context)
        down, right = corner_phase(image)
        result = np.empty(image.shape, np.float32)
        for row in range(2):
            for column in range(2):
                black = cell[2 * ((row + down) % 2) + (column + right) % 2]
                part = result[row::2, column::2]
                np.subtract(image.pixels[row::2, column::2], np.float32(black), out=part)
                part /= np.float32(white - black)
        return image.with_pixels(result)
