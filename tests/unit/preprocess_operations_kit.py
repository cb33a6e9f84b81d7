"""Pictures for tests of operations, one of each operation with parameters that do something, and tiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from preprocess.image import Image, Window
from preprocess.operations import operation_from
from preprocess.operations.port import Context, Operation

PLANE = {"fx": 50.0, "fy": 52.0, "cx": 30.3, "cy": 22.8}
LENS = {**PLANE, "k1": -0.12, "k2": 0.03, "k3": -0.004, "p1": 0.002, "p2": -0.003}

TABLES: tuple[dict[str, Any], ...] = (
    {"kind": "black_level", "black": [0.05, 0.06, 0.07, 0.08], "white": 0.9},
    {"kind": "flat_field", "flat": "flat", "dark": "dark"},
    {"kind": "dead_pixel", "map": "map", "threshold": 0.2, "relative": 0.1},
    {"kind": "dead_pixel", "spacing": 1},
    {"kind": "demosaic", "pattern": "GBRG"},
    {"kind": "demosaic", "method": "bilinear"},
    *({"kind": "linearise", "curve": curve} for curve in ("gamma", "srgb", "rec709", "logc3", "slog3")),
    {"kind": "linearise", "curve": "table", "table": [0.0, 0.1, 0.5, 2.0]},
    {"kind": "ocio", "source": "sRGB Encoded Rec.709 (sRGB)"},
    {"kind": "undistort", "lens": LENS},
    {"kind": "undistort", "lens": LENS, "reach": 12},
    {"kind": "undistort", "lens": LENS, "direction": "add", "filter": "linear", "reach": 12},
    {"kind": "stmap", "map": "stmap"},
    {"kind": "homography", "matrix": [[0.98, 0.03, 1.5], [-0.02, 1.01, 0.7], [1e-4, -2e-4, 1.0]]},
    {"kind": "crop", "x": 3, "y": 5, "width": 41, "height": 30},
    {"kind": "resize", "width": 37},
    {"kind": "resize", "scale": 1.5, "filter": "cubic"},
    {"kind": "colour_matrix", "matrix": [[1.1, -0.1, 0.0], [0.0, 0.9, 0.1], [0.05, 0.0, 0.95]]},
    {"kind": "denoise", "radius": 2, "sigma": 0.1},
    {"kind": "denoise", "sigma": 0.3, "unit": "stops", "patch": 2},
    {"kind": "difference_key", "plate": "plate"},
    {"kind": "chroma_key", "despill": True},
    {"kind": "proxy", "levels": 2},
    {"kind": "statistics"},
    {"kind": "channels", "keep": ["B", "R"]},
)


def noise(height: int, width: int, count: int, seed: int = 1) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).random((height, width, count), np.float32)


def picture(height: int = 47, width: int = 61, count: int = 3, seed: int = 1) -> Image:
    return Image.of(noise(height, width, count, seed))


def context_for(made: Operation, image: Image, **sides: Image) -> Context:
    """Answers every side input that operations of TABLES declare, in the picture's size."""
    height, width, count = image.shape
    window = image.data_window
    made: Mapping[str, Image] = {
        "flat": Image.of(noise(height, width, 1, 5) + np.float32(0.5)),
        "dark": Image.of(noise(height, width, 1, 6) * np.float32(0.01)),
        "map": shaken_map(height, width) if made.kind == "stmap" else Image.of(noise(height, width, 1, 7) > 0.9),
        "plate": Image.of(noise(height, width, count, 9), image.channels),
    }
    placed = {name: side.with_pixels(side.pixels, data_window=window) for name, side in made.items()}
    answers = {**placed, **sides}
    return Context(frame=1001, camera="A001", load=lambda name: answers[name])


def shaken_map(height: int, width: int) -> Image:
    """An identity map with up to a pixel of noise."""
    rows, columns = np.mgrid[0:height, 0:width] + noise(height, width, 2, 8).transpose(2, 0, 1)
    return Image.of(np.stack([(columns + 0.5) / width, 1 - (rows + 0.5) / height], axis=-1), "RG")


def operation(table: Mapping[str, Any]) -> Operation:
    return operation_from(table)


def inputs_for(made: Operation, height: int = 47, width: int = 61) -> dict[int, Image]:
    """One frame, or as many as the operation looks at: the same picture under other noise."""
    image = picture(height, width, 1 if made.kind in {"demosaic", "dead_pixel", "black_level"} else 3)
    around = [offset for offset in range(-made.reads, made.reads + 1) if offset]
    shaken = {
        offset: image.with_pixels(image.pixels + noise(*image.shape, seed=20 + offset) * np.float32(0.1))
        for offset in around
    }
    return {0: image, **shaken}


def tiles(window: Window, width: int, height: int) -> Iterator[Window]:
    for y in range(window.y, window.bottom, height):
        for x in range(window.x, window.right, width):
            yield Window(x, y, width, height).meeting(window)


def run(made: Operation, images: Mapping[int, Image], context: Context) -> Image:
    return made.apply_window(images, context) if made.reads else made.apply(images[0], context)


def run_in_tiles(made: Operation, images: Mapping[int, Image], context: Context, width: int, height: int) -> Image:
    """As a runner works: each tile from its part of the input, grown by the halo."""
    window = images[0].data_window
    result = None
    for tile in tiles(window, width, height):
        grown = tile.grown(made.halo).meeting(window)
        part = run(made, {offset: image.part(grown) for offset, image in images.items()}, context).part(tile)
        if result is None:
            result = np.empty((window.height, window.width, part.shape[2]), np.float32)
        result[images[0].rows_and_columns(tile)] = part.pixels
    assert result is not None
    return part.with_pixels(result, data_window=window)
