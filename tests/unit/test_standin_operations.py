from __future__ import annotations

import numpy as np
import pytest
from standin_kit import constant, engine_for, pull, value

from jit_render.model.errors import UnsupportedNode
from jit_render.render.standin import registry
from jit_render.render.standin.engine import check, upstream
from jit_render.render.standin.image import Box
from jit_render.script import parse

A, B = (0.6, 0.2, 0.9, 0.5), (0.1, 0.8, 0.3, 0.25)
a, b = A[3], B[3]


def two(node: str) -> str:
    """B is the first input, A the second."""
    below = constant(" ".join(map(str, B)), "Below")
    return constant(" ".join(map(str, A)), "Above") + below + node


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("over", [x + y * (1 - a) for x, y in zip(A, B, strict=True)]),
        ("under", [x * (1 - b) + y for x, y in zip(A, B, strict=True)]),
        ("plus", [x + y for x, y in zip(A, B, strict=True)]),
        ("minus", [x - y for x, y in zip(A, B, strict=True)]),
        ("from", [y - x for x, y in zip(A, B, strict=True)]),
        ("multiply", [x * y for x, y in zip(A, B, strict=True)]),
        ("screen", [x + y - x * y for x, y in zip(A, B, strict=True)]),
        ("max", [max(x, y) for x, y in zip(A, B, strict=True)]),
        ("min", [min(x, y) for x, y in zip(A, B, strict=True)]),
        ("difference", [abs(x - y) for x, y in zip(A, B, strict=True)]),
        ("mask", [y * a for y in B]),
        ("stencil", [y * (1 - a) for y in B]),
        ("in", [x * b for x in A]),
        ("out", [x * (1 - b) for x in A]),
        ("atop", [x * b + y * (1 - a) for x, y in zip(A, B, strict=True)]),
        ("average", [(x + y) / 2 for x, y in zip(A, B, strict=True)]),
        ("divide", [x / y for x, y in zip(A, B, strict=True)]),
        ("copy", list(A)),
    ],
)
def test_merges_follow_their_formulas(operation, expected):
    image = pull(two(f"Merge2 {{\n inputs 2\n operation {operation}\n name M\n}}\n"), "M")
    assert [value(image, name) for name in image.names] == pytest.approx(expected, abs=1e-6)


def test_a_merge_with_mix_goes_part_of_the_way_from_b():
    image = pull(two("Merge2 {\n inputs 2\n operation copy\n mix 0.25\n name M\n}\n"), "M")
    assert value(image, "rgba.red") == pytest.approx(0.1 + 0.25 * 0.5)


def test_a_merge_goes_only_where_its_mask_is():
    mask = constant("0 0 0 1", "Mask") + "Crop {\n box {0 0 4 8}\n name Half\n}\n"
    image = pull(mask + two("Merge2 {\n inputs 2+1\n operation copy\n maskChannelMask rgba.alpha\n name M\n}\n"), "M")
    assert value(image, "rgba.red", 3) == pytest.approx(0.6)
    assert value(image, "rgba.red", 4) == pytest.approx(0.1)


def test_a_small_a_changes_b_only_where_it_lies():
    above = constant("1 1 1 1", "Above") + "Crop {\n box {2 2 5 4}\n name Cut\n}\n"
    text = above + constant("0.25 0 0 0.5", "Below") + "Merge2 {\n inputs 2\n operation OP\n name M\n}\n"
    for operation in ("over", "plus", "screen", "atop", "from", "xor"):
        image = pull(text.replace("OP", operation), "M")
        assert image.box == Box(0, 0, 16, 8)
        assert value(image, "rgba.red", 0, 0) == pytest.approx(0.25)
        assert value(image, "rgba.red", 5, 3) == pytest.approx(0.25)
        assert value(image, "rgba.red", 4, 3) != pytest.approx(0.25)


def test_later_inputs_of_a_merge_are_laid_on_top():
    text = constant("0 0 0 0", "C3") + constant("0.2 0 0 0", "C2") + constant("0.1 0 0 0", "C1")
    image = pull(text + "Merge2 {\n inputs 3\n operation plus\n name M\n}\n", "M")
    assert value(image, "rgba.red") == pytest.approx(0.3)


GREY = constant("0.5 0.25 2 1", "C")


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("Grade {\n white 2\n name N\n}", (1.0, 0.5, 4.0)),
        ("Grade {\n blackpoint 0.25\n whitepoint 0.75\n name N\n}", (0.5, 0.0, 3.5)),
        ("Grade {\n multiply {2 1 0.5 1}\n add 0.1\n name N\n}", (1.1, 0.35, 1.1)),
        ("Grade {\n gamma 2\n name N\n}", (0.5**0.5, 0.25**0.5, 2**0.5)),
        ("Grade {\n white_clamp true\n name N\n}", (0.5, 0.25, 1.0)),
        ("Grade {\n add -1\n name N\n}", (0.0, 0.0, 1.0)),
        ("Grade {\n add -1\n black_clamp false\n name N\n}", (-0.5, -0.75, 1.0)),
        ("Multiply {\n channels rgb\n value 2\n name N\n}", (1.0, 0.5, 4.0)),
        ("Add {\n value {0.5 0 0 0}\n name N\n}", (1.0, 0.25, 2.0)),
        ("Gamma {\n value 0.5\n name N\n}", (0.25, 0.0625, 4.0)),
        ("Invert {\n name N\n}", (0.5, 0.75, -1.0)),
        ("Invert {\n clamp true\n name N\n}", (0.5, 0.75, 0.0)),
        ("Clamp {\n name N\n}", (0.5, 0.25, 1.0)),
        ("Clamp {\n maximum 0.4\n MaxClampTo 9\n MaxClampTo_enable true\n name N\n}", (9.0, 0.25, 9.0)),
        ("Saturation {\n saturation 1\n name N\n}", (0.5, 0.25, 2.0)),
        ("Saturation {\n saturation 0\n mode Average\n name N\n}", (2.75 / 3, 2.75 / 3, 2.75 / 3)),
        ("ColorCorrect {\n gain 2\n offset 0.1\n name N\n}", (1.1, 0.6, 4.1)),
        ("Colorspace {\n colorspace_out sRGB\n name N\n}", (0.735357, 0.537099, 1.353256)),
        ("Grade {\n white 2\n disable true\n name N\n}", (0.5, 0.25, 2.0)),
        ("Grade {\n white 2\n mix 0.5\n name N\n}", (0.75, 0.375, 3.0)),
    ],
)
def test_colour_operations(node, expected):
    image = pull(GREY + node + "\n", "N")
    assert [value(image, f"rgba.{c}") for c in ("red", "green", "blue")] == pytest.approx(expected, abs=1e-4)


def test_reverse_grade_undoes_a_grade():
    knobs = "blackpoint 0.1\n whitepoint 0.9\n white 1.5\n gamma 1.7\n add 0.05\n black_clamp false"
    image = pull(GREY + f"Grade {{\n {knobs}\n}}\nGrade {{\n {knobs}\n reverse true\n name N\n}}\n", "N")
    assert [value(image, f"rgba.{c}") for c in ("red", "green", "blue")] == pytest.approx((0.5, 0.25, 2.0), abs=1e-5)


def test_color_correct_ranges_leave_other_ranges_alone():
    dark = pull(constant("0.02 0.02 0.02 1", "C") + "ColorCorrect {\n shadows.gain 2\n name N\n}\n", "N")
    bright = pull(constant("2 2 2 1", "C") + "ColorCorrect {\n shadows.gain 2\n name N\n}\n", "N")
    assert value(dark, "rgba.red") > 0.03
    assert value(bright, "rgba.red") == pytest.approx(2)


def test_premult_and_unpremult_undo_each_other():
    text = constant("0.5 0.25 1 0.5", "C") + "Premult {\n name P\n}\nUnpremult {\n name N\n}\n"
    assert value(pull(text, "P"), "rgba.red") == pytest.approx(0.25)
    assert value(pull(text, "N"), "rgba.red") == pytest.approx(0.5)


def spot(x: int, y: int) -> str:
    """White but for one pixel's box, cut out of a constant."""
    return constant("1 1 1 1", "C") + f"Crop {{\n box {{{x} {y} {x + 1} {y + 1}}}\n name Spot\n}}\n"


@pytest.mark.parametrize(
    ("node", "place"),
    [
        ("Transform {\n translate {3 2}\n name N\n}", (5, 3)),
        ("Transform {\n translate {3 2}\n invert_matrix true\n name N\n}", (-1, -1)),
        ("Transform {\n rotate 90\n center {0 0}\n filter Impulse\n name N\n}", (-2, 2)),
        ("Transform {\n rotate 180\n center {8 4}\n filter Impulse\n name N\n}", (13, 6)),
        ("Mirror2 {\n flip true\n name N\n}", (2, 6)),
        ("Mirror2 {\n flop true\n name N\n}", (13, 1)),
        ("Position {\n translate {-2 1}\n name N\n}", (0, 2)),
        ("CornerPin2D {\n to1 {1 0}\n to2 {17 0}\n to3 {17 8}\n to4 {1 8}\n name N\n}", (3, 1)),
        ('Reformat {\n type "to box"\n box_width 20\n box_height 10\n box_fixed 1\n resize none\n name N\n}', (4, 2)),
        ("Reformat {\n type scale\n scale 2\n resize distort\n filter Impulse\n center false\n name N\n}", (4, 2)),
    ],
)
def test_moves_put_a_pixel_where_it_belongs(node, place):
    image = pull(spot(2, 1) + node + "\n", "N")
    assert value(image, "rgba.red", *place) == pytest.approx(1, abs=1e-4)
    assert float(image.plane("rgba.red").sum()) == pytest.approx(4 if "type scale" in node else 1, abs=1e-3)


def test_a_moved_picture_keeps_all_of_itself_outside_the_format():
    image = pull(spot(2, 1) + "Transform {\n translate {-9 0}\n}\nTransform {\n translate {9 0}\n name N\n}\n", "N")
    assert value(image, "rgba.red", 2, 1) == 1


def test_crop_with_reformat_makes_its_box_the_format():
    image = pull(constant("1 0 0 1", "C") + "Crop {\n box {2 1 10 6}\n reformat true\n name N\n}\n", "N")
    assert (image.box, image.format.width, image.format.height) == (Box(0, 0, 8, 5), 8, 5)


def test_filters_grow_the_window_up_to_the_format():
    blurry = pull(spot(8, 4) + "Blur {\n size 2\n name N\n}\n", "N")
    assert blurry.box.width > 1
    assert float(blurry.plane("rgba.red").sum()) == pytest.approx(1, abs=1e-3)
    at_edge = pull(spot(0, 0) + "Blur {\n size 3\n name N\n}\n", "N")
    assert (at_edge.box.x, at_edge.box.y) == (0, 0)


def test_defocus_spreads_a_point_over_a_disc():
    image = pull(spot(8, 4) + "Defocus {\n defocus 3\n crop false\n name N\n}\n", "N")
    assert float(image.plane("rgba.red").sum()) == pytest.approx(1, abs=1e-4)
    assert value(image, "rgba.red", 10, 4) == pytest.approx(value(image, "rgba.red", 8, 4), rel=1e-3)
    assert value(image, "rgba.red", 12, 4) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("cls", "size", "pixels"), [("Dilate", 1, 9), ("FilterErode", -1, 9), ("Erode", -1, 1)])
def test_growing_a_matte(cls, size, pixels):
    channels = "all" if cls != "Erode" else "alpha"
    image = pull(spot(8, 4) + f"{cls} {{\n channels {channels}\n size {size}\n name N\n}}\n", "N")
    assert float(image.plane("rgba.alpha").sum()) == pytest.approx(pixels)


def test_sharpen_makes_an_edge_steeper():
    text = "CheckerBoard2 {\n inputs 0\n boxsize 4\n centerlinewidth 0\n name C\n}\nSharpen {\n name N\n}\n"
    assert pull(text, "N").plane("rgba.red").max() > pull(text, "C").plane("rgba.red").max()


def test_copy_takes_a_channel_of_a():
    image = pull(two("Copy {\n inputs 2\n from0 rgba.red\n to0 depth.Z\n name N\n}\n"), "N")
    assert value(image, "depth.Z") == pytest.approx(0.6)
    assert value(image, "rgba.red") == pytest.approx(0.1)


SHUFFLE2 = """Shuffle2 {
 fromInput1 {{0} B}
 fromInput2 {{0} B}
 mappings "4 rgba.blue 0 2 rgba.red 0 0 black -1 -1 rgba.green 0 1
rgba.red 0 0 rgba.blue 0 2 white -1 -1 rgba.alpha 0 3"
 name N
}"""


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("Shuffle {\n red blue\n green white\n blue black\n name N\n}", (2.0, 1.0, 0.0, 1.0)),
        ("Shuffle {\n alpha white\n name N\n}", (0.5, 0.25, 2.0, 1.0)),
        ("Shuffle {\n in alpha\n green red\n blue red\n alpha red\n name N\n}", (1.0, 1.0, 1.0, 1.0)),
        (SHUFFLE2, (2.0, 0.0, 0.5, 1.0)),
        ("Shuffle2 {\n name N\n}", (0.5, 0.25, 2.0, 1.0)),
    ],
)
def test_shuffles(node, expected):
    image = pull(GREY + node + "\n", "N")
    assert [value(image, f"rgba.{c}") for c in ("red", "green", "blue", "alpha")] == pytest.approx(expected)


def test_shuffle2_reads_both_inputs():
    text = two(
        'Shuffle2 {\n inputs 2\n fromInput1 {{0} B}\n fromInput2 {{1} A}\n in2 rgba\n'
        ' mappings "2 rgba.red 0 0 rgba.red 0 0 rgba.red 1 0 rgba.green 0 1"\n name N\n}\n'
    )
    image = pull(text, "N")
    assert (value(image, "rgba.red"), value(image, "rgba.green")) == pytest.approx((0.1, 0.6))


def test_remove_and_keep():
    assert pull(GREY + "Remove {\n channels rgb\n name N\n}\n", "N").names == ("rgba.alpha",)
    assert pull(GREY + "Remove {\n operation keep\n channels rgb\n name N\n}\n", "N").names[-1] == "rgba.blue"


def test_channel_merge():
    image = pull(two("ChannelMerge {\n inputs 2\n operation plus\n name N\n}\n"), "N")
    assert value(image, "rgba.alpha") == pytest.approx(0.75)


def test_keymix_dissolve_switch():
    mask = constant("0 0 0 0.5", "Mask")
    assert value(pull(mask + two("Keymix {\n inputs 3\n name N\n}\n"), "N"), "rgba.red") == pytest.approx(0.35)
    assert value(pull(two("Dissolve {\n inputs 2\n which 0.5\n name N\n}\n"), "N"), "rgba.red") == pytest.approx(0.35)
    assert value(pull(two("Switch {\n inputs 2\n which 1\n name N\n}\n"), "N"), "rgba.red") == pytest.approx(0.6)
    assert value(pull(two("Switch {\n inputs 2\n which 7\n name N\n}\n"), "N"), "rgba.red") == pytest.approx(0.6)


MOVING = "Constant {\n inputs 0\n color {{frame} 0 0 0}\n name C\n}\n"


@pytest.mark.parametrize(
    ("node", "frame", "shown"),
    [
        ("FrameHold {\n first_frame 3\n name N\n}", 9, 3),
        ("FrameHold {\n firstFrame 3\n increment 4\n name N\n}", 9, 7),
        ("TimeOffset {\n time_offset 2\n name N\n}", 9, 7),
        ("TimeOffset {\n time_offset -2\n name N\n}", 9, 11),
        ("FrameBlend {\n numframes 3\n name N\n}", 9, 8),
        ("Retime {\n input.first 1\n input.last 10\n output.first 1\n speed 2\n name N\n}", 3, 5),
        ("Retime {\n input.first 1\n input.last 10\n output.first 1\n reverse true\n name N\n}", 3, 8),
        ("Retime {\n input.first 1\n input.last 10\n output.first 1\n after loop\n name N\n}", 12, 2),
        ("Retime {\n input.first 1\n input.last 10\n output.first 1\n after black\n name N\n}", 12, 0),
    ],
)
def test_time_operations_show_the_right_frame(node, frame, shown):
    assert value(pull(MOVING + node + "\n", "N", frame=frame), "rgba.red") == pytest.approx(shown)


def test_append_clip_plays_one_after_the_other_and_dissolves():
    text = "".join(
        f"Constant {{\n inputs 0\n color {{{level} 0 0 0}}\n first 1\n last 4\n name C{level}\n}}\n" for level in (2, 1)
    )
    def shown(frame: int, knobs: str = "") -> float:
        return value(pull(text + f"AppendClip {{\n inputs 2\n{knobs} name N\n}}\n", "N", frame=frame), "rgba.red")

    assert [shown(frame) for frame in (0, 1, 4, 5, 8, 9)] == [1, 1, 1, 2, 2, 2]
    assert shown(4, " dissolve 1\n") == pytest.approx(1.5)


STEREO = 'Root {\n format "16 8 0 0 16 8 1 tiny"\n views "left #ff0000\nright #00ff00"\n}\n'


def test_views_are_joined_and_chosen():
    text = STEREO + constant("2 0 0 0", "Right") + constant("1 0 0 0", "Left")
    text += "JoinViews {\n inputs 2\n name J\n}\nOneView {\n view right\n name O\n}\n"
    assert value(pull(text, "J", view="left"), "rgba.red") == 1
    assert value(pull(text, "J", view="right"), "rgba.red") == 2
    assert value(pull(text, "O", view="left"), "rgba.red") == 2


def test_a_knob_may_differ_by_view():
    text = STEREO + constant("1 0 0 0", "C") + "Multiply {\n value {(default 1 right 3)}\n name M\n}\n"
    assert value(pull(text, "M", view="right"), "rgba.red") == 3
    assert value(pull(text, "M", view="left"), "rgba.red") == 1


def test_groups_hand_their_inputs_through_and_see_their_own_knobs():
    text = GREY + (
        "Group {\n name G\n addUserKnob {20 User}\n addUserKnob {7 gain}\n gain 3\n}\n"
        " Input {\n  inputs 0\n  name Input1\n }\n Multiply {\n  value {{parent.gain}}\n  name M\n }\n"
        " Output {\n  name Output1\n }\nend_group\n"
    )
    assert value(pull(text, "G"), "rgba.red") == pytest.approx(1.5)


def test_a_contact_sheet_lays_out_rows_from_the_top():
    text = constant("0 0 1 1", "C2") + constant("1 0 0 1", "C1")
    sheet = pull(text + "ContactSheet {\n inputs 2\n width 16\n height 16\n rows 2\n columns 1\n name N\n}\n", "N")
    assert value(sheet, "rgba.red", 8, 12) == pytest.approx(1, abs=1e-3)
    assert value(sheet, "rgba.blue", 8, 4) == pytest.approx(1, abs=1e-3)


def test_text_is_drawn_inside_its_box():
    text = 'Constant {\n inputs 0\n channels rgba\n format "200 100 0 0 200 100 1 x"\n name C\n}\n'
    text += 'Text2 {\n message "\\[frame] AB"\n box {20 10 180 90}\n font_size_toolbar 30\n name N\n}\n'
    image = pull(text, "N")
    drawn = np.argwhere(image.plane("rgba.red") > 0.5)
    assert len(drawn) > 100
    assert drawn[:, 1].min() >= 20
    assert drawn[:, 0].min() >= 10


def test_every_known_class_has_its_operation():
    for cls in registry.classes():
        assert callable(registry.operation(cls))


def test_what_cannot_be_rendered_is_refused_all_at_once_with_its_line():
    text = "Kronos {\n inputs 0\n name K1\n}\nPrimatte3 {\n name P1\n}\nWrite {\n name W\n}\nCopyCat {\n name C\n}\n"
    with pytest.raises(UnsupportedNode) as caught:
        check(upstream([parse(text).find("W")]))
    assert "Kronos K1 (line 1)" in str(caught.value)
    assert "Primatte3 P1 (line 5)" in str(caught.value)
    assert "CopyCat" not in str(caught.value)


def test_a_disabled_node_of_any_class_is_passed_by():
    text = GREY + "Kronos {\n disable true\n name K\n}\nDot {\n name D\n}\n"
    check(upstream([parse(text).find("D")]))
    assert value(pull(text, "D"), "rgba.red") == 0.5


def test_an_operation_of_another_name_is_refused_by_knob():
    engine = engine_for(two("Merge2 {\n inputs 2\n operation soft-light\n name M\n}\n"), "M")
    with pytest.raises(UnsupportedNode, match=r"Merge2 M .*operation 'soft-light'"):
        engine.pull(engine.script.find("M"), 1, "main")
