"""Separable filtering as banded matrix products.

Blurs, resizes and axis-aligned transforms are the same thing: each output row (or column) is a weighted sum of a few
neighbouring input rows. A block of outputs needs a block of inputs, so the sum is a small dense matrix product, which
BLAS does at nearly the machine's peak, whatever the filter's width. Weights that fall outside the input meet zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jit_render.render.standin.image import Box, Image, Plane

_BLOCK = 128  # outputs per product: wide filters want larger, narrow ones smaller; 64 to 256 measure alike


@dataclass(frozen=True, slots=True)
class Taps:
    """For each output its first input index and its weights [outputs, taps]."""

    first: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Filter:
    """A reconstruction filter: its value at a distance in pixels, zero from `support` on."""

    support: float
    value: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]


def _cubic(b: float, c: float) -> Filter:
    """The two-parameter family of Mitchell and Netravali, 'Reconstruction Filters in Computer Graphics', 1988."""

    def value(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        x = np.abs(distance)
        near = (12 - 9 * b - 6 * c) * x**3 + (-18 + 12 * b + 6 * c) * x**2 + (6 - 2 * b)
        far = (-b - 6 * c) * x**3 + (6 * b + 30 * c) * x**2 + (-12 * b - 48 * c) * x + (8 * b + 24 * c)
        return np.asarray(np.where(x < 1, near, np.where(x < 2, far, 0.0)) / 6, np.float64)

    return Filter(2.0, value)


def _lanczos(lobes: int) -> Filter:
    def value(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        inside = np.abs(distance) < lobes
        return np.asarray(np.where(inside, np.sinc(distance) * np.sinc(distance / lobes), 0.0), np.float64)

    return Filter(float(lobes), value)


def _smooth(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    x = np.abs(distance)
    return np.asarray(np.where(x < 1, (2 * x - 3) * x * x + 1, 0.0), np.float64)


def _triangle(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.maximum(0.0, 1 - np.abs(distance)), np.float64)


def _box(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where((distance >= -0.5) & (distance < 0.5), 1.0, 0.0)


FILTERS = {
    "impulse": Filter(0.5, _box),
    "bilinear": Filter(1.0, _triangle),
    "cubic": Filter(1.0, _smooth),
    "keys": _cubic(0.0, 0.5),
    "simon": _cubic(0.0, 0.75),
    "rifman": _cubic(0.0, 1.0),
    "mitchell": _cubic(1 / 3, 1 / 3),
    "parzen": _cubic(1.0, 0.0),
    "notch": _cubic(1.5, -0.25),
    "lanczos4": _lanczos(2),
    "lanczos6": _lanczos(3),
    "sinc4": _lanczos(2),
}


def resize_taps(start: float, step: float, count: int, kind: Filter) -> Taps:
    """Taps for `count` outputs whose centres lie at `start + step * i` in input pixels; shrinking widens the filter."""
    stretch = max(1.0, abs(step)) if kind.support > 0.5 else 1.0
    centres = start + step * np.arange(count, dtype=np.float64)
    reach = kind.support * stretch
    first = np.ceil(centres - reach - 0.5).astype(np.int64)
    taps = max(1, math.ceil(2 * reach))
    places = first[:, None] + np.arange(taps) + 0.5
    weights = kind.value((places - centres[:, None]) / stretch)
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=np.abs(total) > 1e-12)
    return Taps(first, weights.astype(np.float32))


def kernel_taps(kernel: npt.NDArray[np.float64], grow: int, count: int) -> Taps:
    """Taps of a symmetric kernel for `count` inputs, the output grown by `grow` at both ends."""
    half = len(kernel) // 2
    first = np.arange(count + 2 * grow, dtype=np.int64) - grow - half
    return Taps(first, np.broadcast_to((kernel / kernel.sum()).astype(np.float32), (len(first), len(kernel))))


def filter_rows(plane: Plane, taps: Taps) -> Plane:
    """Each output row is a weighted sum of input rows."""
    height, width = plane.shape
    out = np.zeros((len(taps.first), width), np.float32)
    for begin in range(0, len(taps.first), _BLOCK):
        block = _matrix(taps, begin, height)
        if block is not None:
            matrix, low, high = block
            np.matmul(matrix, plane[low:high], out=out[begin : begin + len(matrix)])
    return out


def filter_columns(plane: Plane, taps: Taps) -> Plane:
    """Each output column is a weighted sum of input columns."""
    height, width = plane.shape
    out = np.zeros((height, len(taps.first)), np.float32)
    for begin in range(0, len(taps.first), _BLOCK):
        block = _matrix(taps, begin, width)
        if block is not None:
            matrix, low, high = block
            out[:, begin : begin + len(matrix)] = plane[:, low:high] @ matrix.T
    return out


def _matrix(taps: Taps, begin: int, size: int) -> tuple[Plane, int, int] | None:
    first = taps.first[begin : begin + _BLOCK]
    weights = taps.weights[begin : begin + _BLOCK]
    low, high = max(0, int(first.min())), min(size, int(first.max()) + weights.shape[1])
    if low >= high:
        return None
    matrix = np.zeros((len(first), high - low), np.float32)
    places = first[:, None] + np.arange(weights.shape[1]) - low
    inside = (places >= 0) & (places < high - low)
    rows = np.broadcast_to(np.arange(len(first))[:, None], places.shape)
    matrix[rows[inside], places[inside]] = weights[inside]
    return matrix, low, high


def scaled(image: Image, box: Box, scale: tuple[float, float], origin: tuple[float, float], kind: Filter) -> Image:
    """`image` scaled about (0, 0), moved by `origin`, over `box`; its format stays for the caller to set."""
    columns = resize_taps((box.x + 0.5 - origin[0]) / scale[0] - image.box.x, 1 / scale[0], box.width, kind)
    # Rows run down while y runs up: the centre of output row i is y = top - i - 0.5.
    rows = resize_taps(image.box.top - (box.top - 0.5 - origin[1]) / scale[1], 1 / scale[1], box.height, kind)
    planes = {name: filter_rows(filter_columns(plane, columns), rows) for name, plane in image.planes.items()}
    return Image(planes, box, image.format)


def blur_kernel(kind: str, size: float) -> npt.NDArray[np.float64]:
    """A normalised odd kernel; `size` is the full width at half maximum in pixels, 0 leaves the picture alone."""
    if size <= 0:
        return np.ones(1)
    if kind == "gaussian":
        sigma = size / 2.3548
        reach = max(1, math.ceil(3 * sigma))
        x = np.arange(-reach, reach + 1, dtype=np.float64)
        kernel = np.exp(-0.5 * (x / sigma) ** 2)
    else:
        # A box of width `size`, convolved with itself once (triangle) or twice (quadratic).
        kernel = base = _box_kernel(size)
        for _ in range({"box": 0, "triangle": 1, "quadratic": 2}.get(kind, 2)):
            kernel = np.convolve(kernel, base)
    return np.asarray(kernel / kernel.sum(), dtype=np.float64)


def _box_kernel(size: float) -> npt.NDArray[np.float64]:
    half = max(0.0, (size - 1) / 2)
    whole = math.ceil(half)
    kernel = np.ones(2 * whole + 1)
    if whole > half:
        kernel[0] = kernel[-1] = half - (whole - 1)
    return kernel


def blurred(image: Image, kind: str, width: float, height: float) -> Image:
    """Blurred, its data window grown by the kernel's reach."""
    across, down = blur_kernel(kind, width), blur_kernel(kind, height)
    dx, dy = len(across) // 2, len(down) // 2
    planes = {}
    for name, plane in image.planes.items():
        wide = filter_columns(plane, kernel_taps(across, dx, image.box.width)) if dx else plane
        planes[name] = filter_rows(wide, kernel_taps(down, dy, image.box.height)) if dy else wide
    return Image(planes, image.box.grown(dx, dy), image.format)
