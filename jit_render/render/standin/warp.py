"""Free warps: each output pixel looks up where it comes from. For rotations and perspective.

Axis-aligned moves go through `resample`, which is faster and filters when it shrinks.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from jit_render.render.standin.image import Box, Image, Plane
from jit_render.render.standin.resample import Filter

Matrix = npt.NDArray[np.float64]
"""3 x 3, on column vectors (x, y, 1)."""

_ROWS = 32  # a strip's index arrays stay in the processor's cache


def warped(image: Image, matrix: Matrix, box: Box, kind: Filter) -> Image:
    """`image` with its points moved by `matrix`, over `box`. Raises ValueError for a matrix without an inverse."""
    try:
        inverse: Matrix = np.asarray(np.linalg.inv(matrix), np.float64)
    except np.linalg.LinAlgError:
        raise ValueError("the transform squashes the picture to a line; its matrix has no inverse.") from None
    reach = max(1, int(np.ceil(kind.support)))
    sources = {name: np.pad(plane, 2 * reach) for name, plane in image.planes.items()}
    planes = {name: np.empty((box.height, box.width), np.float32) for name in sources}
    for begin in range(0, box.height, _ROWS):
        rows = min(_ROWS, box.height - begin)
        x, y = _origins(inverse, Box(box.x, box.top - begin - rows, box.right, box.top - begin))
        # From Nuke's coordinates to indices into the padded planes, measured at pixel centres.
        taps = _taps(x - image.box.x + 2 * reach - 0.5, image.box.top - y + 2 * reach - 0.5, image.box, reach, kind)
        for name, source in sources.items():
            _gather(source, taps, planes[name][begin : begin + rows])
    return Image(planes, box, image.format)


def moved_box(box: Box, matrix: Matrix) -> Box | None:
    """The whole-pixel box around `box` moved by `matrix`; None where a corner lies behind the viewer."""
    if box.is_empty:
        return box
    corners = np.array([[box.x, box.right, box.x, box.right], [box.y, box.y, box.top, box.top], [1, 1, 1, 1]])
    moved = matrix @ corners
    if np.any(moved[2] <= 1e-9):
        return None
    x, y = moved[0] / moved[2], moved[1] / moved[2]
    edge = 1e-6  # a hair of rounding must not cost a row of pixels
    return Box(*(int(np.floor(v.min() + edge)) for v in (x, y)), *(int(np.ceil(v.max() - edge)) for v in (x, y)))


def _origins(inverse: Matrix, strip: Box) -> tuple[Matrix, Matrix]:
    across = np.arange(strip.x, strip.right) + 0.5
    down = strip.top - np.arange(strip.height)[:, None] - 0.5
    x = inverse[0, 0] * across + inverse[0, 1] * down + inverse[0, 2]
    y = inverse[1, 0] * across + inverse[1, 1] * down + inverse[1, 2]
    if inverse[2, 0] or inverse[2, 1] or inverse[2, 2] != 1:
        depth = inverse[2, 0] * across + inverse[2, 1] * down + inverse[2, 2]
        # Behind the viewer there is nothing: far outside the picture is zero.
        depth = np.where(depth > 1e-9, depth, np.nan)
        x, y = x / depth, y / depth
    return x, y


_Taps = tuple[npt.NDArray[np.intp], int, list[Plane], list[Plane]]


def _taps(x: Matrix, y: Matrix, box: Box, reach: int, kind: Filter) -> _Taps:
    width, height = box.width + 4 * reach, box.height + 4 * reach
    x = np.nan_to_num(np.clip(x, 0.0, width), nan=0.0)
    y = np.nan_to_num(np.clip(y, 0.0, height), nan=0.0)
    column = np.floor(x if kind.support > 0.5 else x + 0.5)
    row = np.floor(y if kind.support > 0.5 else y + 0.5)
    across = _weights(x - column, reach, kind)
    down = _weights(y - row, reach, kind)
    first = 1 - reach
    left = np.clip(column + first, 0, width - 2 * reach).astype(np.intp)
    top = np.clip(row + first, 0, height - 2 * reach).astype(np.intp)
    return top * width + left, width, across, down


def _weights(fraction: Matrix, reach: int, kind: Filter) -> list[Plane]:
    if kind.support <= 0.5:
        return [np.ones_like(fraction, np.float32)]
    weights = [kind.value(fraction - tap) for tap in range(1 - reach, reach + 1)]
    total = sum(weights[1:], start=weights[0])
    return [(weight / total).astype(np.float32) for weight in weights]


def _gather(source: Plane, taps: _Taps, out: Plane) -> None:
    base, width, across, down = taps
    pixels = source.reshape(-1)
    out[:] = 0
    for j, vertical in enumerate(down):
        line: Plane | None = None
        for i, horizontal in enumerate(across):
            part = pixels.take(base + (j * width + i), mode="clip")
            part *= horizontal
            line = part if line is None else np.add(line, part, out=line)
        assert line is not None
        line *= vertical
        out += line
