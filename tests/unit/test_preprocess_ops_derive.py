"""What is made of pictures: cleaner ones, mattes, proxies, figures."""

from __future__ import annotations

import numpy as np
import pytest
from preprocess_operations_kit import noise, picture

from preprocess.image import Image, Window
from preprocess.operations import operation_from
from preprocess.operations.port import Context, OperationFailed
from preprocess.operations.proxy import pyramid


def apply(table, image, **sides):
    return operation_from(table).apply(image, Context(frame=1001, load=lambda name: sides[name]))


def denoise(images, **parameters):
    return operation_from({"kind": "denoise", **parameters}).apply_window(images, Context(frame=1001))


def _denoised(images, radius, sigma, patch, measure):
    """By hand, a pixel at a time."""
    centre = images[0].pixels.astype(np.float64)
    height, width, _ = centre.shape
    found = np.zeros_like(centre)
    for row, column in np.ndindex(height, width):
        total, weights = centre[row, column].copy(), 1.0
        for offset, image in images.items():
            if offset == 0:
                continue
            distances = []
            for dy in range(-patch, patch + 1):
                for dx in range(-patch, patch + 1):
                    y, x = min(max(row + dy, 0), height - 1), min(max(column + dx, 0), width - 1)
                    distances.append(((measure(image.pixels[y, x]) - measure(centre[y, x])) / sigma) ** 2)
            weight = (1 - abs(offset) / (radius + 1)) * np.exp(-np.mean(distances) / 2)
            total += weight * image.pixels[row, column]
            weights += weight
        found[row, column] = total / weights
    return found


@pytest.mark.parametrize(
    ("unit", "measure"),
    [("linear", lambda value: value), ("stops", lambda value: np.log2(np.maximum(value, 0) + 2.0**-12))],
)
@pytest.mark.parametrize("patch", [0, 1])
def test_denoising_is_its_formula(unit, measure, patch):
    images = {offset: picture(5, 7, 3, 10 + offset) for offset in (-2, -1, 0, 1, 2)}
    found = denoise(images, radius=2, sigma=0.4, unit=unit, patch=patch)
    np.testing.assert_allclose(found.pixels, _denoised(images, 2, 0.4, patch, measure), atol=2e-5)


def test_denoising_lowers_noise_and_leaves_motion_alone():
    rng = np.random.default_rng(3)
    clean = np.full((40, 40, 1), 0.5, np.float32)
    frames = {}
    for offset in range(-3, 4):
        frame = clean + rng.normal(0, 0.01, clean.shape).astype(np.float32)
        frame[10:20, 10 + 4 * offset : 18 + 4 * offset] += 0.4
        frames[offset] = Image.of(frame)
    found = denoise(frames, radius=3, sigma=0.02).pixels
    assert found[30:].std() < 0.6 * frames[0].pixels[30:].std()
    np.testing.assert_allclose(found[11:19, 11:17].mean(), 0.9, atol=0.01)
    np.testing.assert_allclose(found[11:19, 30:].mean(), 0.5, atol=0.01)


def test_the_ends_of_a_shot_and_broken_pixels_have_no_vote():
    still = {0: Image.of(np.full((3, 3), 0.5)), 1: Image.of(np.full((3, 3), 0.5))}
    np.testing.assert_array_equal(denoise(still, radius=3, sigma=1).pixels, still[0].pixels)
    broken = np.full((3, 3), 0.25, np.float32)
    broken[1, 1], broken[0, 0] = np.nan, np.inf
    found = denoise({0: still[0], 1: Image.of(broken)}, sigma=1, patch=0).pixels[:, :, 0]
    assert found[1, 1] == found[0, 0] == 0.5
    assert found[2, 2] < 0.5
    itself = denoise({0: Image.of(broken), 1: still[0]}, sigma=1, patch=0).pixels[:, :, 0]
    np.testing.assert_array_equal(np.isfinite(itself), np.isfinite(broken))


def test_frames_of_different_sizes_are_not_averaged():
    with pytest.raises(OperationFailed, match=r"3x3\+0\+0 here and 4x3\+0\+0 \(Y\) \+1 frames away cannot be compared"):
        denoise({0: Image.of(np.zeros((3, 3))), 1: Image.of(np.zeros((3, 4)))}, sigma=1)


def test_a_difference_key_ramps_the_greatest_difference():
    plate, image = picture(5, 6), picture(5, 6, seed=2)
    found = apply({"kind": "difference_key", "plate": "p", "low": 0.2, "high": 0.7}, image, plate=plate)
    expected = np.clip((np.abs(image.pixels - plate.pixels).max(axis=2) - 0.2) / 0.5, 0, 1)
    assert found.channels == ("R", "G", "B", "A")
    np.testing.assert_array_equal(found.pixels[:, :, :3], image.pixels)
    np.testing.assert_allclose(found.pixels[:, :, 3], expected, atol=1e-6)


def test_a_plate_without_differences_gives_an_empty_matte_and_doubtful_pixels_are_kept():
    image = picture(4, 4)
    assert not apply({"kind": "difference_key", "plate": "p"}, image, plate=image).pixels[:, :, 3].any()
    pixels = image.pixels.copy()
    pixels[0, 0], pixels[1, 1] = np.nan, np.inf
    broken = image.with_pixels(pixels)
    matte = apply({"kind": "difference_key", "plate": "p", "matte": "m"}, broken, plate=broken)
    assert matte.channels == ("R", "G", "B", "m")
    assert np.argwhere(matte.pixels[:, :, 3]).tolist() == [[0, 0], [1, 1]]
    assert np.isfinite(matte.pixels[:, :, 3]).all()


@pytest.mark.parametrize(
    ("plate", "message"),
    [
        (Image.of(np.zeros((2, 2, 3))), r"plate covers 2x2\+0\+0, not the picture's 4x4\+0\+0"),
        (Image.of(np.zeros((4, 4)), "Z"), r"plate \(Z\) shares no channel with the picture"),
    ],
)
def test_a_plate_that_does_not_fit_is_refused(plate, message):
    with pytest.raises(OperationFailed, match=message):
        apply({"kind": "difference_key", "plate": "p"}, picture(4, 4), plate=plate)


def test_a_chroma_key_is_vlahos_colour_difference():
    image = picture(6, 7, 4)
    table = {"kind": "chroma_key", "screen": "blue", "low": 0.1, "high": 0.4, "despill": True}
    found = apply(table, image)
    red, green, blue = (image.pixels[:, :, place] for place in range(3))
    spill = blue - np.maximum(red, green)
    assert found.channels == ("R", "G", "B", "A")
    np.testing.assert_allclose(found.pixels[:, :, 3], 1 - np.clip((spill - 0.1) / 0.3, 0, 1), atol=1e-6)
    np.testing.assert_allclose(found.pixels[:, :, 2], np.where(spill > 0, blue - spill, blue), atol=1e-6)
    np.testing.assert_array_equal(found.pixels[:, :, :2], image.pixels[:, :, :2])


def test_a_picture_of_nothing_but_screen_has_an_empty_matte_and_nan_is_foreground():
    screen = np.zeros((3, 3, 3), np.float32)
    screen[:, :, 1] = 1
    screen[1, 1, 0] = np.nan
    matte = apply({"kind": "chroma_key"}, Image.of(screen)).pixels[:, :, 3]
    assert np.argwhere(matte).tolist() == [[1, 1]]


def test_a_proxy_is_the_mean_of_its_cells():
    transform = pytest.importorskip("skimage.transform")
    image = picture(24, 40)
    found = apply({"kind": "proxy", "levels": 3}, image)
    np.testing.assert_allclose(found.pixels, transform.downscale_local_mean(image.pixels, (8, 8, 1)), atol=1e-6)
    assert [level.shape[:2] for level in pyramid(image, 3)] == [(24, 40), (12, 20), (6, 10), (3, 5)]


@pytest.mark.parametrize("place", [(0, 0), (1, 0), (-3, 5)], ids=str)
def test_cells_count_from_the_display_window_and_odd_edges_average_what_they_have(place):
    pixels = noise(5, 7, 2)
    image = Image.of(pixels)
    image = image.with_pixels(pixels, data_window=Window(*place, 7, 5), display_window=Window(0, 0, 9, 9))
    found = apply({"kind": "proxy"}, image)
    cells: dict[tuple[int, int], list[np.ndarray]] = {}
    for row, column in np.ndindex(5, 7):
        cells.setdefault(((row + place[1]) // 2, (column + place[0]) // 2), []).append(pixels[row, column])
    rows, columns = (sorted({cell[axis] for cell in cells}) for axis in (0, 1))
    assert found.data_window == Window(columns[0], rows[0], len(columns), len(rows))
    assert found.display_window == Window(0, 0, 5, 5)
    expected = [[np.mean(cells[row, column], axis=0) for column in columns] for row in rows]
    np.testing.assert_allclose(found.pixels, expected, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("top", [0, 1])
def test_bands_make_no_difference_to_a_proxy(monkeypatch, rows, top):
    pixels = noise(9, 6, 2)
    image = Image.of(pixels, y=top).with_pixels(pixels, display_window=Window(0, 0, 9, 9))
    whole = apply({"kind": "proxy", "levels": 2}, image)
    bands = lambda height, _: ((at, min(height, at + rows)) for at in range(0, height, rows))  # noqa: E731
    monkeypatch.setattr("preprocess.operations.proxy.row_bands", bands)
    assert np.array_equal(apply({"kind": "proxy", "levels": 2}, image).pixels, whole.pixels)


def test_statistics_of_many_pixels_leave_out_each_that_is_no_number():
    values = noise(1, 600_000, 1)
    values[:, ::7] = np.nan
    values[:, 1::70_001] = np.inf
    context = Context()
    operation_from({"kind": "statistics", "percentiles": [25]}).apply(Image.of(values), context)
    finite = values[np.isfinite(values)]
    found = context.records["statistics"]["luma"]
    assert found["percentiles"]["25"] == pytest.approx(np.percentile(finite, 25), rel=1e-6)
    assert found["nan"] + found["inf"] == values.size - finite.size
    histogram = found["histogram"]
    assert histogram["below"] + sum(histogram["counts"]) + histogram["above"] == finite.size


def test_statistics_pass_the_picture_on_and_record_what_it_holds():
    image = picture(30, 20)
    context = Context(frame=1001)
    assert operation_from({"kind": "statistics", "percentiles": [5, 50, 95]}).apply(image, context) is image
    found = context.records["statistics"]
    luma = image.pixels.astype(np.float64) @ [0.2126, 0.7152, 0.0722]
    assert found["data_window"] == [0, 0, 20, 30]
    assert found["channels"]["G"]["mean"] == pytest.approx(image.pixels[:, :, 1].mean(dtype=np.float64))
    assert found["channels"]["B"]["max"] == image.pixels[:, :, 2].max()
    assert found["luma"]["mean"] == pytest.approx(luma.mean(), rel=1e-6)
    for name, expected in zip(("5", "50", "95"), np.percentile(luma, [5, 50, 95]), strict=True):
        assert found["luma"]["percentiles"][name] == pytest.approx(expected, rel=1e-5)
    histogram = found["luma"]["histogram"]
    expected_counts = np.histogram(luma, bins=np.exp2(histogram["edges"]))[0]
    assert histogram["counts"] == expected_counts.tolist()
    assert histogram["below"] + sum(histogram["counts"]) + histogram["above"] == 600


def test_statistics_count_nan_and_inf_apart():
    image = Image.of(np.array([[np.nan, np.inf, -np.inf, 1.0, 3.0, -2.0, 1e9]]))
    context = Context()
    operation_from({"kind": "statistics"}).apply(image, context)
    luma = context.records["statistics"]["luma"]
    assert (luma["nan"], luma["inf"], luma["min"], luma["max"]) == (1, 2, -2.0, 1e9)
    assert (luma["histogram"]["below"], luma["histogram"]["above"]) == (1, 1)
    empty = Context()
    operation_from({"kind": "statistics", "name": "raw"}).apply(Image.of(np.full((2, 2, 3), np.nan)), empty)
    assert empty.records["raw"]["luma"]["mean"] is None
    assert empty.records["raw"]["luma"]["percentiles"] == {"1": None, "50": None, "99": None}
    assert empty.records["raw"]["channels"]["R"] == {"min": None, "max": None, "mean": None, "nan": 4, "inf": 0}


def test_channels_are_kept_ordered_and_renamed():
    image = picture(2, 3, 4)
    found = apply({"kind": "channels", "keep": ["A", "R"], "names": ["Y", "matte"]}, image)
    assert found.channels == ("Y", "matte")
    np.testing.assert_array_equal(found.pixels, image.pixels[:, :, [3, 0]])
    with pytest.raises(OperationFailed, match="frame 1001: channels: no channel Z; there are R, G, B, A"):
        apply({"kind": "channels", "keep": ["Z"]}, image)
