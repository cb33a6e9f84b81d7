"""Values of knobs. Scripts are written out as Nuke writes them, so that escaping is tried too."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from jit_render.model.errors import Undecided
from jit_render.script import Evaluator, parse, script_views
from jit_render.script.curves import read_curve
from jit_render.script.expression import compile_expression

SHOT = r"""
Root {
 inputs 0
 name /shows/a/sh010/comp/sh010_v003.nk
 first_frame 1001
 last_frame 1048
 format "1920 1080 0 0 1920 1080 1 HD"
 project_directory "\[python \{nuke.script_directory()\}]"
 views "left #ff0000
right #00ff00"
}
Read {
 inputs 0
 file plates/bg.%04d.exr
 first 1001
 last {{root.last_frame}}
 name Read1
}
Blur {
 size {{curve x1001 0 x1010 9}}
 name Blur1
}
Transform {
 translate {{"frame - 1001" i} {Blur1.size(frame+1)*2}}
 rotate {(default 3 right {{frame}})}
 scale {{Transform1.translate.y} {this.translate.x}}
 center {{translate}}
 box {1 2 30 40}
 name Transform1
}
Group {
 name Group1
 addUserKnob {20 User}
 addUserKnob {41 size T Blur7.size}
 addUserKnob {4 pick l "" M {first middle last}}
 pick middle
 addUserKnob {3 unset}
 which {{Blur7.size}}
}
Input {
 inputs 0
 name Input1
}
Blur {
 size {{parent.pick} {"\[value parent.parent.Blur1.size]+\[frame]"}}
 name Blur7
 mixed {{pick+unset+parent.input0.size}}
 highlights.gain 5
 gain {{highlights.gain}}
}
Output {
 name Output1
}
end_group
"""


@pytest.fixture(scope="module")
def shot() -> Evaluator:
    return Evaluator(
        parse(SHOT, name="shot.nk"),
        script_path="/x/y/shot_v012.nk",
        environment={"SHOW": "abc"},
        arguments=("one", "two"),
    )


def written(knob: str, value: str) -> Evaluator:
    """A script with one node N whose `knob` is written as `value`, beside the shot's nodes."""
    return Evaluator(
        parse(f"{SHOT}NoOp {{\n inputs 0\n {knob} {value}\n ver 7\n label {{plain text}}\n name N\n big 1234567.5\n}}"),
        script_path="/x/y/shot_v012.nk",
        environment={"SHOW": "abc"},
        arguments=("one", "two"),
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain.####.exr", "plain.####.exr"),
        ("render/key_%v.%04d.exr", "render/key_%v.%04d.exr"),
        (r'"\[value root.name]"', "/x/y/shot_v012.nk"),
        (r'"\[file dirname \[value root.name]]/out/%V/a.%04d.exr"', "/x/y/out/%V/a.%04d.exr"),
        (r"{\[file tail \[value root.name\]\]}", "shot_v012.nk"),
        (r'"\\\[value N.ver\\]/x"', "7/x"),
        (r'"C:\\\\a\\\\b \\\[1-3\\]"', r"C:\\a\\b [1-3]"),
        (r'"\[file rootname \[file tail \[value root.name]]]"', "shot_v012"),
        (r'"\[file extension \[value root.name]]"', ".nk"),
        (r'"\[file join /a b \[value ver].exr]"', "/a/b/7.exr"),
        (r'"\[join \[lrange \[split \[value root.name] /] 0 end-1] /]/o"', "/x/y/o"),
        (r'"\[lindex \[split \[file tail \[value root.name]] _.] 1]"', "v012"),
        (r'"\[lindex \[split /a/b/c /] end]"', "c"),
        (r'"\[string range \[file tail \[value root.name]] 0 3]"', "shot"),
        (r'"\[string trimleft xxab x]\[string toupper ab]\[string map \{a 1 b 2\} cab]"', "abABc12"),
        (r'"v\[format %03d \[ value ver ]]"', "v007"),
        (r'"\[expr \[value ver]/2]\[expr 7/2.0]"', "33.5"),
        (r'"\[format %04d \[expr \[frame]-1001]]"', "0004"),
        (r'"\[getenv SHOW]/\[getenv SHOW]\[lindex $env(SHOW) 0]"', "abc/abcabc"),
        (r'"\[argv 0]-\[argv 1]"', "one-two"),
        (r'"\[value Blur1.size] \[value Transform1.rotate] \[value Group1.size]"', "4 1005 1 1009"),
        (r'"\[value Transform1.box.r] \[value Transform1.box.0]"', "30 1"),
        (r'"\[value this.name] \[value label] \[knob big]"', "N plain text 1234567.5"),
        (r'"\[value root.first_frame]-\[value root.last_frame]"', "1001-1048"),
        (r'"\[value root.frame] \[topnode]"', "1005 N"),
        (r'"\[python \{nuke.script_directory()\}]/a"', "/x/y/a"),
        (r'"\[python nuke.root().name()]"', "/x/y/shot_v012.nk"),
        (r"""{[python {os.path.dirname(nuke.root()['name'].value())}]}""", "/x/y"),
        (r"""{[python {os.getenv("SHOW")}] [python {nuke.thisNode()["ver"].value()}]}""", "abc 7"),
        ("{[python {nuke.views()[0]}]}", "left"),
        ('{(default "left side" right {right side})}', "right side"),
        ("{default left_side other other_side}", "left_side"),
        (r'"\[value ver"', None),
        (r'"\[metadata input/filename]"', None),
        (r'"\[python \{open(\'x\').read()\}]"', None),
        (r'"\[file exists /a]"', None),
        (r'"\[getenv NOBODY]"', None),
        (r'"\[argv 2]"', None),
        (r'"\[value Nobody.file]"', None),
        (r'"\[value Read1.colorspace]"', None),
        (r'"\[lindex abc]"', None),
        (r'"\[a \\\\"', None),
    ],
)
def test_text_with_tcl_in_it_is_told_or_undecided(value: str, text: str | None) -> None:
    evaluator = written("file", value)
    node = evaluator.script.find("N")
    if text is not None:
        assert evaluator.string(node, "file", frame=1005, view="right") == text
        return
    with pytest.raises(Undecided) as caught:
        evaluator.string(node, "file", frame=1005, view="right")
    assert (caught.value.node, caught.value.knob, caught.value.line) == ("N", "file", node.line)


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        ("0.5", (0.5, 0.5)),
        ("{1 2}", (1, 2)),
        ("1e-3", (0.001, 0.001)),
        ("0x10", (16, 16)),
        ("true", (1, 1)),
        ("{{frame-1 i}}", (1004, 1004)),
        ("{{frame-1} 3}", (1004, 3)),
        ("{0 {curve x1001 0 x1010 9}}", (0, 4)),
        ("{{curve-1 x1001 0 x1010 9}}", (3, 3)),
        ('{{"frame > 1004 ? 10 : 20"}}', (10, 10)),
        ("{{frame + 1}}", (1006, 1006)),
        ("frame-5", (1000, 1000)),
        ("{{Transform1.translate}}", (4, 10)),
        ("{{Transform1.scale.x} {Transform1.scale.1}}", (10, 4)),
        ("{{Group1.Blur7.size.1}}", (1009, 1009)),
        ("{{Group1.size} {Group1.Blur7.gain}}", (1, 5)),
        ("{{Group1.pick}}", (1, 1)),
        ("{{parent.Blur1.size(1010)}}", (9, 9)),
        ("{{root.first_frame+root.width}}", (2921, 2921)),
        (r'{{"\[value ver]*2"}}', (14, 14)),
        (r'"\[value ver]"', (7, 7)),
        ("{{$gui}}", (0, 0)),
        ("{(default {5 6} left {{frame} 1})}", (5, 6)),
        ("{{input.size}}", None),
        ("{{width}}", None),
        ("{{random(frame)}}", None),
        ("{{1/0}}", None),
        ("over", None),
        ("{{nobody.size}}", None),
        ("{{size}}", None),
    ],
)
def test_numbers_are_told_or_undecided(value: str, numbers: tuple[float, float] | None) -> None:
    evaluator = written("size", value)
    node = evaluator.script.find("N")
    if numbers is not None:
        assert evaluator.numbers(node, "size", 2, frame=1005, view="right") == pytest.approx(numbers)
        return
    with pytest.raises(Undecided, match=r"N\.size cannot be told"):
        evaluator.numbers(node, "size", 2, frame=1005, view="right")


def test_a_name_inside_a_group_reaches_the_group_s_own_knobs_as_in_published_gizmos(shot: Evaluator) -> None:
    blur = shot.script.find("Group1.Blur7")
    with pytest.raises(Undecided, match="translate"):
        shot.expression(blur, "translate", frame=1)
    assert shot.expression(blur, "pick + unset", frame=1) == 1


def test_missing_knobs_take_the_caller_s_default_and_referred_ones_their_class_s(shot: Evaluator) -> None:
    read = shot.script.find("Read1")
    assert shot.number(read, "nobody", frame=1, default=7) == 7
    assert shot.numbers(read, "nobody", 3, frame=1, default=(1, 2)) == (1, 2, 2)
    assert shot.string(read, "nobody", frame=1, default="x") == "x"
    assert shot.expression(shot.script.find("Blur1"), "Read1.disable + Transform1.mix", frame=1) == 1


def test_knobs_that_hang_on_each_other_are_both_named() -> None:
    evaluator = Evaluator(parse("NoOp {\n a {{B.b}}\n name A\n}\nNoOp {\n b {{A.a}}\n name B\n}\n"))
    with pytest.raises(Undecided, match=r"A\.a and B\.b hang on each other"):
        evaluator.number(evaluator.script.find("A"), "a", frame=1)


def test_a_knob_may_hang_on_itself_at_other_frames_up_to_a_limit() -> None:
    evaluator = Evaluator(
        parse('NoOp {\n a {{"frame > 10 ? A.a(frame-1) + 1 : 0"}}\n b {{A.b(frame-1)}}\n name A\n}\n')
    )
    assert evaluator.number(evaluator.script.find("A"), "a", frame=20) == 10
    with pytest.raises(Undecided, match="more than"):
        evaluator.number(evaluator.script.find("A"), "b", frame=20)


@pytest.mark.parametrize(
    "knob",
    [
        ' "\\[value %s.k]\\[value %s.k]"',
        ' "\\[string repeat \\[value %s.k] 1000]"',
        " {{%s.k+%s.k}}",
        ' "\\[string map \\{a aaaaaaaaaaaaaaaa\\} \\[value %s.k]]"',
    ],
)
def test_values_that_grow_without_end_are_undecided(knob: str) -> None:
    nodes = "".join(f"NoOp {{\n k{knob.replace('%s', f'N{number + 1}')}\n name N{number}\n}}\n" for number in range(30))
    evaluator = Evaluator(parse(nodes + "NoOp {\n k a\n name N30\n}\n"))
    ask = evaluator.number if "{{" in knob else evaluator.string
    with pytest.raises(Undecided):
        ask(evaluator.script.find("N0"), "k", frame=1)


@pytest.mark.parametrize(
    ("raw", "name"), [("black", "black"), ("3", "black"), ("{{1+1}}", "bounce"), ("Hold", "hold"), ("odd", "odd")]
)
def test_an_enumeration_is_given_by_name_or_by_index(raw: str, name: str) -> None:
    evaluator = Evaluator(parse(f"Read {{\n before {raw}\n name R\n}}\n"))
    assert evaluator.choice(evaluator.script.find("R"), "before", ("hold", "loop", "bounce", "black"), frame=1) == name


def test_an_enumeration_without_a_value_is_its_default_and_an_index_out_of_range_undecided() -> None:
    evaluator = Evaluator(parse("Read {\n after 9\n name R\n}\n"))
    read = evaluator.script.find("R")
    assert evaluator.choice(read, "before", ("hold", "loop"), frame=1) == "hold"
    assert evaluator.choice(read, "before", ("hold", "loop"), frame=1, default="loop") == "loop"
    with pytest.raises(Undecided, match="none of 2"):
        evaluator.choice(read, "after", ("hold", "loop"), frame=1)


def test_relative_files_lie_in_the_project_directory(shot: Evaluator) -> None:
    assert shot.path(shot.script.find("Read1"), "file", frame=1) == "/x/y/plates/bg.%04d.exr"
    for value, path in [
        ("/a/b.exr", "/a/b.exr"),
        ("exr:/a/b", "exr:/a/b"),
        ('"P:\\\\a\\\\b.exr"', "P:/a/b.exr"),
        ('""', ""),
    ]:
        evaluator = written("file", value)
        assert evaluator.path(evaluator.script.find("N"), "file", frame=1) == path


@pytest.mark.parametrize(
    ("root", "views"),
    [
        ("", ("main",)),
        ('views "left #ff0000\nright #00ff00"', ("left", "right")),
        ("views {{main #ffffff}}", ("main",)),
        ('views "{left #ff0000}\n{right #00ff00}"', ("left", "right")),
    ],
)
def test_views_are_those_that_root_declares(root: str, views: tuple[str, ...]) -> None:
    assert script_views(parse(f"Root {{\n inputs 0\n {root}\n}}\n")) == views


def test_constants_are_told_from_what_changes_with_the_frame(shot: Evaluator) -> None:
    find = shot.script.find
    assert shot.is_constant(find("Read1"), "first")
    assert shot.is_constant(find("Transform1"), "box")
    assert shot.is_constant(find("Transform1"), "nobody")
    assert not shot.is_constant(find("Blur1"), "size")
    assert not shot.is_constant(find("Read1"), "last")


def test_real_values_are_told(shared_data: Path) -> None:
    script = parse((shared_data / "nk" / "CGRU__cgru___template.nk").read_bytes())
    evaluator = Evaluator(script)
    assert evaluator.string(script.find("r_jpg"), "file", frame=1) == (
        "RESULT/JPG/@(name)s_v001/@(name)s_v001.####.jpg"
    )


class NoNames:
    def variable(self, name: str) -> float | None:
        return {"frame": 5.0, "n": 7}.get(name)

    def knob(self, path: str, at: float | None) -> float:
        raise Undecided(f"{path} {at}")

    def curve(self, at: float | None) -> float:
        return 100 + (at or 0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1+2*3", 7),
        ("(1+2)*3", 9),
        ("2^3^2", 512),
        ("2**3", 8),
        ("-2^2", -4),
        ("2^-1", 0.5),
        ("7%3", 1),
        ("-7%3", -1),
        ("1<2 && 2<=2 || 0", 1),
        ("0 || 0", 0),
        ("!0 + !5", 1),
        ("3>=4 ? 1 : 2>1 ? 5 : 6", 5),
        ("1==1.0", 1),
        ("1!=1", 0),
        ("0 && nobody", 0),
        ("1 || nobody", 1),
        ("1 ? 2 : nobody", 2),
        ("- - 3", 3),
        ("+.5e1", 5),
        ("0x1F", 31),
        ("sin(pi/2)+cos(0)+tan(0)", 2),
        ("min(3,1,2)+max(3,9)", 10),
        ("clamp(5)", 1),
        ("clamp(5,0,3)", 3),
        ("abs(-2)", 2),
        ("floor(-1.5)+ceil(1.2)+int(-1.7)+trunc(1.9)+rint(2.5)", 2),
        ("fmod(7,4)+pow(2,3)+sqrt(16)", 15),
        ("log(exp(2))", 2),
        ("step(1,2)+smoothstep(0,1,0.5)+lerp(10,20,0.5)", 16.5),
        ("exp(0)+hypot(3,4)+atan2(0,1)", 6),
        ("degrees(pi)", 180),
        ("curve + curve(3)", 203),
        ("y", 100),
        ("frame*2", 10),
    ],
)
def test_expressions_compute_as_nuke_s(text: str, value: float) -> None:
    assert compile_expression(text)(NoNames()) == pytest.approx(value)


def test_tcl_s_expr_divides_whole_numbers_to_whole_numbers() -> None:
    assert compile_expression("7/2 + 7%3 + n/2", integers=True)(NoNames()) == 7
    assert compile_expression("7/2.0", integers=True)(NoNames()) == 3.5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1+",
        "(1",
        "1)",
        "1 2",
        "a b",
        "1/0",
        "sqrt(-1)",
        "f(1,2)",
        "sin()",
        "sin(1,2)",
        "random(1)",
        "noise(1)",
        "1 ? 2",
        "@",
        "'x'",
        "(" * 500 + "1" + ")" * 500,
        "2^" * 500 + "1",
        "9^9^9^9",
        "1 ? " * 500 + "1",
    ],
)
def test_what_is_no_expression_is_undecided(text: str) -> None:
    with pytest.raises(Undecided):
        compile_expression(text)(NoNames())


def curve(text: str, *frames: float) -> list[float]:
    read = read_curve(text.split())
    assert read is not None
    return [round(read.at(frame), 6) for frame in frames]


def test_two_smooth_keys_make_a_straight_line_that_holds_outside() -> None:
    assert curve("x1001 0 x1011 10", 990, 1001, 1003.5, 1011, 1020) == [0, 0, 2.5, 10, 10]


def test_constant_keys_hold_until_the_next_one_and_the_letter_lasts() -> None:
    assert curve("K x1 0 x5 1 x9 2", 0, 1, 4.9, 5, 8, 9, 20) == [0, 0, 0, 1, 1, 2, 2]
    assert curve("K x1 0 L x5 1 x7 3", 4, 6) == [0, 2]


def test_linear_keys_are_joined_by_straight_lines_and_may_go_on_straight() -> None:
    assert curve("L x1 0 x3 4 x5 0", 2, 4, 9) == [2, 2, 0]
    assert curve("L l x1 0 x3 4 x5 0", 0, 7) == [-2, -4]


def test_keys_without_a_frame_follow_at_the_last_distance() -> None:
    assert curve("x9 10 11 13", 9, 10, 11) == [10, 11, 13]
    assert curve("K x1 1 x3 2 3 4", 5, 7) == [3, 4]
    assert curve("5", -3, 0, 9) == [5, 5, 5]
    assert curve("", 3) == [0]


def test_smooth_keys_never_leave_the_range_of_their_neighbours() -> None:
    values = curve("x0 0 x1 10 x2 10.1 x10 11 x11 0", *(frame / 100 for frame in range(1101)))
    for low, high, first, last in [(0, 10, 0, 100), (10, 10.1, 100, 200), (10.1, 11, 200, 1000), (0, 11, 1000, 1100)]:
        assert all(low - 1e-9 <= value <= high + 1e-9 for value in values[first : last + 1])


def test_catmull_rom_and_cubic_keys_are_smooth_through_their_points() -> None:
    for letter in "RCS":
        assert curve(f"{letter} x0 0 x2 3 x4 1 x6 8", 0, 2, 4, 6) == [0, 3, 1, 8]
    assert curve("R x0 0 x1 1 x2 2 x3 3", 0.5, 1.5) == [0.5, 1.5]
    read = read_curve(["C", "x0", "0", "x2", "3", "x4", "1", "x6", "8"])
    assert read is not None
    for frame in (2, 4):  # the second derivative is the same on both sides
        left, right = (
            (read.at(frame) - 2 * read.at(frame + step) + read.at(frame + 2 * step)) / step**2 for step in (-1e-3, 1e-3)
        )
        assert math.isclose(left, right, abs_tol=0.05)


def test_slopes_and_handles_that_are_given_are_used() -> None:
    assert curve("x0 0 s0 x1 1 s0", 0.25, 0.5, 0.75) == [0.15625, 0.5, 0.84375]
    assert curve("x0 0 s0 t3 x1 1 s0 t0", 0.5) == [0.875]
    pulled = curve("x0 0 s0 v2 x1 1 s0 u1", 0.5)
    assert pulled[0] < 0.5
    assert curve("H x0 0 x1 1", 0.25) == [0.15625]


def test_what_are_no_keys_is_no_curve() -> None:
    for text in ("frame", "x", "+ 1", "xyz 3", "s3"):
        assert read_curve(text.split()) is None
    assert read_curve([]) is not None
