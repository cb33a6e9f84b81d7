"""Operations on a pixel's neighbourhood."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from jit_render.model.errors import UnsupportedNode
from jit_render.render.standin.call import Call, blended, blended_over, describe
from jit_render.render.standin.image import Image, Plane
from jit_render.render.standin.resample import blurred

_MOST_REACH = 10
_MEDIAN_VALUES = 1 << 23  # sorted at once: 32 MB
_KINDS = ("box", "triangle", "quadratic", "gaussian")


def _filtered(call: Call, image: Image, work: Callable[[Image], Image]) -> Image:
    """The knob's channels through `work`, the rest beside them; the window grows, but not over the format's edge."""
    names = call.channels(image, "all")
    if not names or image.box.is_empty:
        return image
    done = work(image.only(names))
    if call.boolean("crop", default=True):
        done = done.fitted(done.box.intersect(image.format.box.union(image.box)))
    rest = image.fitted(done.box)
    return blended_over(call, image, rest.having(done.planes))


def blur(call: Call) -> Image:
    image = call.source()
    width, height = call.numbers("size", (0.0, 0.0))
    if width <= 0 and height <= 0:
        return image
    kind = call.choice("filter", _KINDS, "gaussian")
    return _filtered(call, image, lambda part: blurred(part, kind, width, height))


def sharpen(call: Call) -> Image:
    """Sharpen: what a blur takes away, added on top."""
    image = call.source()
    amount = np.float32(call.number("amount", 1.0))
    width, height = call.numbers("size", (3.0, 3.0))
    names = call.channels(image, "all")
    if amount == 0 or not names or image.box.is_empty:
        return image
    soft = blurred(image.only(names), "gaussian", width, height).fitted(image.box)
    changed = {name: plane + (plane - soft.planes[name]) * amount for name, plane in image.only(names).planes.items()}
    return blended(call, image, changed)


def defocus(call: Call) -> Image:
    """Defocus: a disc of radius `defocus`, `ratio` wide to high, by fast Fourier transform."""
    image = call.source()
    radius = call.number("defocus", 0.0) * call.number("scaling", 1.0)
    ratio = call.number("ratio", 1.0) or 1.0
    if radius < 0.5:
        return image
    disc = _disc(radius * ratio, radius)
    return _filtered(call, image, lambda part: _convolved(part, disc))


def _disc(across: float, down: float) -> Plane:
    dx, dy = math.ceil(across), math.ceil(down)
    x, y = np.arange(-dx, dx + 1)[None, :] / across, np.arange(-dy, dy + 1)[:, None] / down
    # A pixel's share of the rim fades over its own width.
    disc = np.clip((1 - np.hypot(x, y)) * min(across, down) + 0.5, 0, 1)
    return np.asarray(disc / disc.sum(), np.float32)


def _convolved(image: Image, kernel: Plane) -> Image:
    dy, dx = kernel.shape[0] // 2, kernel.shape[1] // 2
    box = image.box.grown(dx, dy)
    shape = (_fast(box.height), _fast(box.width))
    transformed = np.fft.rfft2(kernel, shape)
    planes: dict[str, Plane] = {}
    for name, plane in image.planes.items():
        whole = np.fft.irfft2(np.fft.rfft2(plane, shape) * transformed, shape)
        planes[name] = np.ascontiguousarray(whole[: box.height, : box.width], np.float32)
    return Image(planes, box, image.format)


def _fast(size: int) -> int:
    """The next length of small prime factors, which Fourier transforms like."""
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 1


def erode_blur(call: Call) -> Image:
    """Erode (blur): shrink by `size` pixels (grow for a negative one), then soften the edge by `blur`."""
    image = call.source()
    size, soft = call.number("size", 0.0), call.number("blur", 0.0)
    names = call.channels(image, "alpha")
    if not names or (size == 0 and soft <= 0):
        return image
    shrunk = _extreme(image.only(names), round(abs(size)), round(abs(size)), grow=size < 0)
    if soft > 0:
        shrunk = blurred(shrunk, "gaussian", soft, soft).fitted(image.box)
    return blended(call, image, shrunk.fitted(image.box).planes)


def dilate(call: Call) -> Image:
    """Dilate, FilterErode: a positive `size` grows in Dilate and shrinks in FilterErode."""
    image = call.source()
    width, height = call.numbers("size", (0.0, 0.0))
    if call.node.cls == "FilterErode":
        width, height = -width, -height
    names = call.channels(image, "alpha" if call.node.cls == "FilterErode" else "rgba")
    if not names or (width == 0 and height == 0):
        return image
    done = _extreme(image.only(names), round(abs(width)), round(abs(height)), grow=width > 0 or height > 0)
    rest = image.fitted(done.box)
    return blended_over(call, image, rest.having(done.planes))


def _extreme(image: Image, across: int, down: int, *, grow: bool) -> Image:
    """The greatest (or least) value in a rectangle of ±`across`, ±`down`; what lies outside the window is zero."""
    box = image.box.grown(across, down) if grow else image.box
    pick = np.maximum if grow else np.minimum
    padded = image.fitted(box.grown(across, down))
    planes = {
        name: _running(_running(plane, 2 * across + 1, 1, pick), 2 * down + 1, 0, pick)
        for name, plane in padded.planes.items()
    }
    return replace(image, planes=planes, box=box)


def _running(plane: Plane, window: int, axis: int, pick: Callable[[Plane, Plane], Plane]) -> Plane:
    """The extreme of every `window` neighbours along `axis`, by doubling: log2(window) passes."""
    covered = 1
    while covered < window:
        step = min(covered, window - covered)
        length = plane.shape[axis] - step
        if length <= 0:
            return plane
        front, back = [slice(None)] * 2, [slice(None)] * 2
        front[axis], back[axis] = slice(0, length), slice(step, step + length)
        plane = pick(plane[tuple(front)], plane[tuple(back)])
        covered += step
    return plane


def check_median(call: Call) -> tuple[int, int]:
    """How far it reaches across and up. Raises UnsupportedNode for a size that would take minutes a frame."""
    across, up = (max(0, round(value)) for value in call.numbers("size", (3.0, 3.0)))
    if max(across, up) > _MOST_REACH:
        raise UnsupportedNode(f"{describe(call.node)}: the stand-in does no size over {_MOST_REACH}.")
    return across, up


def median(call: Call) -> Image:
    """Median over a rectangle of ±`size` pixels; the picture's rim goes on beyond its edge."""
    image = call.source()
    across, up = check_median(call)
    names = call.channels(image, "all")
    if not names or image.box.is_empty or not (across or up):
        return image
    changed = {name: _median(image.planes[name], across, up) for name in names}
    return blended(call, image, changed)


def _median(plane: Plane, across: int, up: int) -> Plane:
    window = (2 * up + 1, 2 * across + 1)
    views = np.lib.stride_tricks.sliding_window_view(np.pad(plane, ((up, up), (across, across)), "edge"), window)
    out: Plane = np.empty(plane.shape, np.float32)
    rows = max(1, _MEDIAN_VALUES // (plane.shape[1] * window[0] * window[1]))
    for begin in range(0, plane.shape[0], rows):
        out[begin : begin + rows] = np.median(views[begin : begin + rows], axis=(2, 3))
    return out
