"""crop: cuts a rectangle out, or fills up to it."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from preprocess.image import Image, Window
from preprocess.operations.port import Context
from preprocess.operations.streaming import Plane, Rows, StreamingOperation


class Crop(StreamingOperation):
    """(height, width, channels) to (``height``, ``width``, channels), values untouched.

    ``x`` and ``y`` count from the display window's corner, y downwards. What the data window lacks is black.
    ``reformat`` makes the rectangle the new display window; otherwise the picture stays where it was.
    """

    kind: ClassVar[str] = "crop"

    x: int = Field(default=0, description="pixels from the display window's left")
    y: int = Field(default=0, description="pixels from the display window's top")
    width: int = Field(default=0, ge=0, description="pixels; 0 and height 0: the display window's size")
    height: int = Field(default=0, ge=0, description="pixels")
    reformat: bool = False

    @model_validator(mode="after")
    def _has_a_whole_size(self) -> Self:
        if (self.width == 0) != (self.height == 0):
            raise ValueError("width and height go together; give both or none")
        return self

    def plane(self, given: Plane, context: Context) -> Plane:
        display = given.display
        size = (self.width, self.height) if self.width else display[2:]
        window = Window(display.x + self.x, display.y + self.y, *size)
        return Plane(window, window if self.reformat else display)

    def make(self, rows: Rows, wanted: Window, context: Context) -> Image:
        data = rows.plane.data
        common = wanted.meeting(data)
        top = min(max(common.y, data.y), data.bottom - 1)  # a row tells the channels, also where none is needed
        image = rows.take(top, max(min(common.bottom, data.bottom), top + 1))
        pixels = np.zeros((wanted.height, wanted.width, image.shape[2]), np.float32)
        if 0 not in common[2:]:
            down, right = common.y - wanted.y, common.x - wanted.x
            target = pixels[down : down + common.height, right : right + common.width]
            target[...] = image.pixels[image.rows_and_columns(common)]
        return image.with_pixels(pixels, data_window=wanted, display_window=self.plane(rows.plane, context).display)

    def rows_held(self, given: Plane, rows: int, context: Context) -> int:
        return rows
