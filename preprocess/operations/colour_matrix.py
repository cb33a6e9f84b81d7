"""colour_matrix: a 3x3 matrix on R, G and B, one for all or one for each camera."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from preprocess.image import Image
from preprocess.operations.bands import row_bands
from preprocess.operations.colours import rgb_places
from preprocess.operations.port import Context, Operation

Matrix3 = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
IDENTITY: Matrix3 = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def matrix_for(context: Context, matrix: Matrix3, table: dict[str, Matrix3]) -> Matrix3:
    """The camera's own, then the view's own, then the one for all."""
    return table.get(context.camera, table.get(context.view, matrix))


class ColourMatrix(Operation):
    """(height, width, channels with R, G, B) to the same shape; other channels are passed on untouched.

    ``out = M · in`` per pixel, rows of M giving R, G and B. A NaN or Inf in one channel reaches those results whose
    coefficient for it is not zero: a coefficient of exactly zero takes no part.
    """

    kind: ClassVar[str] = "colour_matrix"
    tileable: ClassVar[bool] = True
    copies: ClassVar[float] = 1.2

    matrix: Matrix3 = Field(default=IDENTITY, description="rows R, G, B; linear light, no unit")
    cameras: dict[str, Matrix3] = Field(default_factory=dict, description="camera or view name -> its own matrix")

    def apply(self, image: Image, context: Context) -> Image:
        places = rgb_places(self, image, context)
        result = image.pixels.copy()
        matrix = matrix_for(context, self.matrix, self.cameras)
        for top, bottom in row_bands(image.shape[0], 8 * image.shape[1]):
            for row, target in zip(matrix, places, strict=True):
                total = np.zeros((bottom - top, image.shape[1]), np.float32)
                for factor, source in zip(row, places, strict=True):
                    if factor != 0.0:
                        total += image.pixels[top:bottom, :, source] * np.float32(factor)
                result[top:bottom, :, target] = total
        return image.with_pixels(result)
