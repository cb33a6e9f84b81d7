"""What moves pixels, against OpenCV, scikit-image, Pillow and formulas."""

from __future__ import annotations

import numpy as np
import pytest
from preprocess_operations_kit import LENS, noise, picture

from preprocess.image import Image, Window
from preprocess.operations import operation_from
from preprocess.operations.port import Context, OperationFailed

cv2 = pytest.importorskip("cv2")


def apply(table, image, *, camera="", view="", **sides):
    context = Context(frame=1001, camera=camera, view=view, load=lambda name: sides[name])
    return operation_from(table).apply(image, context)


def smooth(height=47, width=61):
    """Waves long enough that a filter between pixels hardly matters."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.sin(columns / 7 + phase) * np.cos(rows / 9 - phase) for phase in (0.0, 0.7, 1.9)]
    return Image.of(np.stack(waves, axis=-1))


def opencv_lens(lens):
    matrix = np.array([[lens["fx"], 0, lens["cx"]], [0, lens["fy"], lens["cy"]], [0, 0, 1.0]])
    return matrix, np.array([lens[name] for name in ("k1", "k2", "p1", "p2", "k3")])


def inside(image, margin):
    return image.pixels[margin:-margin, margin:-margin]


def test_undistort_agrees_with_opencv():
    image = picture()
    found = apply({"kind": "undistort", "lens": LENS, "filter": "linear"}, image)
    matrix, coefficients = opencv_lens(LENS)
    maps = cv2.initUndistortRectifyMap(matrix, coefficients, None, matrix, (61, 47), cv2.CV_32FC1)
    np.testing.assert_allclose(found.pixels, cv2.remap(image.pixels.copy(), *maps, cv2.INTER_LINEAR), atol=2e-4)


def test_distorting_asks_opencvs_inverse_for_its_places():
    image = smooth()
    found = apply({"kind": "undistort", "lens": LENS, "direction": "add", "filter": "linear"}, image)
    matrix, coefficients = opencv_lens(LENS)
    rows, columns = np.mgrid[0:47, 0:61]
    points = np.stack([columns.ravel(), rows.ravel()], axis=-1).astype(np.float64)[:, None]
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-10)
    places = cv2.undistortPoints(points, matrix, coefficients, P=matrix, criteria=criteria).reshape(47, 61, 2)
    maps = places.astype(np.float32)
    expected = cv2.remap(image.pixels.copy(), maps[:, :, 0].copy(), maps[:, :, 1].copy(), cv2.INTER_LINEAR)
    np.testing.assert_allclose(found.pixels, expected, atol=1e-4)


def test_distorting_and_undistorting_give_the_picture_back():
    image = smooth()
    there = apply({"kind": "undistort", "lens": LENS, "direction": "add", "edge": "clamp"}, image)
    back = apply({"kind": "undistort", "lens": LENS, "edge": "clamp"}, there)
    np.testing.assert_allclose(inside(back, 8), inside(image, 8), atol=3e-3)


def test_a_lens_without_distortion_changes_no_bit_also_beside_nan():
    image = picture()
    pixels = image.pixels.copy()
    pixels[20, 30] = np.nan
    image = image.with_pixels(pixels)
    lens = {"fx": 64.0, "fy": 64.0, "cx": 32.0, "cy": 16.0}
    for filter_name in ("nearest", "linear", "cubic"):
        found = apply({"kind": "undistort", "lens": lens, "filter": filter_name}, image)
        np.testing.assert_array_equal(found.pixels, image.pixels)


def test_each_camera_has_its_own_lens_and_a_camera_without_one_is_named():
    cameras = {"A001": {**LENS, "k1": -0.2}, "right": LENS}
    image = picture()
    table = {"kind": "undistort", "cameras": cameras}
    assert not np.array_equal(apply(table, image, camera="A001").pixels, apply(table, image, view="right").pixels)
    with pytest.raises(OperationFailed, match="frame 1001, camera A002: undistort: no lens for camera 'A002'; add it"):
        apply(table, image, camera="A002")


def test_a_lens_beyond_its_reach_fails_instead_of_lying():
    with pytest.raises(OperationFailed, match=r"undistort: the lens moves a pixel by \d\.\d; raise reach \(1\)"):
        apply({"kind": "undistort", "lens": LENS, "reach": 1}, picture())


def test_beyond_the_fold_of_a_lens_it_is_black():
    lens = {"fx": 10.0, "fy": 10.0, "cx": 30.0, "cy": 23.0, "k1": -0.5}
    found = apply({"kind": "undistort", "lens": lens, "direction": "add"}, Image.of(np.ones((47, 61, 1))))
    assert found.pixels[23, 30, 0] == 1
    assert found.pixels[0, 0, 0] == 0


@pytest.mark.parametrize("place", [(0, 0), (-5, 7)], ids=str)
def test_a_picture_off_its_display_window_moves_as_a_part_of_the_whole(place):
    whole = picture(60, 70)
    shifted = whole.with_pixels(whole.pixels, data_window=Window(-5, -6, 70, 60), display_window=Window(0, 0, 61, 47))
    part = shifted.part(Window(*place, 40, 35))
    table = {"kind": "undistort", "lens": {**LENS, "k1": -0.01, "k2": 0, "k3": 0}}
    found, expected = apply(table, part), apply(table, shifted)
    assert found.data_window == part.data_window
    inner = part.data_window.grown(-6)
    np.testing.assert_array_equal(found.part(inner).pixels, expected.part(inner).pixels)


def _keys(t):
    size = abs(t)
    if size < 1:
        return (1.5 * size - 2.5) * size * size + 1
    return ((-0.5 * size + 2.5) * size - 4) * size + 2 if size < 2 else 0.0


def test_cubic_sampling_is_keys_formula_and_black_outside():
    image = Image.of(noise(6, 7, 1))
    s, t = 2.3, 1.6
    stmap = Image.of(np.array([[[(s + 0.5) / 7, 1 - (t + 0.5) / 6], [(-0.7 + 0.5) / 7, 1 - 0.5 / 6]]]), "RG")
    found = apply({"kind": "stmap", "map": "m"}, image, map=stmap).pixels[0, :, 0]
    values = image.pixels[:, :, 0].astype(np.float64)
    expected = sum(values[y, x] * _keys(s - x) * _keys(t - y) for y in range(6) for x in range(7))
    at_the_edge = sum(values[0, x] * _keys(-0.7 - x) for x in range(7))
    np.testing.assert_allclose(found, [expected, at_the_edge], atol=1e-5)


def test_an_identity_map_gives_the_picture_and_a_broken_one_black():
    image = picture(32, 64)
    rows, columns = np.mgrid[0:32, 0:64]
    places = np.stack([(columns + 0.5) / 64, 1 - (rows + 0.5) / 32], axis=-1)
    places[3, 4], places[5, 6, 1], places[7, 8] = np.nan, np.inf, 5e30
    found = apply({"kind": "stmap", "map": "m"}, image, map=Image.of(places, "RG"))
    expected = image.pixels.copy()
    expected[3, 4] = expected[5, 6] = expected[7, 8] = 0
    np.testing.assert_allclose(found.pixels, expected, atol=1e-5)


def test_a_map_with_one_channel_is_refused():
    with pytest.raises(OperationFailed, match="the map has 1 channel; it wants two, s and t"):
        apply({"kind": "stmap", "map": "m"}, picture(), map=Image.of(np.zeros((2, 2))))


HOMOGRAPHY = [[0.95, 0.06, 2.5], [-0.04, 1.03, 1.2], [4e-4, -6e-4, 1.0]]


def test_a_homography_agrees_with_opencv_and_scikit_image():
    image = picture()
    table = {"kind": "homography", "cameras": {"A001": HOMOGRAPHY}, "filter": "linear"}
    found = apply(table, image, camera="A001").pixels
    expected = cv2.warpPerspective(image.pixels.copy(), np.array(HOMOGRAPHY), (61, 47), flags=cv2.INTER_LINEAR)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    transform = pytest.importorskip("skimage.transform")
    warped = transform.warp(image.pixels.copy(), transform.ProjectiveTransform(np.linalg.inv(HOMOGRAPHY)), order=1)
    np.testing.assert_allclose(found[4:-4, 4:-4], warped[4:-4, 4:-4], atol=1e-4)
    np.testing.assert_array_equal(apply(table, image, camera="A002").pixels, image.pixels)


def test_a_homography_may_fill_another_window_and_has_nothing_behind_the_camera():
    image = Image.of(np.ones((8, 8)))
    table = {"kind": "homography", "matrix": [[1, 0, 3], [0, 1, 0], [0, 0, 1]], "window": [2, 0, 5, 8]}
    found = apply(table, image)
    assert found.data_window == Window(2, 0, 5, 8)
    np.testing.assert_array_equal(found.pixels[0, :, 0], [0, 1, 1, 1, 1])
    flipped = apply({"kind": "homography", "matrix": [[1, 0, 0], [0, 1, 0], [0.5, 0, 1]], "edge": "clamp"}, image)
    np.testing.assert_array_equal(flipped.pixels[0, :, 0], [1, 1, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("count", [1, 5])
def test_warps_take_any_number_of_channels_and_widths_beyond_opencvs(count):
    image = Image.of(noise(2, 40000, count), tuple(f"c{number}" for number in range(count)))
    found = apply({"kind": "homography", "matrix": [[1, 0, 1], [0, 1, 0], [0, 0, 1]]}, image)
    np.testing.assert_array_equal(found.pixels[:, 1:], image.pixels[:, :-1])


def test_a_crop_cuts_and_fills_and_may_become_the_format():
    image = picture(4, 5)
    found = apply({"kind": "crop", "x": 2, "y": -1, "width": 4, "height": 3}, image)
    expected = np.zeros((3, 4, 3), np.float32)
    expected[1:, :3] = image.pixels[:2, 2:]
    np.testing.assert_array_equal(found.pixels, expected)
    assert (found.data_window, found.display_window) == (Window(2, -1, 4, 3), Window(0, 0, 5, 4))
    reformatted = apply({"kind": "crop", "x": 1, "y": 1, "width": 2, "height": 2, "reformat": True}, image)
    assert reformatted.display_window == reformatted.data_window == Window(1, 1, 2, 2)
    far = apply({"kind": "crop", "x": 50, "y": 50, "width": 2, "height": 2}, image)
    assert not far.pixels.any()
    overscan = image.with_pixels(image.pixels, display_window=Window(1, 1, 3, 2))
    np.testing.assert_array_equal(apply({"kind": "crop"}, overscan).pixels, image.pixels[1:3, 1:4])


@pytest.mark.parametrize("name", ["box", "triangle", "cubic", "lanczos3"])
@pytest.mark.parametrize("size", [(31, 17), (20, 47), (97, 75), (1, 1), (61, 100)], ids=str)
def test_resizing_agrees_with_pillow(name, size):
    pillow = pytest.importorskip("PIL.Image")
    filters = {"box": "BOX", "triangle": "BILINEAR", "cubic": "BICUBIC", "lanczos3": "LANCZOS"}
    image = Image.of(noise(47, 61, 1))
    found = apply({"kind": "resize", "width": size[0], "height": size[1], "filter": name}, image)
    resized = pillow.fromarray(image.pixels[:, :, 0]).resize(size, getattr(pillow.Resampling, filters[name]))
    # Pillow's box counts whole pixels by their centres; ours counts what lies inside.
    if name == "box":
        resized = _box(image.pixels[:, :, 0].astype(np.float64), size)
    np.testing.assert_allclose(found.pixels[:, :, 0], np.asarray(resized), atol=5e-6)
    assert found.display_window == Window(0, 0, *size)


def _box(values, size):
    """The mean over each result pixel's area, by integrals; never narrower than a source pixel."""

    def along(source, count):
        factor = len(source) / count
        radius = max(factor, 1.0) / 2
        integral = np.concatenate([[np.zeros_like(source[0])], np.cumsum(source, axis=0)])
        edges = np.arange(len(source) + 1)
        centres = (np.arange(count) + 0.5) * factor
        low, high = np.clip(centres - radius, 0, len(source)), np.clip(centres + radius, 0, len(source))
        upto = [
            np.array([np.interp(at, edges, integral[:, place]) for at in (low, high)])
            for place in range(source.shape[1])
        ]
        return np.stack([(column[1] - column[0]) / (high - low) for column in upto], axis=-1)

    return along(along(values, size[1]).T, size[0]).T


def test_resizing_by_halves_is_opencvs_area_and_keeps_the_aspect():
    image = picture(48, 64)
    found = apply({"kind": "resize", "width": 32, "filter": "box"}, image)
    np.testing.assert_allclose(
        found.pixels, cv2.resize(image.pixels.copy(), (32, 24), interpolation=cv2.INTER_AREA), atol=1e-6
    )


def test_resizing_keeps_constants_and_holds_nan_within_the_filter():
    pixels = np.full((40, 40, 1), 0.3, np.float32)
    np.testing.assert_allclose(apply({"kind": "resize", "scale": 0.37}, Image.of(pixels)).pixels, 0.3, rtol=1e-6)
    pixels[20, 20] = np.nan
    found = apply({"kind": "resize", "scale": 0.5, "filter": "triangle"}, Image.of(pixels)).pixels[:, :, 0]
    rows, columns = np.nonzero(np.isnan(found))
    assert set(rows.tolist()) == set(columns.tolist()) == {9, 10}


def test_a_data_window_is_resized_with_its_display_window():
    whole = picture(40, 60)
    table = {"kind": "resize", "scale": 0.5, "filter": "triangle"}
    part = whole.part(Window(10, 6, 30, 21))
    found, expected = apply(table, part), apply(table, whole)
    assert found.data_window == Window(5, 3, 15, 11)
    assert found.display_window == Window(0, 0, 30, 20)
    np.testing.assert_allclose(found.pixels[1:-1, 1:-1], expected.part(Window(6, 4, 13, 9)).pixels, atol=1e-6)


def test_a_colour_matrix_per_camera_is_a_matrix_product_and_zero_keeps_nan_out():
    image = picture(3, 4, 4)
    rows = [[1.0, 0.2, 0.1], [0.0, 0.9, 0.05], [-0.1, 0.0, 1.1]]
    table = {"kind": "colour_matrix", "cameras": {"A001": rows}}
    found = apply(table, image, camera="A001").pixels
    np.testing.assert_allclose(found[:, :, :3], image.pixels[:, :, :3] @ np.array(rows, np.float32).T, rtol=1e-6)
    np.testing.assert_array_equal(found[:, :, 3], image.pixels[:, :, 3])
    np.testing.assert_array_equal(apply(table, image, camera="B").pixels, image.pixels)
    broken = Image.of(np.array([[[np.nan, 1.0, 1.0]]]))
    assert np.isfinite(apply(table, broken, camera="A001").pixels[0, 0]).tolist() == [False, True, False]


def test_a_colour_matrix_wants_colours():
    with pytest.raises(OperationFailed, match="colour_matrix: no channel R, G, B; there are Y; demosaic first"):
        apply({"kind": "colour_matrix"}, Image.of(noise(2, 2, 1)))
