"""Pictures from nothing, and several on one sheet."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from jit_render.model.errors import UnsupportedNode
from jit_render.render.standin import layers
from jit_render.render.standin.call import Call, describe
from jit_render.render.standin.image import ALPHA, RGBA, Box, Format, Image, Plane, parse_format
from jit_render.render.standin.resample import FILTERS, scaled


def format_of(call: Call) -> Format:
    """The node's own `format`, else its input's, else the script's."""
    text = call.string("format").strip() if "format" in call.node.knobs else ""
    if text and text not in ("input", "root.format"):
        own = parse_format(text)
        if own is None:
            raise UnsupportedNode(f"{describe(call.node)}: the format {text!r} is not known; write it as numbers.")
        return own
    source = call.input()
    return call.engine.format if source is None else source.format


def constant(call: Call) -> Image:
    colour = call.numbers("color", (0.0, 0.0, 0.0, 0.0))
    names = layers.select(call.string("channels", "rgb"), RGBA)
    return Image.constant({name: colour[layers.place(name)] for name in names}, format_of(call))


def checker_board(call: Call) -> Image:
    """CheckerBoard2: four colours by turns, with lines between the boxes and through the middle."""
    fmt = format_of(call)
    width, height = (max(1, round(size)) for size in call.numbers("boxsize", (64.0, 64.0)))
    across = np.arange(fmt.width) - fmt.width // 2
    up = (fmt.height - 1 - np.arange(fmt.height)) - fmt.height // 2
    odd_x, odd_y = (across // width) % 2 == 1, (up // height) % 2 == 1
    defaults = ((0.1, 0.1, 0.1, 1.0), (0.5, 0.5, 0.5, 1.0), (0.1, 0.1, 0.1, 1.0), (0.5, 0.5, 0.5, 1.0))
    colours = [call.numbers(f"color{index}", default) for index, default in enumerate(defaults)]
    line, middle = call.number("linewidth", 0.0), call.number("centerlinewidth", 3.0)
    line_colour = call.numbers("linecolor", (1.0, 1.0, 1.0, 1.0))
    middle_colour = call.numbers("centerlinecolor", (1.0, 1.0, 0.0, 1.0))
    on_line = _lines(across % width, width, line)[None, :] | _lines(up % height, height, line)[:, None]
    on_middle = (np.abs(across + 0.5) < middle / 2)[None, :] | (np.abs(up + 0.5) < middle / 2)[:, None]
    planes: dict[str, Plane] = {}
    for index, name in enumerate(RGBA):
        top = np.where(odd_x, colours[1][index], colours[0][index])
        bottom = np.where(odd_x, colours[2][index], colours[3][index])
        plane = np.where(odd_y[:, None], bottom[None, :], top[None, :])
        plane = np.where(on_line, line_colour[index], plane)
        planes[name] = np.asarray(np.where(on_middle, middle_colour[index], plane), np.float32)
    return Image(planes, fmt.box, fmt)


def _lines(place: np.ndarray, size: int, width: float) -> np.ndarray:
    return np.minimum(place + 0.5, size - place - 0.5) < width / 2


def ramp(call: Call) -> Image:
    """Ramp: `color` added, fading in from `p0` to `p1`."""
    fmt = format_of(call)
    image = call.input() or Image.black(fmt, RGBA)
    image = image.fitted(image.box.union(fmt.box))
    begin, end = np.array(call.numbers("p0", (100.0, 100.0))), np.array(call.numbers("p1", (100.0, 400.0)))
    way = end - begin
    length = float(way @ way) or 1.0
    x = np.arange(image.box.x, image.box.right) + 0.5 - begin[0]
    y = image.box.top - np.arange(image.box.height) - 0.5 - begin[1]
    place = np.clip((x[None, :] * way[0] + y[:, None] * way[1]) / length, 0, 1)
    if call.choice("type", ("linear", "smooth"), "linear") == "smooth":
        place = place * place * (3 - 2 * place)
    return _painted(call, image, np.asarray(place, np.float32))


def radial(call: Call) -> Image:
    """Radial: an ellipse in the box `area`, with a soft rim."""
    image = _ground(call)
    x0, y0, x1, y1 = call.numbers("area", (100.0, 100.0, 400.0, 300.0))
    softness = min(1.0, max(1e-3, call.number("softness", 1.0)))
    x = (np.arange(image.box.x, image.box.right) + 0.5 - (x0 + x1) / 2) / (((x1 - x0) / 2) or 1)
    y = (image.box.top - np.arange(image.box.height) - 0.5 - (y0 + y1) / 2) / (((y1 - y0) / 2) or 1)
    place = np.clip((1 - np.hypot(x[None, :], y[:, None])) / softness, 0, 1)
    return _painted(call, image, np.asarray(place * place * (3 - 2 * place), np.float32))


def rectangle(call: Call) -> Image:
    """Rectangle: the box `area`, with a soft rim of `softness` pixels."""
    image = _ground(call)
    x0, y0, x1, y1 = call.numbers("area", (100.0, 100.0, 400.0, 300.0))
    softness = max(1e-3, call.number("softness", 0.0))
    x = np.arange(image.box.x, image.box.right) + 0.5
    y = image.box.top - np.arange(image.box.height) - 0.5
    across = np.clip(np.minimum(x - x0, x1 - x) / softness, 0, 1)
    up = np.clip(np.minimum(y - y0, y1 - y) / softness, 0, 1)
    return _painted(call, image, np.asarray(up[:, None] * across[None, :], np.float32))


def _ground(call: Call) -> Image:
    fmt = format_of(call)
    image = call.input() or Image.black(fmt, RGBA)
    return image.fitted(image.box.union(fmt.box))


def _painted(call: Call, image: Image, coverage: Plane) -> Image:
    """`color` laid over the `output` channels where `coverage` says."""
    colour = call.numbers("color", (1.0, 1.0, 1.0, 1.0))
    amount = coverage * np.float32(call.number("opacity", 1.0))
    if call.boolean("replace"):
        image = image.having(Image.black(image.format, RGBA).fitted(image.box).planes)
    changed: dict[str, Plane] = {}
    for name in layers.select(call.string("output", call.string("channels", "rgba")), RGBA):
        value = np.float32(colour[layers.place(name)])
        covered = amount * np.float32(colour[3]) if name != ALPHA else amount
        changed[name] = np.asarray(image.plane(name) * (1 - covered) + value * amount, np.float32)
    return image.having(changed)


def contact_sheet(call: Call) -> Image:
    """ContactSheet: inputs (or frames of one) in rows and columns."""
    fmt = Format(max(1, round(call.number("width", 1920.0))), max(1, round(call.number("height", 1080.0))))
    rows, columns = (max(1, round(call.number(knob, default))) for knob, default in (("rows", 4.0), ("columns", 6.0)))
    gap = call.number("gap", 0.0)
    cells = _sheet_cells(call)
    wide = (fmt.width - gap * (columns + 1)) / columns
    high = (fmt.height - gap * (rows + 1)) / rows
    if wide < 1 or high < 1:
        raise call.failed(f"{rows} rows and {columns} columns do not fit on {fmt.width} x {fmt.height} pixels.")
    from_bottom = call.choice("roworder", ("BottomTop", "TopBottom"), "TopBottom") == "BottomTop"
    from_right = call.choice("colorder", ("LeftRight", "RightLeft", "SnakeLR"), "LeftRight") == "RightLeft"
    sheet = {name: np.zeros((fmt.height, fmt.width), np.float32) for cell in cells if cell for name in cell.names}
    for index, cell in enumerate(cells[: rows * columns]):
        if cell is None:
            continue
        row, column = divmod(index, columns)
        row = rows - 1 - row if not from_bottom else row
        column = columns - 1 - column if from_right else column
        _place(sheet, fmt, cell, (gap + column * (wide + gap), gap + row * (high + gap)), (wide, high))
    return Image(sheet, fmt.box, fmt)


def _sheet_cells(call: Call) -> list[Image | None]:
    if call.boolean("splitinputs"):
        return [call.pulled(pull) for pull in call.pulls() if pull.pipe == 0]
    return [call.input(pipe) for pipe in range(len(call.node.pipe_inputs))]


def _place(
    sheet: dict[str, Plane], fmt: Format, cell: Image, corner: tuple[float, float], size: tuple[float, float]
) -> None:
    scale = min(size[0] / cell.format.width, size[1] / cell.format.height)
    left = corner[0] + (size[0] - cell.format.width * scale) / 2
    below = corner[1] + (size[1] - cell.format.height * scale) / 2
    box = Box(
        math.floor(left), math.floor(below),
        math.ceil(left + cell.format.width * scale), math.ceil(below + cell.format.height * scale),
    ).intersect(fmt.box)  # fmt: skip
    small = scaled(cell.fitted(cell.format.box), box, (scale, scale), (left, below), FILTERS["cubic"])
    for name, plane in small.planes.items():
        sheet[name][fmt.height - box.top : fmt.height - box.y, box.x : box.right] += plane


def color_bars(call: Call) -> Image:
    """ColorBars: seven bars."""
    fmt = format_of(call)
    level = np.float32(call.number("barintensity", 0.75))
    bars = np.array([(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1)], np.float32) * level
    which = np.minimum(np.arange(fmt.width) * 7 // fmt.width, 6)
    planes = {
        name: np.broadcast_to(bars[which, index], (fmt.height, fmt.width)) for index, name in enumerate(RGBA[:3])
    }
    return replace(Image.constant({ALPHA: 1.0}, fmt)).having(planes)
