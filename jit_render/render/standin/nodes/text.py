"""Text2: a burn-in in a built-in face of 5 by 7 dots, the same on every machine, or in a font file if one is named.

Letters are drawn as upper case. A dot grid scales to any size: each dot becomes a square, its rim shared fairly
between pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jit_render.render.standin.call import Call, blended
from jit_render.render.standin.image import ALPHA, RGBA, Box, Image, Plane
from jit_render.render.standin.resample import FILTERS, filter_columns, filter_rows, resize_taps

_FACE = {
    " ": "00 00 00 00 00 00 00", "0": "0E 11 13 15 19 11 0E", "1": "04 0C 04 04 04 04 0E", "2": "0E 11 01 06 08 10 1F",
    "3": "1F 02 04 02 01 11 0E", "4": "02 06 0A 12 1F 02 02", "5": "1F 10 1E 01 01 11 0E", "6": "06 08 10 1E 11 11 0E",
    "7": "1F 01 02 04 08 08 08", "8": "0E 11 11 0E 11 11 0E", "9": "0E 11 11 0F 01 02 0C", "A": "0E 11 11 1F 11 11 11",
    "B": "1E 11 11 1E 11 11 1E", "C": "0E 11 10 10 10 11 0E", "D": "1E 11 11 11 11 11 1E", "E": "1F 10 10 1E 10 10 1F",
    "F": "1F 10 10 1E 10 10 10", "G": "0E 11 10 17 11 11 0F", "H": "11 11 11 1F 11 11 11", "I": "0E 04 04 04 04 04 0E",
    "J": "07 02 02 02 02 12 0C", "K": "11 12 14 18 14 12 11", "L": "10 10 10 10 10 10 1F", "M": "11 1B 15 15 11 11 11",
    "N": "11 19 15 13 11 11 11", "O": "0E 11 11 11 11 11 0E", "P": "1E 11 11 1E 10 10 10", "Q": "0E 11 11 11 15 12 0D",
    "R": "1E 11 11 1E 14 12 11", "S": "0F 10 10 0E 01 01 1E", "T": "1F 04 04 04 04 04 04", "U": "11 11 11 11 11 11 0E",
    "V": "11 11 11 11 11 0A 04", "W": "11 11 11 15 15 1B 11", "X": "11 11 0A 04 0A 11 11", "Y": "11 11 0A 04 04 04 04",
    "Z": "1F 01 02 04 08 10 1F", ".": "00 00 00 00 00 0C 0C", ",": "00 00 00 00 0C 04 08", ":": "00 0C 0C 00 0C 0C 00",
    ";": "00 0C 0C 00 0C 04 08", "-": "00 00 00 1F 00 00 00", "_": "00 00 00 00 00 00 1F", "/": "01 01 02 04 08 10 10",
    "\\": "10 10 08 04 02 01 01", "+": "00 04 04 1F 04 04 00", "=": "00 00 1F 00 1F 00 00", "*": "00 15 0E 1F 0E 15 00",
    "(": "02 04 08 08 08 04 02", ")": "08 04 02 02 02 04 08", "[": "0E 08 08 08 08 08 0E", "]": "0E 02 02 02 02 02 0E",
    "#": "0A 0A 1F 0A 1F 0A 0A", "%": "18 19 02 04 08 13 03", "!": "04 04 04 04 04 00 04", "?": "0E 11 01 02 04 00 04",
    "'": "04 04 08 00 00 00 00", '"': "0A 0A 00 00 00 00 00", "<": "02 04 08 10 08 04 02", ">": "08 04 02 01 02 04 08",
    "@": "0E 11 17 15 17 10 0E", "&": "0C 12 14 08 15 12 0D", "|": "04 04 04 04 04 04 04", "$": "04 0F 14 0E 05 1E 04",
}  # fmt: skip
"""Seven rows of five bits for each character."""
_UNKNOWN = "1F 11 11 11 11 11 1F"
_WIDE, _HIGH, _LINE = 6, 7, 9  # dots from one letter to the next, of a letter, from one line to the next


def text(call: Call) -> Image:
    image = call.source()
    message = call.string("message", "").expandtabs(4)
    size = call.number("font_size_toolbar", call.number("font_size", 100.0)) * call.number("global_font_scale", 1.0)
    if not message.strip() or size < 1:
        return image
    box = _box(call, image)
    coverage = _drawn(call, message, size, box, image)
    amount = coverage * np.float32(call.number("opacity", 1.0))
    colour = call.numbers("color", (1.0, 1.0, 1.0, 1.0))
    part = box.intersect(image.format.box.union(image.box))
    base = image.fitted(image.box.union(part))
    rows = slice(base.box.top - part.top, base.box.top - part.y)
    columns = slice(part.x - base.box.x, part.right - base.box.x)
    changed: dict[str, Plane] = {}
    for index, name in enumerate(RGBA):
        if name in base.planes or name != ALPHA:
            changed[name] = np.array(base.plane(name))
            changed[name][rows, columns] *= 1 - amount * np.float32(colour[3])
            changed[name][rows, columns] += amount * np.float32(colour[index])
    return blended(call, base, changed)


def _box(call: Call, image: Image) -> Box:
    fmt = image.format
    edges = call.numbers("box", (0.0, 0.0, float(fmt.width), float(fmt.height)))
    box = Box(*(round(edge) for edge in edges))
    return box if not box.is_empty else fmt.box


def _drawn(call: Call, message: str, size: float, box: Box, image: Image) -> Plane:
    """Coverage over the part of `box` that lies in the format, or in the picture where that is larger."""
    part = box.intersect(image.format.box.union(image.box))
    font = call.engine.file(call.node, "font_file", call.frame, call.view) if "font_file" in call.node.knobs else ""
    dots = _letters(message) if not font else None
    if dots is None:
        return _typeset(call, font, message, size=size, box=box, part=part)
    scale = size / _LINE
    wide, high = dots.shape[1] * scale, dots.shape[0] * scale
    left, top = _corner(call, box, wide, high)
    columns = resize_taps((part.x + 0.5 - left) / scale, 1 / scale, part.width, FILTERS["bilinear"])
    rows = resize_taps((top - part.top + 0.5) / scale, 1 / scale, part.height, FILTERS["bilinear"])
    # Steeper than the filter's own slope: edges are one pixel soft, whatever the size.
    soft = filter_rows(filter_columns(dots, columns), rows)
    return np.asarray(np.clip((soft - 0.5) * np.float32(max(1.0, scale)) + 0.5, 0, 1), np.float32)


def _letters(message: str) -> Plane:
    lines = message.splitlines() or [""]
    width = max(len(line) for line in lines)
    dots = np.zeros((_LINE * len(lines), max(1, _WIDE * width)), np.float32)
    for row, line in enumerate(lines):
        for column, letter in enumerate(line):
            bits = _FACE.get(letter.upper(), _UNKNOWN).split()
            for y, line_bits in enumerate(bits):
                for x in range(5):
                    dots[row * _LINE + 1 + y, column * _WIDE + x] = int(line_bits, 16) >> (4 - x) & 1
    return dots


def _typeset(call: Call, font: str, message: str, *, size: float, box: Box, part: Box) -> Plane:
    import OpenImageIO

    if not Path(font).is_file():
        raise call.failed(f"the font file {font} is missing.")
    drawing = OpenImageIO.ImageBufAlgo
    canvas = OpenImageIO.ImageBuf(OpenImageIO.ImageSpec(max(1, part.width), max(1, part.height), 1, "float"))
    lines, height = message.splitlines(), round(size)
    _, top = _corner(call, box, 0.0, size * len(lines))
    for index, line in enumerate(lines):
        left, _ = _corner(call, box, float(drawing.text_size(line, height, font).width), 0.0)
        baseline = part.top - top + round(size * (index + 1))
        if not drawing.render_text(canvas, round(left - part.x), round(baseline), line, height, font, (1.0,)):
            raise call.failed(f"{font}: {' '.join(str(canvas.geterror()).split())}")
    pixels: Any = canvas.get_pixels()
    return np.ascontiguousarray(pixels[: part.height, : part.width, 0])


def _corner(call: Call, box: Box, wide: float, high: float) -> tuple[float, float]:
    """Left and top of a text of that size, as the justification knobs place it in `box`."""
    across = call.choice("xjustify", ("left", "center", "right", "justify"), "left")
    down = call.choice("yjustify", ("top", "center", "bottom", "baseline"), "top")
    left = {"center": box.x + (box.width - wide) / 2, "right": box.right - wide}.get(across, float(box.x))
    top = {"center": box.top - (box.height - high) / 2, "bottom": box.y + high, "baseline": box.y + high}
    return left, top.get(down, float(box.top))
