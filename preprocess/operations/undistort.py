"""undistort: takes a lens's distortion out, or puts it in."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from preprocess.image import Image, Window
from preprocess.operations.port import Context
from preprocess.operations.sampling import Doubles, Edge, Filter, Places, reach_of, warp
from preprocess.operations.streaming import Plane, Rows, StreamingOperation

_ROUNDS = 200  # of the inverse: a digit in two rounds on usual lenses, ever slower towards the fold
_CLOSE = 1e-9  # of the normalised plane: a hundred-thousandth of a pixel at a focal length of 10000 pixels


class Lens(BaseModel):
    """Intrinsics and Brown-Conrady coefficients, as OpenCV's calibration writes them (k1, k2, p1, p2, k3)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    fx: float = Field(gt=0, description="focal length in pixels, horizontally")
    fy: float = Field(gt=0, description="focal length in pixels, vertically")
    cx: float = Field(description="principal point, column, from the display window's first pixel centre")
    cy: float = Field(description="principal point, row, from the display window's first pixel centre")
    k1: float = 0.0
    k2: float = 0.0
    k3: float = 0.0
    p1: float = 0.0
    p2: float = 0.0

    def distorted(self, x: Doubles, y: Doubles) -> tuple[Doubles, Doubles]:
        """Points of the normalised plane (z = 1) to where the lens puts them.

        D. C. Brown, Close-range camera calibration, 1971, in OpenCV's order of p1 and p2.
        """
        squared = x * x + y * y
        radial = 1 + squared * (self.k1 + squared * (self.k2 + squared * self.k3))
        product = 2 * x * y
        return (
            x * radial + self.p1 * product + self.p2 * (squared + 2 * x * x),
            y * radial + self.p1 * (squared + 2 * y * y) + self.p2 * product,
        )

    def undistorted(self, x: Doubles, y: Doubles) -> tuple[Doubles, Doubles]:
        """The inverse, by fixed-point iteration; NaN where it does not settle (beyond the lens's fold)."""
        u, v = x.copy(), y.copy()
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(_ROUNDS):
                there_x, there_y = self.distorted(u, v)
                off_x, off_y = there_x - x, there_y - y
                open_still = (np.abs(off_x) > _CLOSE) | (np.abs(off_y) > _CLOSE)
                if not open_still.any():
                    break
                # A settled point stays: what it becomes must not depend on its neighbours in a band.
                np.subtract(u, off_x, out=u, where=open_still)
                np.subtract(v, off_y, out=v, where=open_still)
            there_x, there_y = self.distorted(u, v)
            lost = ~((np.abs(there_x - x) <= 100 * _CLOSE) & (np.abs(there_y - y) <= 100 * _CLOSE))
        u[lost] = v[lost] = np.nan
        return u, v


class Undistort(StreamingOperation):
    """(height, width, channels) to the same shape and windows.

    A result pixel at the ideal point P shows the source at the lens's image of P: direction ``remove``. ``add`` is the
    other way round. Coordinates are normalised by fx, fy, cx, cy; the principal point counts from the display window's
    corner. What the data window lacks is black. ``reach`` bounds how far a pixel may travel; then the operation may be
    done in bands, and a lens that reaches farther fails instead of giving a wrong picture.
    """

    kind: ClassVar[str] = "undistort"
    copies: ClassVar[float] = 1.3

    lens: Lens | None = Field(default=None, description="for every camera that has none of its own")
    cameras: dict[str, Lens] = Field(default_factory=dict, description="camera or view name -> its own lens")
    direction: Literal["remove", "add"] = "remove"
    filter: Filter = "cubic"
    edge: Edge = "black"
    reach: int = Field(default=0, ge=0, description="pixels that a point moves at most; 0: works on whole frames")

    @property
    def tileable(self) -> bool:  # type: ignore[override]  # here an instance decides, by its reach
        return self.reach > 0

    @property
    def halo(self) -> int:
        return self.reach + 2 if self.reach else 0

    def plane(self, given: Plane, context: Context) -> Plane:
        return given

    def make(self, rows: Rows, wanted: Window, context: Context) -> Image:
        return warp(rows, wanted, self._places(rows.plane, context), self.filter, self.edge)

    def rows_held(self, given: Plane, rows: int, context: Context) -> int:
        return reach_of(given.data, given.data, self._places(given, context), rows)

    def _places(self, given: Plane, context: Context) -> Places:
        lens = self.cameras.get(context.camera, self.cameras.get(context.view, self.lens))
        if lens is None:
            raise self.fail(context, f"no lens for camera {context.camera!r}; add it to cameras, or give lens")
        centre_x, centre_y = lens.cx + given.display.x, lens.cy + given.display.y

        def places(columns: Doubles, rows: Doubles) -> tuple[Doubles, Doubles]:
            x, y = np.broadcast_arrays((columns - centre_x) / lens.fx, (rows - centre_y) / lens.fy)
            u, v = lens.distorted(x, y) if self.direction == "remove" else lens.undistorted(x, y)
            u, v = u * lens.fx + centre_x, v * lens.fy + centre_y
            self._hold_reach(columns, rows, u, v, context)
            return u, v

        return places

    def _hold_reach(self, columns: Doubles, rows: Doubles, u: Doubles, v: Doubles, context: Context) -> None:
        if not self.reach:
            return
        with np.errstate(invalid="ignore"):
            farthest = max(np.fmax.reduce(np.abs(u - columns), None), np.fmax.reduce(np.abs(v - rows), None))
        if farthest > self.reach:
            raise self.fail(context, f"the lens moves a pixel by {farthest:.1f}; raise reach ({self.reach})")
