"""The value that passes between operations: float32 pixels, and where on the plane they lie.

Coordinates are absolute. ``x`` grows to the right and ``y`` downwards, as in EXR's windows; the centre of the pixel at
column ``x`` is the point ``x`` (lens, homography and map formulas use that convention). A tile, a crop and a whole
frame are therefore the same type: an operation that depends on place (a mosaic's phase, a lens, a flat field) reads it
from ``data_window`` and gives the same values for a tile as for the whole.

An image is immutable: its view of the pixels is read-only, so an operation that wrote into its input would fail at once
instead of spoiling the stage that shares the frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Window(NamedTuple):
    """A rectangle of pixels: left column, top row, width, height."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column behind the window."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row below the window."""
        return self.y + self.height

    def grown(self, pixels: int) -> Window:
        return Window(self.x - pixels, self.y - pixels, self.width + 2 * pixels, self.height + 2 * pixels)

    def meeting(self, other: Window) -> Window:
        """The common part; width and height are 0 where there is none."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        return Window(x, y, max(0, min(self.right, other.right) - x), max(0, min(self.bottom, other.bottom) - y))

    def covers(self, other: Window) -> bool:
        return self.meeting(other) == other

    def __str__(self) -> str:
        return f"{self.width}x{self.height}{self.x:+d}{self.y:+d}"


@dataclass(frozen=True, slots=True)
class Image:
    """``pixels`` is float32 (height, width, channels), C-contiguous, of exactly the data window's size.

    ``metadata`` holds what the file's header said (plain JSON values); operations pass it on.
    Raises ValueError where the parts disagree: that is a fault of the code that built it.
    """

    pixels: Floats
    channels: tuple[str, ...]
    data_window: Window
    display_window: Window
    metadata: Mapping[str, Any] = field(default_factory=dict)
    pixel_aspect: float = 1.0

    def __post_init__(self) -> None:
        wanted = (self.data_window.height, self.data_window.width, len(self.channels))
        if self.pixels.dtype != np.float32 or self.pixels.shape != wanted or not self.pixels.flags.c_contiguous:
            layout = "contiguous" if self.pixels.flags.c_contiguous else "strided"
            raise ValueError(f"pixels are {layout} {self.pixels.dtype} {self.pixels.shape}, not float32 {wanted}")
        if len(set(self.channels)) != len(self.channels):
            raise ValueError(f"channel names repeat: {', '.join(self.channels)}")
        seen = self.pixels.view()
        seen.flags.writeable = False
        object.__setattr__(self, "pixels", seen)
        object.__setattr__(self, "data_window", Window(*self.data_window))
        object.__setattr__(self, "display_window", Window(*self.display_window))

    @classmethod
    def of(cls, pixels: npt.NDArray[Any], channels: Iterable[str] = (), *, x: int = 0, y: int = 0) -> Self:
        """An image whose windows are the array's own size; (height, width) counts as one channel."""
        full = pixels[:, :, None] if pixels.ndim == 2 else pixels
        height, width, count = full.shape
        names = tuple(channels) or (("Y",) if count == 1 else tuple("RGBA"[:count]))
        window = Window(x, y, width, height)
        return cls(np.ascontiguousarray(full, np.float32), names, window, window)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.data_window.height, self.data_window.width, len(self.channels))

    @property
    def size_bytes(self) -> int:
        return self.pixels.nbytes

    def with_pixels(self, pixels: Floats, **changes: Any) -> Self:
        """The same picture with other pixels (and whatever else ``changes`` names)."""
        return replace(self, pixels=np.ascontiguousarray(pixels), **changes)

    def part(self, window: Window) -> Self:
        """A copy of the pixels inside ``window``, which must lie inside the data window."""
        if not self.data_window.covers(window) or 0 in window[2:]:
            raise ValueError(f"window {window} is not inside {self.data_window}")
        return self.with_pixels(self.pixels[self.rows_and_columns(window)], data_window=window)

    def strip(self, top: int, bottom: int) -> Self:
        """The rows from `top` up to `bottom`, which must lie inside the data window; shares the pixels."""
        data = self.data_window
        if not data.y <= top < bottom <= data.bottom:
            raise ValueError(f"rows {top} to {bottom} are not inside {data}")
        return self.with_pixels(
            self.pixels[top - data.y : bottom - data.y], data_window=Window(data.x, top, data.width, bottom - top)
        )

    def rows_and_columns(self, window: Window) -> tuple[slice, slice]:
        """The slices of ``pixels`` that ``window`` covers."""
        left, top = window.x - self.data_window.x, window.y - self.data_window.y
        return slice(top, top + window.height), slice(left, left + window.width)

    def place_of(self, names: Iterable[str]) -> list[int]:
        """Where these channels stand; KeyError for one that is not there."""
        try:
            return [self.channels.index(name) for name in names]
        except ValueError:
            missing = ", ".join(name for name in names if name not in self.channels)
            raise KeyError(f"no channel {missing}; there are {', '.join(self.channels)}") from None
