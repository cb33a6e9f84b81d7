"""demosaic: a mosaic of colour filters becomes R, G, B."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from preprocess.image import Floats, Image
from preprocess.operations.bands import padded_rows, row_bands
from preprocess.operations.mosaic import PATTERN, PATTERNS, Pattern, colour_at, corner_phase
from preprocess.operations.port import Context, Operation

_HALO = 2
_CROSS = ((-1, 0), (0, -1), (0, 1), (1, 0))
_CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
_ROW, _COLUMN = ((0, -1), (0, 1)), ((-1, 0), (1, 0))
_FAR_ROW, _FAR_COLUMN = ((0, -2), (0, 2)), ((-2, 0), (2, 0))

Taps = tuple[tuple[float, tuple[tuple[int, int], ...]], ...]
_HERE: tuple[tuple[int, int], ...] = ((0, 0),)

# Per method and neighbourhood: weight, and the neighbours (row, column) that share it.
# Names say where the wanted colour's nearest samples are.
_KERNELS: dict[str, dict[str, Taps]] = {
    "bilinear": {
        "cross": ((1 / 4, _CROSS),),
        "corners": ((1 / 4, _CORNERS),),
        "row": ((1 / 2, _ROW),),
        "column": ((1 / 2, _COLUMN),),
    },
    "malvar": {  # eighths, from figure 2 of the paper
        "cross": ((4 / 8, _HERE), (2 / 8, _CROSS), (-1 / 8, _FAR_ROW + _FAR_COLUMN)),
        "corners": ((6 / 8, _HERE), (2 / 8, _CORNERS), (-1.5 / 8, _FAR_ROW + _FAR_COLUMN)),
        "row": ((5 / 8, _HERE), (4 / 8, _ROW), (-1 / 8, _FAR_ROW + _CORNERS), (0.5 / 8, _FAR_COLUMN)),
        "column": ((5 / 8, _HERE), (4 / 8, _COLUMN), (-1 / 8, _FAR_COLUMN + _CORNERS), (0.5 / 8, _FAR_ROW)),
    },
}


class Demosaic(Operation):
    """(height, width, 1), a mosaic in linear light, to (height, width, 3): R, G, B in the same unit.

    ``malvar``: H. S. Malvar, L. He, R. Cutler, High-quality linear interpolation for demosaicing of Bayer-patterned
    color images, ICASSP 2004. ``bilinear``: the mean of the nearest samples. The picture is mirrored at its border
    (which keeps the pattern's phase); a picture one pixel high or wide repeats it, for want of other colours. Nothing
    is clipped: malvar overshoots at hard edges. A NaN or Inf reaches two pixels far (one with bilinear).
    """

    kind: ClassVar[str] = "demosaic"
    tileable: ClassVar[bool] = True
    copies: ClassVar[float] = 1.3

    pattern: Pattern | Literal["file"] = Field(default="RGGB", description="file: as camera raw says")
    method: Literal["malvar", "bilinear"] = "malvar"

    @property
    def halo(self) -> int:
        return _HALO

    def output_channels(self, channels: tuple[str, ...]) -> tuple[str, ...]:
        return ("R", "G", "B")

    def apply(self, image: Image, context: Context) -> Image:
        height, width, count = image.shape
        if count != 1:
            raise self.fail(context, f"a mosaic has one channel, not {count} ({', '.join(image.channels)})")
        pattern = self._pattern(image, context)
        result = np.empty((height, width, 3), np.float32)
        down, right = corner_phase(image)
        for top, bottom in row_bands(height, 12 * width):
            padded = padded_rows(image.pixels[:, :, 0], top, bottom, _HALO, "mirror")
            self._fill(padded, result[top:bottom], pattern, (down + top, right))
        return image.with_pixels(result, channels=("R", "G", "B"))

    def _pattern(self, image: Image, context: Context) -> Pattern:
        if self.pattern != "file":
            return self.pattern
        for known in PATTERNS:
            if image.metadata.get(PATTERN) == known:
                return known
        raise self.fail(
            context, f'the source does not say its pattern; write it instead of "file": {", ".join(PATTERNS)}'
        )

    def _fill(self, padded: Floats, target: Floats, pattern: Pattern, phase: tuple[int, int]) -> None:
        kernels = _KERNELS[self.method]
        for row in range(min(2, target.shape[0])):
            for column in range(min(2, target.shape[1])):
                here = colour_at(pattern, phase, row, column)
                beside = colour_at(pattern, phase, row, column + 1)
                for place, wanted in enumerate("RGB"):
                    out = target[row::2, column::2, place]
                    taps: Taps = ((1.0, _HERE),) if wanted == here else kernels[_neighbourhood(wanted, here, beside)]
                    _weigh(padded, taps, row, column, out)


def _neighbourhood(wanted: str, here: str, beside: str) -> str:
    if wanted == "G":
        return "cross"
    if here != "G":
        return "corners"
    return "row" if beside == wanted else "column"


def _weigh(padded: Floats, taps: Taps, row: int, column: int, out: Floats) -> None:
    """Set `out` to the weighted sum of shifted samples, every second row and column from (row, column) on."""
    bottom, right = padded.shape[0] - 2 * _HALO, padded.shape[1] - 2 * _HALO

    def shifted(dy: int, dx: int) -> Floats:
        return padded[_HALO + row + dy : _HALO + bottom + dy : 2, _HALO + column + dx : _HALO + right + dx : 2]

    out[...] = 0
    for weight, neighbours in taps:
        total = shifted(*neighbours[0])
        for step in neighbours[1:]:
            total = total + shifted(*step)
        out += total * np.float32(weight)
