"""homography: lays each camera's picture onto a common plane by a 3x3 matrix."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from preprocess.image import Image, Window
from preprocess.operations.colour_matrix import IDENTITY, Matrix3, matrix_for
from preprocess.operations.port import Context
from preprocess.operations.sampling import Doubles, Edge, Filter, Places, reach_of, warp
from preprocess.operations.streaming import Plane, Rows, StreamingOperation


class Homography(StreamingOperation):
    """(height, width, channels) to ``window`` (or the same data window), same channels.

    ``(X, Y, W) = H · (x, y, 1)`` takes a source point to the result's point ``(X/W, Y/W)``; pixels, y down, integers
    at pixel centres, from the display window's corner: what OpenCV's findHomography writes. The result is sampled
    through the inverse. Where W of the inverse is not positive (behind the camera), and outside, it is black.
    """

    kind: ClassVar[str] = "homography"
    copies: ClassVar[float] = 1.3

    matrix: Matrix3 = Field(default=IDENTITY, description="source pixels to result pixels, row by row")
    cameras: dict[str, Matrix3] = Field(default_factory=dict, description="camera or view name -> its own matrix")
    window: tuple[int, int, int, int] | None = Field(default=None, description="result's x, y, width, height")
    filter: Filter = "cubic"
    edge: Edge = "black"

    @model_validator(mode="after")
    def _can_be_inverted(self) -> Self:
        for name, matrix in [("matrix", self.matrix), *self.cameras.items()]:
            if np.linalg.matrix_rank(np.array(matrix)) < 3:
                raise ValueError(f"{name} cannot be inverted; its rows depend on each other")
        if self.window is not None and min(self.window[2:]) < 1:
            raise ValueError("window wants a width and a height of 1 or more")
        return self

    def plane(self, given: Plane, context: Context) -> Plane:
        return Plane(Window(*self.window) if self.window is not None else given.data, given.display)

    def make(self, rows: Rows, wanted: Window, context: Context) -> Image:
        return warp(rows, wanted, self._places(rows.plane, context), self.filter, self.edge)

    def rows_held(self, given: Plane, rows: int, context: Context) -> int:
        return reach_of(self.plane(given, context).data, given.data, self._places(given, context), rows)

    def _places(self, given: Plane, context: Context) -> Places:
        inverse = np.linalg.inv(np.array(matrix_for(context, self.matrix, self.cameras), np.float64))
        inverse /= inverse[2, 2] if inverse[2, 2] != 0 else 1.0
        left, top = given.display[:2]

        def places(columns: Doubles, rows: Doubles) -> tuple[Doubles, Doubles]:
            x, y = columns - left, rows - top
            depth = inverse[2, 0] * x + inverse[2, 1] * y + inverse[2, 2]
            depth[depth <= 0] = np.nan
            u = (inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]) / depth
            v = (inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]) / depth
            return u + left, v + top

        return places
