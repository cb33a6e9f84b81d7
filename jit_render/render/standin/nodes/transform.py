"""Moving pictures about. Whole-pixel moves cost nothing, axis-aligned ones are separable filters, others warps."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from jit_render.model.errors import UnsupportedNode
from jit_render.render.standin.call import Call, blended_over, describe
from jit_render.render.standin.image import Box, Format, Image, Plane, bounded, common_box, parse_format
from jit_render.render.standin.resample import FILTERS, Filter, scaled
from jit_render.render.standin.warp import Matrix, moved_box, warped

_FILTER_NAMES = (
    "Impulse", "Cubic", "Keys", "Simon", "Rifman", "Mitchell", "Parzen", "Notch", "Lanczos4", "Lanczos6", "Sinc4",
)  # fmt: skip


def _filter(call: Call) -> Filter:
    return FILTERS[call.choice("filter", _FILTER_NAMES, "Cubic").lower()]


def transform(call: Call) -> Image:
    image = call.source()
    if call.number("motionblur", 0.0) > 0:
        return _motion_blurred(call, image)
    return blended_over(call, image, _transformed(call, image))


def _motion_blurred(call: Call, image: Image) -> Image:
    """The mean of the picture at moments across the shutter."""
    samples = min(64, max(2, math.ceil(8 * call.number("motionblur", 1.0))))
    shutter = call.number("shutter", 0.5)
    kind = call.choice("shutteroffset", ("centred", "start", "end", "custom"), "start")
    offset = {"centred": -shutter / 2, "start": 0.0, "end": -shutter}.get(kind)
    begin = call.number("shuttercustomoffset", 0.0) if offset is None else offset
    moments = [call.frame + begin + shutter * (index + 0.5) / samples for index in range(samples)]
    parts = [_transformed(replace(call, frame=moment), image) for moment in moments]
    box = common_box(parts)
    parts = [part.fitted(box) for part in parts]
    planes: dict[str, Plane] = {}
    for name in image.names:
        total = np.zeros((box.height, box.width), np.float32)
        for part in parts:
            total += part.planes[name]
        total /= np.float32(samples)
        planes[name] = total
    return blended_over(call, image, Image(planes, box, image.format))


def _transformed(call: Call, image: Image) -> Image:
    matrix = transform_matrix(call, image.format)
    if call.boolean("invert_matrix"):
        matrix = _inverse(call, matrix)
    return _moved(call, image, matrix)


def transform_matrix(call: Call, image_format: Format) -> Matrix:
    """The Transform's matrix: about `center` scale, skew, rotate, then translate."""
    dx, dy = call.numbers("translate", (0.0, 0.0))
    sx, sy = call.numbers("scale", (1.0, 1.0))
    skew_x, skew_y = call.number("skewX", call.number("skew", 0.0)), call.number("skewY", 0.0)
    cx, cy = call.numbers("center", (image_format.width / 2, image_format.height / 2))
    turn = math.radians(call.number("rotate", 0.0))
    cos, sin = (math.cos(turn), math.sin(turn)) if turn else (1.0, 0.0)
    rotate = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    skew_across = np.array([[1, skew_x, 0], [0, 1, 0], [0, 0, 1]])
    skew_up = np.array([[1, 0, 0], [skew_y, 1, 0], [0, 0, 1]])
    order = call.choice("skew_order", ("XY", "YX"), "XY")
    skew = skew_across @ skew_up if order == "XY" else skew_up @ skew_across
    product: Matrix = _shift(dx + cx, dy + cy) @ rotate @ skew @ np.diag([sx, sy, 1.0]) @ _shift(-cx, -cy)
    return product


def _shift(dx: float, dy: float) -> Matrix:
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]], np.float64)


def _inverse(call: Call, matrix: Matrix) -> Matrix:
    try:
        return np.asarray(np.linalg.inv(matrix), np.float64)
    except np.linalg.LinAlgError:
        raise call.failed("the transform squashes the picture to a line, so it cannot be inverted.") from None


def _moved(call: Call, image: Image, matrix: Matrix) -> Image:
    """By the cheapest way that is right."""
    if not np.isfinite(matrix).all():
        raise call.failed("its numbers come to no finite place.")
    if abs(np.linalg.det(matrix)) < 1e-9:
        return image.fitted(Box(0, 0, 0, 0))
    box = moved_box(image.box, matrix)
    box = bounded(image.format.box if box is None else box, image.format)
    if box.is_empty or image.box.is_empty:
        return image.fitted(Box(0, 0, 0, 0))
    is_aligned = not matrix[0, 1] and not matrix[1, 0] and not matrix[2, 0] and not matrix[2, 1]
    (sx, sy), (dx, dy) = (matrix[0, 0], matrix[1, 1]), (matrix[0, 2], matrix[1, 2])
    if is_aligned and sx == sy == 1 and float(dx).is_integer() and float(dy).is_integer():
        return image.moved(int(dx), int(dy))
    if is_aligned and sx > 0 and sy > 0:
        return scaled(image, box, (float(sx), float(sy)), (float(dx), float(dy)), _filter(call))
    return warped(image, matrix, box, _filter(call))


def corner_pin(call: Call) -> Image:
    """CornerPin2D: the perspective that takes the `from` corners to the `to` corners."""
    image = call.source()
    width, height = image.format.width, image.format.height
    corners = ((0.0, 0.0), (float(width), 0.0), (float(width), float(height)), (0.0, float(height)))
    begin = [call.numbers(f"from{i + 1}", corner) for i, corner in enumerate(corners)]
    end = [
        call.numbers(f"to{i + 1}", corner) if call.boolean(f"enable{i + 1}", default=True) else begin[i]
        for i, corner in enumerate(corners)
    ]
    if call.boolean("invert"):
        begin, end = end, begin
    return blended_over(call, image, _moved(call, image, _homography(call, begin, end)))


def _homography(call: Call, begin: list[tuple[float, ...]], end: list[tuple[float, ...]]) -> Matrix:
    if begin == end:
        return np.eye(3)
    rows, values = [], []
    for (x, y), (u, v) in zip(begin, end, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    try:
        solved = np.linalg.solve(np.array(rows, np.float64), np.array(values, np.float64))
    except np.linalg.LinAlgError:
        raise call.failed("three of its corners lie on one line; move one.") from None
    matrix: Matrix = np.append(solved, 1.0).reshape(3, 3)
    matrix[np.abs(matrix) < 1e-12] = 0
    return matrix


def crop(call: Call) -> Image:
    """Crop: the data window cut to `box`; `reformat` makes the box the format."""
    image = call.source()
    fmt = image.format
    edges = call.numbers("box", (0.0, 0.0, float(fmt.width), float(fmt.height)))
    box = Box(round(edges[0]), round(edges[1]), round(edges[2]), round(edges[3]))
    if box.is_empty:
        box = Box(box.x, box.y, box.x, box.y)
    if call.boolean("intersect") or not call.boolean("crop", default=True):
        box = box.intersect(image.box)
    cut = image.fitted(box if call.boolean("crop", default=True) else image.box.intersect(box))
    softness = call.number("softness", 0.0)
    if softness > 0:
        cut = _softened(cut, softness)
    if call.boolean("reformat"):
        return replace(cut.moved(-box.x, -box.y), format=Format(max(1, box.width), max(1, box.height), fmt.aspect))
    return blended_over(call, image, cut)


def _softened(image: Image, softness: float) -> Image:
    def ramp(size: int) -> Plane:
        place = np.arange(size) + 0.5
        rise = np.clip(np.minimum(place, size - place) / softness, 0, 1)
        return np.asarray(rise * rise * (3 - 2 * rise), np.float32)

    edge = ramp(image.box.height)[:, None] * ramp(image.box.width)[None, :]
    return image.having({name: plane * edge for name, plane in image.planes.items()})


def mirror(call: Call) -> Image:
    """Mirror2 (`flip`, `flop`) and Mirror (`Vertical`, `Horizontal`): about the format's middle."""
    image = call.source()
    flip = call.boolean("flip") or call.boolean("Vertical")
    flop = call.boolean("flop") or call.boolean("Horizontal")
    return _mirrored(image, flip=flip, flop=flop)


def _mirrored(image: Image, *, flip: bool, flop: bool) -> Image:
    box, fmt = image.box, image.format
    planes = dict(image.planes)
    if flip:
        planes = {name: plane[::-1] for name, plane in planes.items()}
        box = Box(box.x, fmt.height - box.top, box.right, fmt.height - box.y)
    if flop:
        planes = {name: plane[:, ::-1] for name, plane in planes.items()}
        box = Box(fmt.width - box.right, box.y, fmt.width - box.x, box.top)
    return Image(planes, box, fmt)


def reformat(call: Call) -> Image:
    """Reformat: another format, and the picture resized to it."""
    image = call.source()
    target = _target(call, image.format)
    image = _mirrored(image, flip=call.boolean("flip"), flop=call.boolean("flop"))
    if call.boolean("turn"):
        image = _turned(image)
    resize = call.choice("resize", ("none", "width", "height", "fit", "fill", "distort"), "width")
    scale = _scale(resize, image.format, target)
    kind = call.choice("type", ("to format", "to box", "scale"), "to format")
    if resize not in ("none", "distort", "fill") and kind == "to box" and not call.boolean("box_fixed"):
        # A box that is not fixed takes the picture's own proportions.
        fmt = image.format
        target = Format(max(1, round(fmt.width * scale[0])), max(1, round(fmt.height * scale[1])), target.aspect)
    origin = (0.0, 0.0)
    if call.boolean("center", default=True):
        origin = (
            (target.width - image.format.width * scale[0]) / 2,
            (target.height - image.format.height * scale[1]) / 2,
        )
        if scale == (1.0, 1.0):
            origin = (float(math.floor(origin[0])), float(math.floor(origin[1])))
    matrix = np.array([[scale[0], 0, origin[0]], [0, scale[1], origin[1]], [0, 0, 1]], np.float64)
    done = replace(_reformatted(call, image, matrix, target), format=target)
    return done if call.boolean("pbb") else done.fitted(done.box.intersect(target.box))


def check_reformat(call: Call) -> None:
    _target(call, call.engine.format)


def _reformatted(call: Call, image: Image, matrix: Matrix, target: Format) -> Image:
    if image.box.is_empty:
        return image
    roomy = Format(max(target.width, image.format.width), max(target.height, image.format.height))
    return _moved(call, replace(image, format=roomy), matrix)


def _target(call: Call, own: Format) -> Format:
    kind = call.choice("type", ("to format", "to box", "scale"), "to format")
    if kind == "scale":
        across, down = call.numbers("scale", (1.0, 1.0))
        return Format(max(1, round(own.width * across)), max(1, round(own.height * down)), own.aspect)
    if kind == "to box":
        width, height = call.number("box_width", 200.0), call.number("box_height", 200.0)
        return Format(max(1, round(width)), max(1, round(height)), call.number("box_pixel_aspect", 1.0) or 1.0)
    text = call.string("format")
    if not text.strip() or text.strip() in ("input", "root.format", "[value root.format]"):
        return call.engine.format
    target = parse_format(text)
    if target is None:
        raise UnsupportedNode(f"{describe(call.node)}: the format {text!r} is not known; write it as numbers.")
    return target


def _scale(resize: str, own: Format, target: Format) -> tuple[float, float]:
    if resize == "none":
        return 1.0, 1.0
    across, down = target.width / own.width, target.height / own.height
    # Pixel aspect: the picture keeps its proportions on the screen.
    squeeze = target.aspect / own.aspect
    if resize == "distort":
        return across, down
    if resize == "width" or (resize == "fit" and across * squeeze <= down):
        return across, across * squeeze
    if resize in ("height", "fit"):
        return down / squeeze, down
    return (across, across * squeeze) if across * squeeze >= down else (down / squeeze, down)


def _turned(image: Image) -> Image:
    """A quarter turn to the left about the format's corner, the format turned with it."""
    box, fmt = image.box, image.format
    planes = {name: np.rot90(plane) for name, plane in image.planes.items()}
    turned = Box(fmt.height - box.top, box.x, fmt.height - box.y, box.right)
    return Image(planes, turned, Format(fmt.height, fmt.width, 1 / fmt.aspect))


def position(call: Call) -> Image:
    """Position: a move by whole pixels."""
    image = call.source()
    dx, dy = call.numbers("translate", (0.0, 0.0))
    return image.moved(round(dx), round(dy))
