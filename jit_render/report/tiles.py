"""Small pictures: an EXR frame brought down to a tile that a screen can show, and labels on it.

Scene-linear light is brought to the screen by a curve that leaves everything below 60 % alone and bends the rest
towards white, then encoded as sRGB (IEC 61966-2-1). Text is drawn with the fonts that OpenImageIO carries; where it
has none, numbers are drawn from a bitmap of 3 x 5 dots and other letters are left out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenImageIO
from numpy.typing import NDArray

from jit_render.model.errors import OutputInvalid

Pixels = NDArray[np.float32]
"""Rows from the top, red, green and blue, ready for the screen (0..1)."""

Colour = tuple[float, float, float]

_KNEE = 0.6
_DIGITS = {
    "0": 0b111_101_101_101_111,
    "1": 0b010_110_010_010_111,
    "2": 0b111_001_111_100_111,
    "3": 0b111_001_111_001_111,
    "4": 0b101_101_111_001_001,
    "5": 0b111_100_111_001_111,
    "6": 0b111_100_111_101_111,
    "7": 0b111_001_010_010_010,
    "8": 0b111_101_111_101_111,
    "9": 0b111_101_111_001_111,
    "-": 0b000_000_111_000_000,
}


def read_tile(path: Path, width: int, height: int) -> Pixels:
    """The display window of the image at `path`, fitted into `width` x `height`. Raises OutputInvalid."""
    source = OpenImageIO.ImageBuf(str(path))
    if not source.read(0, 0, True, "float"):
        raise OutputInvalid(f"{path.name} cannot be read as an image: {source.geterror()}")
    full = source.roi_full
    scale = min(width / full.width, height / full.height)
    across, down = max(1, round(full.width * scale)), max(1, round(full.height * scale))
    roi = OpenImageIO.ROI(0, across, 0, down, 0, 1, 0, source.nchannels)
    small = OpenImageIO.ImageBufAlgo.resize(source, filtername="box", roi=roi)
    if small.has_error:
        raise OutputInvalid(f"{path.name} cannot be made smaller: {small.geterror()}")
    pixels = np.asarray(small.get_pixels("float"), np.float32).reshape(down, across, -1)
    return to_screen(_red_green_blue(pixels, source.spec().channelnames))


def _red_green_blue(pixels: Pixels, names: tuple[str, ...] | list[str]) -> Pixels:
    """The first three colour channels by name; an image with fewer is shown grey."""
    short = [name.rpartition(".")[2].upper()[:1] for name in names]
    if all(letter in short for letter in "RGB"):
        return pixels[..., [short.index(letter) for letter in "RGB"]]
    return np.repeat(pixels[..., :1], 3, axis=-1)


def to_screen(light: Pixels) -> Pixels:
    """Scene-linear light, any range, NaN and infinity included, as sRGB 0..1."""
    light = np.clip(np.nan_to_num(light, nan=0.0, posinf=65504.0, neginf=0.0), 0, None)
    bent = _KNEE + (1 - _KNEE) * -np.expm1(-(light - _KNEE) / (1 - _KNEE))
    shown = np.where(light > _KNEE, bent, light)
    coded = np.where(shown <= 0.0031308, shown * 12.92, 1.055 * np.maximum(shown, 1e-8) ** (1 / 2.4) - 0.055)
    return np.asarray(np.clip(coded, 0, 1), np.float32)


def draw_text(canvas: Pixels, at: tuple[int, int], text: str, *, size: int, colour: Colour) -> None:
    """Write `text` with its upper left corner `at` (x, y), `size` pixels high."""
    buffer = OpenImageIO.ImageBuf(np.ascontiguousarray(canvas))
    if OpenImageIO.ImageBufAlgo.render_text(buffer, *at, text, size, "", colour, "left", "top"):
        canvas[:] = buffer.get_pixels("float")
    else:
        draw_digits(canvas, at, text, size=size, colour=colour)


def draw_digits(canvas: Pixels, at: tuple[int, int], text: str, *, size: int, colour: Colour) -> None:
    """Write the digits of `text` without any font."""
    x, y = at
    dot = max(1, size // 6)
    for place, letter in enumerate(text):
        bits = _DIGITS.get(letter, 0)
        for row in range(5):
            for column in range(3):
                if bits >> (14 - row * 3 - column) & 1:
                    top, left = y + row * dot, x + (place * 4 + column) * dot
                    canvas[top : top + dot, left : left + dot] = colour


def write_png(canvas: Pixels, path: Path) -> None:
    """Save as 8-bit PNG; complete or not at all. Raises OSError where the folder cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, channels = canvas.shape
    part = path.with_name(f".{path.name}.part.png")
    out = OpenImageIO.ImageOutput.create(str(part))
    spec = OpenImageIO.ImageSpec(width, height, channels, "uint8")
    spec.attribute("oiio:ColorSpace", "sRGB")
    whole = np.ascontiguousarray(np.rint(canvas * 255).astype(np.uint8))
    if out is None or not (out.open(str(part), spec) and out.write_image(whole) and out.close()):
        reason = out.geterror() if out else OpenImageIO.geterror()
        part.unlink(missing_ok=True)
        raise OSError(f"{path} cannot be written: {reason}")
    part.replace(path)
