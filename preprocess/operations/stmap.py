"""stmap: moves pixels to where a map of coordinates says."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from preprocess.image import Image, Window
from preprocess.operations.port import AssetMark, Context
from preprocess.operations.sampling import Doubles, Edge, Filter, warp
from preprocess.operations.streaming import Plane, Rows, StreamingOperation


class StMap(StreamingOperation):
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

    def plane(self, given: Plane, context: Context) -> Plane:
        return Plane(context.image("map").data_window, given.display)

    def planned_plane(self, given: Plane, context: Context) -> Plane:
        return given

    def make(self, rows: Rows, wanted: Window, context: Context) -> Image:
        side = context.image("map")
        if side.shape[2] < 2:
            raise self.fail(context, f"the map has {side.shape[2]} channel; it wants two, s and t")
        s_place, t_place = side.place_of("RG") if {"R", "G"} <= set(side.channels) else [0, 1]
        display = rows.plane.display

        def places(_: Doubles, down: Doubles) -> tuple[Doubles, Doubles]:
            first = int(down[0, 0]) - side.data_window.y
            part = side.pixels[first : first + len(down)]
            x = part[:, :, s_place] * np.float64(display.width) + (display.x - 0.5)
            y = (1 - part[:, :, t_place].astype(np.float64)) * display.height + (display.y - 0.5)
            return x, y

        return warp(rows, wanted, places, self.filter, self.edge)

    def side_channels(self, channels: int) -> int:
        return 2

    def rows_held(self, given: Plane, rows: int, context: Context) -> int:
        """All: what a map asks for is known when it is read. One that moves little takes less."""
        return given.data.height
