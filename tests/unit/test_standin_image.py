from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jit_render.render.standin import cube, layers
from jit_render.render.standin.image import Box, Format, Image, parse_format
from jit_render.render.standin.resample import FILTERS, blurred, scaled
from jit_render.render.standin.transfer import transfer
from jit_render.render.standin.warp import moved_box, warped

boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h),
    st.integers(-20, 20), st.integers(-20, 20), st.integers(0, 12), st.integers(0, 12),
)  # fmt: skip


def numbered(box: Box) -> Image:
    plane = np.arange(1, box.width * box.height + 1, dtype=np.float32).reshape(box.height, box.width)
    return Image({"rgba.red": plane}, box, Format(16, 8))


def as_points(image: Image) -> dict[tuple[int, int], float]:
    plane = image.plane("rgba.red")
    return {
        (image.box.x + column, image.box.top - 1 - row): float(plane[row, column])
        for row in range(image.box.height)
        for column in range(image.box.width)
        if plane[row, column]
    }


@given(boxes, boxes)
def test_a_picture_over_another_window_keeps_each_point_inside_and_is_zero_elsewhere(box, other):
    image = numbered(box)
    inside = {
        point: pixel
        for point, pixel in as_points(image).items()
        if other.x <= point[0] < other.right and other.y <= point[1] < other.top
    }
    assert as_points(image.fitted(other)) == inside


@given(boxes, boxes)
def test_boxes_meet_and_join_as_sets_of_pixels_do(one, two):
    assert one.intersect(two).is_empty or one.contains(one.intersect(two))
    assert one.union(two).contains(one)
    assert one.union(two).contains(two)


def test_a_channel_that_is_not_there_is_zero_and_costs_nothing():
    image = numbered(Box(0, 0, 3, 2))
    assert not image.plane("depth.Z").any()
    assert image.plane("depth.Z").strides == (0, 0)


def test_interleaved_pixels_come_back_as_the_same_planes():
    rng = np.random.default_rng(1)
    pixels = rng.random((5, 7, 3), np.float32)
    image = Image.from_pixels(pixels, ("rgba.red", "rgba.green", "depth.Z"), Box(2, 3, 9, 8), Format(16, 8))
    assert np.array_equal(image.pixels(("rgba.red", "rgba.green", "depth.Z")), pixels)


@pytest.mark.parametrize(
    ("text", "size", "aspect"),
    [
        ("2048 1556 0 0 2048 1556 1 2K_Super_35(full-ap)", (2048, 1556), 1.0),
        ("720 576 0 0 720 576 1.09 PAL", (720, 576), 1.09),
        ("720 576 1.09", (720, 576), 1.09),
        ("HD_1080", (1920, 1080), 1.0),
    ],
)
def test_formats_are_read_as_nuke_writes_them(text, size, aspect):
    found = parse_format(text)
    assert found is not None
    assert ((found.width, found.height), found.aspect) == (size, aspect)


@pytest.mark.parametrize("text", ["", "no such format", "0 0 0 0 0 0 1 x", "-5 3"])
def test_what_is_no_format_is_none(text):
    assert parse_format(text) is None


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("rgb", ("rgba.red", "rgba.green", "rgba.blue")),
        ("alpha", ("rgba.alpha",)),
        ("{rgba.red -rgba.green -rgba.blue rgba.alpha}", ("rgba.red", "rgba.alpha")),
        ("all", ("rgba.red", "depth.Z", "forward.u", "left.x")),
        ("rgba -rgba.alpha depth", ("rgba.red", "rgba.green", "rgba.blue", "depth.Z")),
        ("left", ("left.x",)),
        ("none", ()),
    ],
)
def test_a_channels_knob_selects_layers_and_channels(text, chosen):
    assert layers.select(text, ("rgba.red", "depth.Z", "forward.u", "left.x")) == chosen


@pytest.mark.parametrize(
    ("stored", "inside"),
    [("R", "rgba.red"), ("A", "rgba.alpha"), ("Z", "depth.Z"), ("diffuse.R", "diffuse.red"), ("P.x", "P.x")],
)
def test_channels_of_files_get_nukes_names(stored, inside):
    assert layers.from_file(stored) == inside


@pytest.mark.parametrize("name", ["sRGB", "rec709", "Cineon", "AlexaV3LogC", "Gamma2.2", "linear"])
def test_encoding_undoes_decoding(name):
    curve = transfer(name)
    assert curve is not None
    stored = np.linspace(0.1, 0.95, 64, dtype=np.float32)
    assert np.allclose(curve.encode(curve.decode(stored)), stored, atol=2e-5)


def test_a_blur_keeps_the_sum_and_the_middle():
    plane = np.zeros((41, 41), np.float32)
    plane[20, 20] = 1
    for kind in ("gaussian", "box", "triangle", "quadratic"):
        soft = blurred(Image({"rgba.red": plane}, Box(0, 0, 41, 41), Format(41, 41)), kind, 7, 5)
        total = soft.planes["rgba.red"]
        rows, columns = np.indices(total.shape)
        assert total.sum() == pytest.approx(1, abs=1e-5)
        assert (total * (soft.box.x + columns + 0.5)).sum() == pytest.approx(20.5, abs=1e-3)
        assert (total * (soft.box.top - rows - 0.5)).sum() == pytest.approx(20.5, abs=1e-3)


@pytest.mark.parametrize("name", sorted(set(FILTERS) - {"parzen", "mitchell", "notch"}))
def test_an_interpolating_filter_at_full_size_changes_nothing(name):
    image = numbered(Box(0, 0, 9, 7))
    same = scaled(image, image.box, (1.0, 1.0), (0.0, 0.0), FILTERS[name])
    assert np.allclose(same.planes["rgba.red"], image.planes["rgba.red"], atol=1e-4)


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_a_free_warp_agrees_with_the_separable_way_where_both_apply(name):
    rng = np.random.default_rng(2)
    image = Image({"rgba.red": rng.random((24, 30), np.float32)}, Box(3, 2, 33, 26), Format(40, 30))
    matrix = np.array([[1.0, 0, 2.25], [0, 1.0, -1.25], [0, 0, 1]])
    box = moved_box(image.box, matrix)
    assert box is not None
    one = warped(image, matrix, box, FILTERS[name]).planes["rgba.red"]
    two = scaled(image, box, (1.0, 1.0), (2.25, -1.25), FILTERS[name]).planes["rgba.red"]
    assert np.allclose(one, two, atol=1e-4)


def test_a_table_that_changes_nothing_changes_nothing():
    edge = 5
    rows = [
        f"{r / (edge - 1)} {g / (edge - 1)} {b / (edge - 1)}"
        for b in range(edge)
        for g in range(edge)
        for r in range(edge)
    ]
    table = cube.parse(f'TITLE "same"\n# none\nLUT_3D_SIZE {edge}\n' + "\n".join(rows))
    rng = np.random.default_rng(3)
    planes = [rng.random((70, 9), np.float32) for _ in range(3)]
    planes[1][:20] = planes[0][:20]  # ties between the axes
    planes[2][10:30] = planes[1][10:30]
    for plane, done in zip(planes, table.apply(planes), strict=True):
        assert np.allclose(plane, done, atol=1e-6)


def test_a_one_dimensional_table_is_a_curve_per_channel():
    table = cube.parse("LUT_1D_SIZE 3\n0 0 0\n0.25 0.5 1\n1 1 1\n")
    half = np.full((2, 2), 0.5, np.float32)
    assert [float(plane[0, 0]) for plane in table.apply([half] * 3)] == [0.25, 0.5, 1.0]


def test_not_a_number_goes_through_a_table_without_leaving_it():
    table = cube.parse("LUT_3D_SIZE 2\n" + "0.5 0.5 0.5\n" * 8)
    strange = np.array([[np.nan, np.inf, -np.inf, 1e30]], np.float32)
    with np.errstate(all="ignore"):
        assert np.isfinite(table.apply([strange] * 3)[0]).all()


@pytest.mark.parametrize("text", ["", "LUT_3D_SIZE 2\n0 0 0\n", "LUT_3D_SIZE 9999999\n", "LUT_3D_SIZE x\n"])
def test_a_broken_table_is_refused(text):
    with pytest.raises(ValueError):
        cube.parse(text)
