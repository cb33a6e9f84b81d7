"""From sensor values to scene-linear light, against formulas and other libraries."""

from __future__ import annotations

import numpy as np
import pytest
from preprocess_operations_kit import noise

from preprocess.image import Image, Window
from preprocess.operations import operation_from
from preprocess.operations.port import Context, OperationFailed

ndimage = pytest.importorskip("scipy.ndimage")


def apply(table, image, **sides):
    return operation_from(table).apply(image, Context(frame=1001, load=lambda name: sides[name]))


def moved(image, x, y):
    window = image.data_window
    return image.with_pixels(image.pixels, data_window=Window(x, y, window.width, window.height))


@pytest.mark.parametrize("place", [(0, 0), (1, 0), (-1, 3)], ids=str)
def test_black_and_white_levels_follow_the_mosaics_phase(place):
    image = moved(Image.of(noise(5, 7, 1) * 1023), *place)
    rows, columns = np.mgrid[place[1] : place[1] + 5, place[0] : place[0] + 7]
    black = np.array([60.0, 64.0, 66.0, 70.0])[2 * (rows % 2) + columns % 2][:, :, None]
    found = apply({"kind": "black_level", "black": [60, 64, 66, 70], "white": 1000}, image)
    per_pixel_white = 1000 - black
    np.testing.assert_allclose(found.pixels, (image.pixels - black) / per_pixel_white, rtol=1e-6, atol=1e-6)


def test_a_flat_field_evens_out_what_it_shows():
    scene, shade, dark = noise(6, 5, 3), noise(6, 5, 1, 2) + 0.5, noise(6, 5, 1, 3) * 0.1
    image, flat = Image.of(scene * shade + dark), Image.of(shade * 2 + dark)
    found = apply({"kind": "flat_field", "flat": "f", "dark": "d", "level": 2}, image, flat=flat, dark=Image.of(dark))
    np.testing.assert_allclose(found.pixels, scene, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("useless", [0.0, -1.0, np.nan])
def test_where_a_flat_field_is_useless_the_value_stays(useless):
    flat = np.ones((2, 2))
    flat[0, 1] = useless
    found = apply({"kind": "flat_field", "flat": "f"}, Image.of(np.full((2, 2), 3.0)), flat=Image.of(flat))
    np.testing.assert_array_equal(found.pixels, np.full((2, 2, 1), 3, np.float32))


def test_a_flat_field_that_is_too_small_is_told_by_frame_and_size():
    with pytest.raises(OperationFailed, match=r"frame 1001: flat_field: flat covers 2x2\+0\+0, not the picture's 3x3"):
        apply({"kind": "flat_field", "flat": "f"}, Image.of(np.ones((3, 3))), flat=Image.of(np.ones((2, 2))))


def _median_around(values, marked, spacing):
    """By hand: per pixel the median of the good pixels around it."""
    good = np.where(marked | ~np.isfinite(values), np.nan, values).astype(np.float64)
    found = np.zeros(values.shape)
    for row, column in np.ndindex(*values.shape):
        around = [
            good[row + dy, column + dx]
            for dy in (-spacing, 0, spacing)
            for dx in (-spacing, 0, spacing)
            if (dy or dx) and 0 <= row + dy < values.shape[0] and 0 <= column + dx < values.shape[1]
        ]
        votes = [value for value in around if not np.isnan(value)]
        found[row, column] = np.median(votes) if votes else 0.0
    return found


@pytest.mark.parametrize("spacing", [1, 2])
@pytest.mark.parametrize("size", [(9, 11), (3, 2), (1, 1)], ids=str)
def test_dead_pixels_become_the_median_of_their_colour(spacing, size):
    values = noise(*size, 1)[:, :, 0].copy()
    values.flat[0], values.flat[-1] = np.inf, np.nan
    marked = noise(*size, 1, 4)[:, :, 0] > 0.8
    expected = _median_around(values, marked, spacing)
    table = {"kind": "dead_pixel", "map": "m", "spacing": spacing}
    found = apply(table, Image.of(values), map=Image.of(marked)).pixels[:, :, 0]
    bad = marked | ~np.isfinite(values)
    np.testing.assert_allclose(found, np.where(bad, expected, values), rtol=1e-6)
    searched = apply({**table, "threshold": 0.3, "relative": 0.1}, Image.of(values), map=Image.of(marked)).pixels[
        :, :, 0
    ]
    with np.errstate(invalid="ignore"):
        bad |= np.abs(values - expected) > 0.3 + 0.1 * np.abs(expected)
    np.testing.assert_allclose(searched, np.where(bad, expected, values), rtol=1e-6)


def test_a_hot_pixel_is_found_without_a_map_and_nothing_else_changes():
    values = np.full((7, 8), 0.25, np.float32)
    values[3, 4] = 0.9
    found = apply({"kind": "dead_pixel", "threshold": 0.1}, Image.of(values))
    np.testing.assert_array_equal(found.pixels, np.full((7, 8, 1), 0.25, np.float32))


def _masks(pattern, height, width):
    rows, columns = np.mgrid[0:height, 0:width]
    letters = np.array(list(pattern))[2 * (rows % 2) + columns % 2]
    return [letters == colour for colour in "RGB"]


def _bilinear(mosaic, pattern):
    """As convolutions of the three sparse planes."""
    red_blue = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4
    green = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
    planes = zip(_masks(pattern, *mosaic.shape), (red_blue, green, red_blue), strict=True)
    return np.stack([ndimage.convolve(mosaic * mask, kernel, mode="mirror") for mask, kernel in planes], axis=-1)


# The paper's figure 2, in eighths.
_G = [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]]
_ROW = [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]
_DIAGONAL = [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]]


def _malvar(mosaic, pattern):
    red, green, blue = _masks(pattern, *mosaic.shape)
    at_green, row, column, diagonal = (
        ndimage.convolve(mosaic, np.array(kernel) / 8, mode="mirror")
        for kernel in (_G, _ROW, np.transpose(_ROW), _DIAGONAL)
    )
    found = []
    for own, opposite in ((red, blue), (blue, red)):
        in_row = green & own.any(axis=1)[:, None]
        plane = np.where(own, mosaic, np.where(opposite, diagonal, np.where(in_row, row, column)))
        found.append(plane)
    return np.stack([found[0], np.where(green, mosaic, at_green), found[1]], axis=-1)


@pytest.mark.parametrize("pattern", ["RGGB", "BGGR", "GRBG", "GBRG"])
@pytest.mark.parametrize(("method", "reference"), [("bilinear", _bilinear), ("malvar", _malvar)])
def test_demosaicing_agrees_with_convolutions(pattern, method, reference):
    for size in ((8, 10), (7, 9), (3, 3)):
        mosaic = noise(*size, 1)[:, :, 0]
        found = apply({"kind": "demosaic", "pattern": pattern, "method": method}, Image.of(mosaic))
        assert found.channels == ("R", "G", "B")
        np.testing.assert_allclose(found.pixels, reference(mosaic.astype(np.float64), pattern), atol=1e-6)


def test_bilinear_demosaicing_agrees_with_opencv_inside():
    cv2 = pytest.importorskip("cv2")
    mosaic = (noise(12, 14, 1)[:, :, 0] * 1000).astype(np.uint16) * 4  # so that quarters are whole
    found = apply({"kind": "demosaic", "pattern": "RGGB", "method": "bilinear"}, Image.of(mosaic)).pixels
    expected = cv2.cvtColor(mosaic, cv2.COLOR_BayerRGGB2RGB)
    np.testing.assert_allclose(found[2:-2, 2:-2], expected[2:-2, 2:-2], atol=0.51)


def test_a_crop_at_an_odd_place_keeps_the_mosaics_colours():
    image = Image.of(noise(12, 12, 1))
    whole = apply({"kind": "demosaic"}, image)
    part = apply({"kind": "demosaic"}, image.part(Window(1, 3, 9, 8)))
    np.testing.assert_array_equal(part.pixels[2:-2, 2:-2], whole.pixels[5:9, 3:8])


def test_a_nan_in_a_mosaic_stays_within_two_pixels():
    mosaic = noise(11, 11, 1)
    mosaic[5, 5] = np.nan
    found = apply({"kind": "demosaic"}, Image.of(mosaic)).pixels
    rows, columns = np.nonzero(~np.isfinite(found).all(axis=2))
    assert (5, 5) in set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert max(np.abs(rows - 5).max(), np.abs(columns - 5).max()) == 2


def test_demosaic_wants_one_channel():
    with pytest.raises(OperationFailed, match="a mosaic has one channel, not 3"):
        apply({"kind": "demosaic"}, Image.of(noise(2, 2, 3)))


@pytest.mark.parametrize(
    ("curve", "code", "linear"),
    [
        ("srgb", 0.5, 0.21404114),
        ("srgb", 0.04, 0.04 / 12.92),
        ("srgb", -0.5, -0.21404114),
        ("rec709", 0.5, 0.25958940),
        ("rec709", 0.0405, 0.009),
        ("gamma", 0.5, 0.5**2.4),
        ("logc3", 0.391007, 0.18),  # ARRI: 18 % grey at EI 800 is code 400 of 1023
        ("logc3", 0.092809, 0.0),
        ("slog3", 420 / 1023, 0.18),  # Sony: 18 % reflectance is code 420, 0 % is 95, 90 % is 598
        ("slog3", 95 / 1023, 0.0),
        ("slog3", 598 / 1023, 0.90),
    ],
)
def test_curves_go_through_their_published_points(curve, code, linear):
    operation = {"kind": "linearise", "curve": curve}
    values = np.full((1, 2, 3), code, np.float32)
    found = apply(operation, Image.of(values)).pixels
    np.testing.assert_allclose(found, np.full((1, 2, 3), linear), rtol=2e-3 if curve == "slog3" else 2e-5, atol=1e-6)
    back = apply({**operation, "inverse": True}, Image.of(found)).pixels
    np.testing.assert_allclose(back, values, atol=2e-6)


def test_curves_leave_alpha_and_nan_and_depth_as_they_are():
    pixels = np.array([[[0.5, np.nan, np.inf, 0.5]]], np.float32)
    found = apply({"kind": "linearise", "curve": "gamma", "gamma": 2}, Image.of(pixels)).pixels
    np.testing.assert_array_equal(found, np.array([[[0.25, np.nan, np.inf, 0.5]]], np.float32))


def test_a_table_is_interpolated_and_clamped(tmp_path):
    values = Image.of(np.array([[-1.0, 0.0, 0.25, 0.5, 2.0, np.inf]]))
    found = apply({"kind": "linearise", "curve": "table", "table": [0, 1, 4]}, values).pixels[0, :, 0]
    np.testing.assert_array_equal(found, [0, 0, 0.5, 1, 4, 4])
    file = tmp_path / "log.spi1d"
    file.write_text("Version 1\nFrom -1.0 1.0\nLength 3\nComponents 1\n{\n 0\n 1\n 4\n}\n")
    found = apply({"kind": "linearise", "curve": "table", "file": "l"}, values, file=file).pixels[0, :, 0]
    np.testing.assert_array_equal(found, [0, 1, 1.75, 2.5, 4, 4])
    file.write_text("Version 1\nFrom 0 1\nLength 4\nComponents 1\n{\n 0\n 1\n}\n")
    with pytest.raises(OperationFailed, match=r"log.spi1d is no .spi1d of one column: it holds 2 values"):
        apply({"kind": "linearise", "curve": "table", "file": "l"}, values, file=file)


# Linear BT.709 to ACEScg (AP1, D60) by Bradford: the matrix that OpenColorIO-Config-ACES publishes.
_TO_ACESCG = [
    [0.6130974, 0.3395231, 0.0473795],
    [0.0701937, 0.9163539, 0.0134524],
    [0.0206156, 0.1095698, 0.8698147],
]


def test_ocio_agrees_with_the_curve_and_the_matrix(monkeypatch):
    pytest.importorskip("OpenImageIO")
    monkeypatch.setenv("OCIO", "/no/such/config.ocio")
    image = Image.of(noise(5, 4, 4))
    linear = apply({"kind": "linearise", "curve": "srgb"}, image).pixels[:, :, :3]
    found = apply({"kind": "ocio", "source": "sRGB Encoded Rec.709 (sRGB)"}, image)
    np.testing.assert_allclose(found.pixels[:, :, :3], linear @ np.array(_TO_ACESCG).T, atol=2e-5)
    np.testing.assert_array_equal(found.pixels[:, :, 3], image.pixels[:, :, 3])


def test_an_unknown_colour_space_is_named():
    pytest.importorskip("OpenImageIO")
    with pytest.raises(OperationFailed, match=r"frame 1001: ocio: .*check source, target and config"):
        apply({"kind": "ocio", "source": "no such space"}, Image.of(noise(2, 2, 3)))
