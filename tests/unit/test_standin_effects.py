"""Operations that lean on OpenColorIO and FreeType, or that spread a picture over its neighbourhood."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenImageIO
import pytest
from standin_kit import constant, engine_for, pull, value

from jit_render.model.errors import RenderError, UnsupportedNode
from jit_render.render.standin.engine import check, upstream
from jit_render.render.standin.image import COLOUR

GREY = constant("0.18 0.18 0.18 0.5", "C")
SRGB_OF_GREY = 0.461356


def colours(text: str, node: str = "N") -> list[float]:
    image = pull(text, node)
    return [value(image, name, 3, 3) for name in COLOUR]


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("Linear Rec.709 (sRGB)", "sRGB Encoded Rec.709 (sRGB)", [SRGB_OF_GREY] * 3),
        ("sRGB Encoded Rec.709 (sRGB)", "Linear Rec.709 (sRGB)", [0.027211] * 3),
        ("scene_linear (ACES - ACEScg)", "scene_linear", [0.18] * 3),
        ("scene_linear", "ACES2065-1", [0.18] * 3),
    ],
)
def test_ocio_colorspace_converts_between_spaces_of_the_built_in_configuration(source, target, expected):
    text = GREY + f'OCIOColorSpace {{\n in_colorspace "{source}"\n out_colorspace "{target}"\n name N\n}}\n'
    assert colours(text) == pytest.approx(expected, abs=1e-4)
    assert value(pull(text, "N"), "rgba.alpha") == 0.5


def test_ocio_colorspace_moves_primaries():
    red = constant("1 0 0 1", "C")
    knobs = 'in_colorspace "Linear Rec.709 (sRGB)"\n out_colorspace ACEScg'
    assert colours(red + f"OCIOColorSpace {{\n {knobs}\n name N\n}}\n") == pytest.approx(
        [0.613097, 0.070194, 0.020616], abs=1e-4
    )


def test_ocio_colorspace_takes_the_configuration_that_it_names(tmp_path):
    (tmp_path / "own.ocio").write_text(
        "ocio_profile_version: 1\nroles:\n  default: raw\n  scene_linear: raw\n"
        "displays:\n  none:\n    - !<View> {name: raw, colorspace: raw}\n"
        "colorspaces:\n  - !<ColorSpace>\n    name: raw\n  - !<ColorSpace>\n    name: double\n"
        "    from_reference: !<MatrixTransform> {matrix: [2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1]}\n"
    )
    knobs = f"configfile {tmp_path}/own.ocio\n in_colorspace raw\n out_colorspace double"
    assert colours(GREY + f"OCIOColorSpace {{\n {knobs}\n name N\n}}\n") == pytest.approx([0.36] * 3)


def test_an_unknown_colour_space_is_an_error_that_names_it_and_the_node():
    text = GREY + "OCIOColorSpace {\n in_colorspace scene_linear\n out_colorspace nonsense\n name N\n}\n"
    with pytest.raises(RenderError, match=r"OCIOColorSpace N \(line \d+\).*nonsense"):
        pull(text, "N")


HALF = "Version 1\nFrom 0.0 1.0\nLength 2\nComponents 1\n{\n0.0\n0.5\n}\n"
SLOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ColorCorrection id="one"><SOPNode><Slope>2 1 1</Slope>'
    "<Offset>0 0 0.1</Offset><Power>1 1 1</Power></SOPNode><SatNode><Saturation>1</Saturation></SatNode>"
    "</ColorCorrection>\n"
)
CUBE = "LUT_3D_SIZE 2\n" + "".join(f"{r / 2} {g / 2} {b / 2}\n" for b in (0, 1) for g in (0, 1) for r in (0, 1))


@pytest.mark.parametrize(
    ("name", "data", "knobs", "expected"),
    [
        ("half.spi1d", HALF, "", [0.09] * 3),
        ("half.spi1d", HALF, " direction inverse\n", [0.36] * 3),
        ("slope.cc", SLOPE, "", [0.36, 0.18, 0.28]),
        ("half.cube", CUBE, "", [0.09] * 3),
        ("half.cube", CUBE, " direction inverse\n", [0.36] * 3),
    ],
)
def test_ocio_file_transforms_of_several_types(tmp_path, name, data, knobs, expected):
    (tmp_path / name).write_text(data)
    text = GREY + f"OCIOFileTransform {{\n file {tmp_path}/{name}\n{knobs} name N\n}}\n"
    assert colours(text) == pytest.approx(expected, abs=2e-3)


def test_a_transform_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "broken.spi1d").write_text("no table")
    with pytest.raises(RenderError, match=r"OCIOFileTransform N \(line \d+\).*broken\.spi1d"):
        pull(GREY + f"OCIOFileTransform {{\n file {tmp_path}/broken.spi1d\n name N\n}}\n", "N")


@pytest.mark.parametrize(
    "node",
    [
        "OCIOFileTransform {\n file /a.ccc\n cccid shot7\n name N\n}\n",
        "OCIOFileTransform {\n file /a.cc\n working_space ACEScct\n name N\n}\n",
        "Vectorfield {\n vfield_file /a.cube\n colorspaceIn Cineon\n name N\n}\n",
        "Median {\n size 40\n name N\n}\n",
    ],
)
def test_what_would_give_other_pixels_than_nuke_is_refused_before_the_first_frame(node):
    engine = engine_for(GREY + node, "N")
    with pytest.raises(UnsupportedNode, match=r"N \(line \d+\): the stand-in does no"):
        check(upstream([engine.script.find("N")]), engine)


SPOT = constant("1 1 1 1", "C") + "Crop {\n box {4 4 5 5}\n name Spot\n}\n"


@pytest.mark.parametrize(
    ("knobs", "where"),
    [
        ("shutter 1\n shutteroffset start", (4, 8)),
        ("shutter 1\n shutteroffset end", (0, 4)),
        ("shutter 1\n shutteroffset centred", (2, 6)),
        ("shutter 0.5\n shutteroffset start", (4, 6)),
        ("shutter 0.5\n shutteroffset custom\n shuttercustomoffset 1", (8, 10)),
    ],
)
def test_motion_blur_spreads_a_moving_spot_along_its_way(knobs, where):
    node = f"Transform {{\n translate {{{{(frame-1)*4}} 0}}\n motionblur 4\n {knobs}\n name N\n}}\n"
    plane = pull(SPOT + node, "N").fitted(pull(constant("0 0 0 0", "B"), "B").box).plane("rgba.red")
    assert float(plane.sum()) == pytest.approx(1, abs=0.01)
    places = np.nonzero(plane[8 - 1 - 4] > 0.02)[0]
    assert where[0] - 1 <= places.min() <= where[0] + 1
    assert where[1] - 1 <= places.max() <= where[1] + 1


def test_motion_blur_leaves_what_does_not_move():
    still = pull(SPOT + "Transform {\n translate {2 1}\n motionblur 1\n name N\n}\n", "N")
    assert value(still, "rgba.red", 6, 5) == pytest.approx(1)


FONT = Path(OpenImageIO.__file__).parent / "share/fonts/OpenImageIO/DroidSans.ttf"
ROOMY = 'Root {\n format "200 100 0 0 200 100 1 roomy"\n}\nConstant {\n inputs 0\n channels rgba\n name C\n}\n'


def ink(knobs: str) -> np.ndarray:
    """Where a text in the font leaves its mark: [(row, column)], rows from the top."""
    if not FONT.is_file():
        pytest.skip(f"this OpenImageIO carries no fonts: {FONT} is missing")
    node = f'Text2 {{\n font_file {FONT}\n font_size 20\n message "Nuke"\n box {{0 0 200 100}}\n{knobs} name N\n}}\n'
    return np.argwhere(pull(ROOMY + node, "N").plane("rgba.red") > 0.5)


@pytest.mark.parametrize("across", ["left", "center", "right"])
@pytest.mark.parametrize("down", ["top", "center", "bottom"])
def test_text_in_a_font_stands_where_its_justification_says(across, down):
    marks = ink(f" xjustify {across}\n yjustify {down}\n")
    row, column = marks.mean(axis=0)
    assert {"left": column < 60, "center": 80 < column < 120, "right": column > 140}[across]
    assert {"top": row < 30, "center": 35 < row < 65, "bottom": row > 70}[down]


def test_text_in_a_font_is_cut_at_the_format_and_its_lines_lie_below_each_other():
    two = ink(' message "One\nTwo"\n')
    assert two[:, 0].max() - two[:, 0].min() > 25
    outside = ink(" box {150 40 2000 100}\n")
    assert outside[:, 1].min() >= 150


def test_a_missing_font_is_named(tmp_path):
    node = f"Text2 {{\n font_file {tmp_path}/none.ttf\n message A\n name N\n}}\n"
    with pytest.raises(RenderError, match=r"Text2 N \(line \d+\): the font file .*none\.ttf is missing"):
        pull(ROOMY + node, "N")


def test_a_median_takes_outliers_away_and_leaves_flat_pictures_and_edges():
    flat = pull(constant("0.5 0.5 0.5 1", "C") + "Median {\n size 2\n name N\n}\n", "N")
    assert np.all(flat.plane("rgba.red") == np.float32(0.5))
    speck = SPOT + constant("0 0 0 0", "B") + "Merge2 {\n inputs 2\n operation copy\n name M\n}\n"
    assert pull(speck, "M").plane("rgba.red").max() == 1
    assert pull(speck + "Median {\n size 1\n name N\n}\n", "N").plane("rgba.red").max() == 0
    edge = constant("1 1 1 1", "C") + "Crop {\n box {0 0 8 8}\n}\n" + constant("0 0 0 0", "B")
    edge += "Merge2 {\n inputs 2\n name M\n}\n"
    before, after = pull(edge, "M"), pull(edge + "Median {\n size {2 1}\n name N\n}\n", "N")
    assert np.array_equal(before.plane("rgba.red"), after.plane("rgba.red"))
