"""linearise: a camera's or a file's encoding becomes linear light, by formula or table."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from preprocess.image import Floats, Image
from preprocess.operations.bands import row_bands
from preprocess.operations.colours import colour_places
from preprocess.operations.curves import CURVES
from preprocess.operations.port import Context, FileAsset, Operation

Curve = Literal["gamma", "srgb", "rec709", "logc3", "slog3", "table"]


class Linearise(Operation):
    """(height, width, channels), code values 0..1, to the same shape in linear light; alpha and depth stay as they are.

    The curves and their sources stand in ``curves.py``. ``inverse`` encodes instead. ``table`` is a one-dimensional
    table of linear values over code values from 0 to 1, given here or as a .spi1d file (its domain is then the file's),
    interpolated linearly and clamped at its ends. Nothing else is clamped. NaN stays NaN; Inf stays Inf but in a table.
    """

    kind: ClassVar[str] = "linearise"
    tileable: ClassVar[bool] = True
    copies: ClassVar[float] = 1.2

    curve: Curve
    gamma: float = Field(default=2.4, gt=0, description="exponent of curve gamma")
    table: tuple[float, ...] = Field(default=(), description="linear values over code values 0..1, of curve table")
    file: FileAsset = ""
    inverse: bool = Field(default=False, description="from linear light to the encoding")

    @model_validator(mode="after")
    def _has_what_the_curve_needs(self) -> Self:
        if self.curve == "table" and bool(self.table) == bool(self.file):
            raise ValueError("curve table wants either table (a list of numbers) or file (a .spi1d)")
        if self.curve != "table" and (self.table or self.file):
            raise ValueError(f'curve {self.curve} takes no table; write curve = "table"')
        if self.table and len(self.table) < 2:
            raise ValueError("table wants two numbers or more")
        if self.inverse and self.curve == "table":
            raise ValueError("a table has no inverse; give the inverse table")
        return self

    def apply(self, image: Image, context: Context) -> Image:
        domain, table = self._table(context)
        result = image.pixels.copy()
        places = colour_places(image)
        for top, bottom in row_bands(image.shape[0], 8 * image.shape[1] * image.shape[2], most=1024**2):
            part = np.ascontiguousarray(image.pixels[top:bottom][:, :, places])
            if self.curve == "table":
                result[top:bottom, :, places] = _look_up(part, domain, table)
            else:
                with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
                    result[top:bottom, :, places] = CURVES[self.curve](part, self.gamma, self.inverse)
        return image.with_pixels(result)

    def _table(self, context: Context) -> tuple[tuple[float, float], Floats]:
        if not self.file:
            return (0.0, 1.0), np.asarray(self.table, np.float32)
        path = context.path("file")
        try:
            return read_spi1d(path)
        except (OSError, ValueError, IndexError) as error:
            raise self.fail(context, f"{path.name} is no .spi1d of one column: {error}") from error


def _look_up(values: Floats, domain: tuple[float, float], table: Floats) -> Floats:
    found = np.interp(values.ravel(), np.linspace(*domain, len(table)), table.astype(np.float64))
    return found.reshape(values.shape).astype(np.float32)


def read_spi1d(path: Path) -> tuple[tuple[float, float], Floats]:
    """Domain and values of a .spi1d file. Raises ValueError, IndexError, OSError."""
    head, _, body = path.read_text("ascii").partition("{")
    words = head.split()
    at = words.index("From")
    if int(words[words.index("Components") + 1]) != 1:
        raise ValueError("it has several components")
    values = np.array(body.partition("}")[0].split(), np.float32)
    if len(values) != int(words[words.index("Length") + 1]) or len(values) < 2:
        raise ValueError(f"it holds {len(values)} values, its head says otherwise")
    return (float(words[at + 1]), float(words[at + 2])), values
