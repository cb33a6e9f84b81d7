from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jit_render.model.errors import BadFrameRange
from jit_render.model.frames import FrameSet, expand, is_pattern, spell


def test_a_range_with_step_and_a_single_frame_is_echoed_with_count_first_and_last() -> None:
    assert FrameSet.parse("1001-1100x2,1150").echo() == "51 frames, 1001 to 1150 (1001-1099x2,1150)"


@pytest.mark.parametrize(
    "text", ["", " ", "a", "1-", "1--", "1001-1010x0", "1001-1010x-2", "1;2", "1,", "1e3", "1-2-3"]
)
def test_text_that_is_no_range_is_refused_with_one_line(text: str) -> None:
    with pytest.raises(BadFrameRange) as caught:
        FrameSet.parse(text)
    assert "\n" not in str(caught.value)


def test_a_colon_is_refused_with_both_of_its_meanings_and_the_way_out() -> None:
    with pytest.raises(BadFrameRange, match=r"stagger.*1-10x3"):
        FrameSet.parse("1-10:3")


def test_a_range_too_long_to_be_meant_is_refused_before_it_is_expanded() -> None:
    with pytest.raises(BadFrameRange, match="100,000,000"):
        FrameSet.parse("1-100000000")


def test_a_backward_range_keeps_its_order_and_spells_forward() -> None:
    frames = FrameSet.parse("1003-1001")
    assert tuple(frames) == (1003, 1002, 1001)
    assert str(frames) == "1001-1003"


@given(st.sets(st.integers(-50, 5000), min_size=1, max_size=60))
def test_the_canonical_spelling_reads_back_as_the_same_frames(frames: set[int]) -> None:
    assert set(FrameSet.parse(spell(frames))) == frames


@pytest.mark.parametrize(
    ("name", "frame", "view", "expected"),
    [
        ("a.####.exr", 7, None, "a.0007.exr"),
        ("a.%04d.exr", 12345, None, "a.12345.exr"),
        ("a.%4d.exr", 7, None, "a.   7.exr"),
        ("a.%d.exr", 7, None, "a.7.exr"),
        ("a.%V.%02d.exr", 7, "left", "a.left.07.exr"),
        ("a.%v.#.exr", 7, "right", "a.r.7.exr"),
        ("a.%V.exr", 7, None, "a.%V.exr"),
        ("a.%04d.exr", -3, None, "a.-003.exr"),
    ],
)
def test_placeholders_expand_as_the_compositor_does(name: str, frame: int, view: str | None, expected: str) -> None:
    assert expand(name, frame, view) == expected


def test_a_percent_sign_alone_is_no_pattern() -> None:
    assert not is_pattern("100%.exr")
    assert is_pattern("a.%V.exr")
