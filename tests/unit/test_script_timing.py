from __future__ import annotations

import pytest

from jit_render.model.errors import Undecided
from jit_render.script import Evaluator, parse
from jit_render.script.timing import frame_range, input_frames, pulls, read_frame

ROOT = 'Root {\n inputs 0\n first_frame 1001\n last_frame 1100\n views "left #f00\nright #0f0"\n}\n'
READS = "".join(
    f"Read {{\n inputs 0\n file {name}.####.exr\n first {first}\n last {last}\n name {name}\n}}\n"
    for name, first, last in (("C", 1, 5), ("B", 1, 20), ("A", 1001, 1010))
)


def asked(body: str, frame: float, view: str = "left") -> list[tuple[int, float, str]]:
    """What one node N over the reads A, B and C (inputs 0, 1, 2) asks for."""
    script = parse(f"{ROOT}{READS}{body.removesuffix('}')} name N }}")
    wanted = pulls(script.find("N"), Evaluator(script), frame, view)
    return [(pull.pipe, pull.frame, pull.view) for pull in wanted]


def frames(body: str, frame: float) -> list[float]:
    return [one for _, one, _ in asked(body, frame)]


@pytest.mark.parametrize(
    ("knobs", "shown"),
    [
        ("", {7: 7}),
        ("first 1 last 20", {-3: 1, 1: 1, 20: 20, 25: 20, 3.6: 4}),
        ("first 1 last 20 before black after loop", {0: None, 21: 1, 25: 5}),
        ("first 1 last 20 before bounce after bounce", {0: 2, -3: 5, 21: 19, 22: 18}),
        ("first 1 last 20 before loop", {0: 20, -19: 1}),
        ('first 1 last 20 frame_mode "start at" frame 1001', {1001: 1, 1010: 10, 1000: 1, 1030: 20}),
        ("first 1 last 20 frame_mode offset frame -1000", {1001: 1, 1020: 20, 1021: 20}),
        ("first 1 last 20 frame frame-1000", {1005: 5}),
        ('first 1 last 20 frame "frame / 2 + 1"', {4: 3}),
        ('first 1 last 20 frame "\\[expr \\[frame]-1]"', {4: 3}),
        ("first 1 last 20 frame {{frame-2}}", {4: 2}),
        ("first 5 last 5 after 3", {9: None}),
        ("first {{root.first_frame}} last {{root.last_frame}}", {999: 1001, 1200: 1100}),
    ],
)
def test_a_read_shows_the_frame_that_its_mode_range_and_edges_say(knobs: str, shown: dict[float, int | None]) -> None:
    script = parse(f"{ROOT}Read {{ inputs 0 {knobs} name R }}")
    evaluator = Evaluator(script)
    assert {frame: read_frame(script.find("R"), evaluator, frame, "left") for frame in shown} == shown


@pytest.mark.parametrize(
    ("body", "frame", "wanted"),
    [
        ("Blur { }", 1005, [1005]),
        ("Merge2 { inputs 2+1 }", 1005, [1005, 1005, 1005]),
        ("FrameHold { first_frame 1003 }", 1009, [1003]),
        ("FrameHold { firstFrame 1001 first_frame 5 increment 4 }", 1010, [1009]),
        ("TimeOffset { time_offset 10 }", 1015, [1005]),
        ("TimeOffset { time_offset {{frame-1001}} }", 1015, [1001]),
        ("TimeOffset { reverse_input true }", 1001, [1010]),
        ("Retime { speed 2 }", 1003, [1005]),
        ("Retime { speed 0.5 }", 1004, [1003]),
        ("Retime { speed 2 after black }", 1009, []),
        ("Retime { reverse true }", 1002, [1009]),
        ("Retime { input.first 1001 input.last 1005 output.first 1 output.last 9 }", 3, [1002]),
        ("TimeWarp { lookup {{frame*2-1001}} }", 1004, [1007]),
        ("TimeWarp { lookup {{curve L x1001 1001 x1010 1004}} }", 1002, [1001, 1002]),
        ("TimeClip { first 1001 last 1004 }", 1010, [1004]),
        ("FrameBlend { numframes 3 }", 1005, [1003, 1004, 1005]),
        ("FrameBlend { userange true startframe 1001 endframe 1003 }", 1009, [1001, 1002, 1003]),
        ("TimeBlur { divisions 2 shutter 1 shutteroffset centred }", 1005, [1004.5, 1005]),
        ("TimeEcho { framesbehind 2 }", 1005, [1005, 1004, 1003]),
        ("TemporalMedian { }", 1005, [1004, 1005, 1006]),
        ("ContactSheet { inputs 2 }", 1005, [1005, 1005]),
        ("ContactSheet { splitinputs true startframe 1 endframe 3 }", 1005, [1, 2, 3]),
        ("TimeOffset { time_offset 10 disable true }", 1015, [1015]),
        ("TimeOffset { time_offset 10 disable {{frame<1010}} }", 1009, [1009]),
    ],
)
def test_nodes_ask_their_input_for_the_frames_that_nuke_would(body: str, frame: float, wanted: list[float]) -> None:
    assert frames(body, frame) == wanted


@pytest.mark.parametrize(
    ("frame", "wanted"),
    [
        (1, [(0, 1001, "left")]),
        (-4, [(0, 1001, "left")]),
        (10, [(0, 1010, "left")]),
        (11, [(1, 1, "left")]),
        (30, [(1, 20, "left")]),
        (35, [(2, 5, "left")]),
        (99, [(2, 5, "left")]),
    ],
)
def test_clips_are_appended_one_after_the_other(frame: float, wanted: list[tuple[int, float, str]]) -> None:
    assert asked("AppendClip { inputs 3 }", frame) == wanted


def test_appended_clips_share_the_frames_of_a_dissolve() -> None:
    assert asked("AppendClip { inputs 2 dissolve 2 firstFrame 101 }", 109) == [(0, 1009, "left"), (1, 1, "left")]
    assert asked("AppendClip { inputs 2 dissolve 2 firstFrame 101 }", 111) == [(1, 3, "left")]


@pytest.mark.parametrize(
    ("body", "pipes"),
    [
        ("Switch { inputs 3 which 1 }", [1]),
        ("Switch { inputs 3 which {{frame>1004}} }", [1]),
        ("Switch { inputs 3 which 9 }", [2]),
        ("Dissolve { inputs 2 which 0 }", [0]),
        ("Dissolve { inputs 2 which 0.25 }", [0, 1]),
        ("Dissolve { inputs 2+1 which 0.25 }", [0, 1, 2]),
        ("JoinViews { inputs 2 }", [1]),
    ],
)
def test_only_the_inputs_that_show_are_asked(body: str, pipes: list[int]) -> None:
    assert [pipe for pipe, _, _ in asked(body, 1005, "right")] == pipes


@pytest.mark.parametrize(("view", "seen"), [("left", "left"), ("2", "right"), ("", "left")])
def test_one_view_asks_for_its_own_view(view: str, seen: str) -> None:
    assert asked(f'OneView {{ view "{view}" }}', 1005, "right") == [(0, 1005, seen)]


def test_shares_of_several_frames_sum_to_one() -> None:
    script = parse(f"{ROOT}{READS}FrameBlend {{ numframes 7 name N }}")
    assert sum(pull.share for pull in pulls(script.find("N"), Evaluator(script), 5, "left")) == pytest.approx(1)


def test_an_unconnected_input_is_not_asked() -> None:
    script = parse(f"{ROOT}push 0\nTimeOffset {{ time_offset 3 name N }}\nMerge2 {{ inputs 2 name M }}")
    assert pulls(script.find("N"), Evaluator(script), 5, "left") == []
    assert input_frames(script.find("M"), Evaluator(script), 0, 5, "left") == (5,)
    assert input_frames(script.find("M"), Evaluator(script), 1, 5, "left") == ()


def test_a_group_asks_nothing_itself_unless_it_hands_on_its_input() -> None:
    body = "Group {{ name N {} }}\nInput {{ inputs 0 }}\nOutput {{ }}\nend_group\n"
    for knobs, wanted in (("", []), ("disable true", [5])):
        script = parse(READS + body.format(knobs))
        assert [pull.frame for pull in pulls(script.find("N"), Evaluator(script), 5, "left")] == wanted


def test_the_range_of_what_comes_in_is_found_through_groups_shifts_and_thousands_of_nodes() -> None:
    group = "Group { name G }\nInput { inputs 0 }\nTimeOffset { time_offset 5 }\nOutput { }\nend_group\n"
    deep = "Dot { }\n" * 5000
    tail = "TimeOffset { time_offset 7 disable true name Last }\nAppendClip { inputs 2 firstFrame 50 name Both }\n"
    text = ROOT + READS + group + deep + tail
    script = parse(text)
    evaluator = Evaluator(script)
    assert frame_range([script.find("Last")], evaluator, 1, "left") == (1006, 1015)
    assert frame_range([script.find("Both")], evaluator, 1, "left") == (50, 79)
    assert frame_range([None], evaluator, 1, "left") == (1001, 1100)


@pytest.mark.parametrize(
    "body", ["Kronos { }", "FrameBlend { numframes 99999999 }", "FrameHold { first_frame {{random(frame)}} }"]
)
def test_what_the_script_cannot_tell_is_undecided_by_node_and_line(body: str) -> None:
    with pytest.raises(Undecided) as caught:
        frames(body, 5)
    assert caught.value.node == "N"
    assert "line" in str(caught.value)
