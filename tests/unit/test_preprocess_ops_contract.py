"""What every operation promises, whatever it does."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from preprocess_operations_kit import LENS, TABLES, context_for, inputs_for, operation, picture, run, run_in_tiles

from preprocess.image import Image, Window
from preprocess.operations import kinds
from preprocess.operations.port import Context, OperationFailed
from preprocess.operations.streaming import Plane, Rows, StreamingOperation

pytest.importorskip("OpenImageIO")

MB = 1024**2


def named(table: dict[str, Any]) -> str:
    return "-".join([str(value) for value in table.values() if isinstance(value, (str, int))][:4])


@pytest.mark.parametrize("table", TABLES, ids=named)
def test_an_operation_is_pure_and_says_which_channels_come_out(table):
    made = operation(table)
    images = inputs_for(made)
    before = {offset: image.pixels.copy() for offset, image in images.items()}
    first = run(made, images, context_for(made, images[0]))
    again = run(made, images, context_for(made, images[0]))
    assert first.pixels.dtype == np.float32
    assert first.pixels.tobytes() == again.pixels.tobytes()
    assert first.channels == made.output_channels(images[0].channels)
    assert np.isfinite(first.pixels).all()
    for offset, image in images.items():
        np.testing.assert_array_equal(image.pixels, before[offset])


@pytest.mark.parametrize("table", [table for table in TABLES if operation(table).tileable], ids=named)
@pytest.mark.parametrize("place", [(0, 0), (-3, 5)], ids=["at the corner", "off the display window"])
def test_tiles_give_the_bits_of_the_whole(table, place):
    made = operation(table)
    window = Window(*place, 61, 47)
    images = {offset: image.with_pixels(image.pixels, data_window=window) for offset, image in inputs_for(made).items()}
    pixels = images[0].pixels.copy()
    pixels[10, 7], pixels[30, 33], pixels[46, 60] = np.nan, np.inf, -np.inf
    images[0] = images[0].with_pixels(pixels)
    context = context_for(made, images[0])
    with np.errstate(all="ignore"):
        whole = run(made, images, context).pixels
        for width, height in ((61, 16), (31, 13)):
            np.testing.assert_array_equal(run_in_tiles(made, images, context, width, height).pixels, whole)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (2, 2), (3, 7)], ids=str)
def test_the_smallest_pictures_go_through_every_operation(size):
    for table in TABLES:
        made = operation(table)
        images = inputs_for(made, *size)
        result = run(made, images, context_for(made, images[0]))
        assert result.pixels.shape == result.shape, made.kind
        assert np.isfinite(result.pixels).all(), made.kind


@pytest.mark.parametrize("table", TABLES, ids=named)
def test_one_channel_goes_through_or_is_refused_by_the_operation_s_name(table):
    made = operation(table)
    images = {offset: picture(count=1, seed=40 + offset) for offset in inputs_for(made)}
    needs_colour = {"ocio", "colour_matrix", "chroma_key", "channels"}
    if made.kind in needs_colour:
        with pytest.raises(OperationFailed, match=f"frame 1001, camera A001: {made.kind}: no channel"):
            run(made, images, context_for(made, images[0]))
    else:
        result = run(made, images, context_for(made, images[0]))
        assert result.channels == made.output_channels(("Y",))
        assert np.isfinite(result.pixels).all()


def test_half_floats_come_in_as_the_same_values_in_single_precision():
    halves = np.linspace(0, 2, 12, dtype=np.float16).reshape(2, 2, 3)
    np.testing.assert_array_equal(Image.of(halves).pixels, halves.astype(np.float32))


def test_pixels_of_an_image_cannot_be_written_through_it():
    image = Image.of(np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("pixels", "channels"),
    [
        (np.zeros((2, 3, 3)), ("R", "G", "B")),
        (np.zeros((2, 3, 2), np.float32), ("R", "G", "B")),
        (np.zeros((3, 2, 3), np.float32).transpose(1, 0, 2), ("R", "G", "B")),
        (np.zeros((2, 3, 2), np.float32), ("R", "R")),
    ],
)
def test_an_image_refuses_parts_that_disagree(pixels, channels):
    window = Window(0, 0, 3, 2)
    with pytest.raises(ValueError, match=r"pixels are|repeat"):
        Image(pixels, channels, window, window)


def _large(table: dict[str, Any]) -> dict[str, Any]:
    lens = {**LENS, "fx": 1400.0, "fy": 1400.0, "cx": 700.0, "cy": 450.0}
    changes = {"lens": lens, "reach": 120} if table["kind"] == "undistort" else {}
    return {**table, **changes, **({"width": 1000} if table.get("width") == 37 else {})}


_ONE_OF_EACH = {table["kind"]: table for table in reversed(TABLES)}


@pytest.mark.parametrize("kind", kinds())
def test_no_operation_takes_more_memory_than_it_declares(kind):
    made = operation(_large(_ONE_OF_EACH[kind]))
    images = inputs_for(made, 900, 1400)
    context = context_for(made, images[0])
    loaded = {name: context.load(name) for name in made.assets()}
    context = Context(load=lambda name: loaded[name])
    run(made, inputs_for(made), context_for(made, inputs_for(made)[0]))  # imports are nobody's memory
    tracemalloc.start()
    try:
        result = run(made, images, context)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    scratch = 48 * MB if kind == "ocio" else 14 * MB
    assert peak <= made.copies * max(images[0].size_bytes, result.size_bytes) + scratch
    assert made.copies <= 3


STREAMING = [table for table in TABLES if isinstance(operation(table), StreamingOperation)]
_ON_ITS_HEAD = {"kind": "homography", "matrix": [[-1, 0, 60], [0.1, -1, 46], [0, 0, 1]], "edge": "clamp"}


@pytest.mark.parametrize("table", [*STREAMING, _ON_ITS_HEAD], ids=named)
@pytest.mark.parametrize("place", [(0, 0), (-3, 5)], ids=["at the corner", "off the display window"])
def test_rows_that_an_operation_asks_for_itself_give_the_bits_of_the_whole(table, place):
    made = operation(table)
    image = inputs_for(made)[0]
    pixels = image.pixels.copy()
    pixels[10, 7], pixels[30, 33], pixels[46, 60] = np.nan, np.inf, -np.inf
    image = image.with_pixels(pixels, data_window=Window(*place, 61, 47))
    context = context_for(made, image)
    with np.errstate(all="ignore"):
        whole = made.apply(image, context)
        for height in (1, 7, 16):
            assert in_rows(made, image, context, height).pixels.tobytes() == whole.pixels.tobytes()
        assert in_rows(made, image, context, 16).display_window == whole.display_window


def in_rows(made: StreamingOperation, image: Image, context: Context, height: int) -> Image:
    """The result by bands, each from copies of the rows that it asks for and no others."""
    plane = made.plane(Plane(image.data_window, image.display_window), context)
    rows = Rows(Rows.of(image).plane, lambda top, bottom: image.part(image.strip(top, bottom).data_window))
    full = plane.data
    bands = [
        Window(full.x, top, full.width, min(height, full.bottom - top)) for top in range(full.y, full.bottom, height)
    ]
    parts = [made.make(rows, band, context) for band in bands]
    assert [part.data_window for part in parts] == bands
    return parts[0].with_pixels(np.concatenate([part.pixels for part in parts]), data_window=full)
