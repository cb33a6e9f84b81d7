"""What is told of a name inside the renderer, against the runtime's own path map."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jit_render.model.errors import HostilePath
from jit_render.model.pathmap import PathMap, PathRule
from nuke_callbacks import names

MAP = PathMap(
    rules=(
        PathRule(prefix=("/mnt/show", "P:\\show", "\\\\filer\\show"), target="gs://show"),
        PathRule(prefix=("/mnt/show/out", "/srv/Ünï"), target="gs://out", mode="write"),
        PathRule(prefix="/x", target="gs://x"),
    )
)
PREFIXES = [list(entry) for entry in MAP.spellings()]  # as the agent's hello gives them
PIECES = [
    "/mnt/show",
    "/mnt",
    "/show",
    "/out",
    "P:",
    "p:\\",
    "\\show",
    "\\\\filer",
    "//FILER",
    "/Show",
    "/x",
    "x",
    "/",
    "..",
    "/../",
    "/./",
    "//",
    "é",
]


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join))
@example("\\\\filer/Show")
@example("/mnt/show/out/../a")
@example("/mnt/other/../show/a")
@example("/../mnt/show/a")
@example("P:\\a\\..\\show\\..\\a")
def test_coverage_agrees_with_the_path_map(name):
    covers = names.covering(PREFIXES, "")

    try:
        expected = MAP.find(name) is not None
    except HostilePath:
        expected = True

    assert covers(name) == expected


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("/a/b/../c", "/a/c"),
        ("/a//b/./c/", "/a/b/c"),
        ("/a/...d/.e", "/a/...d/.e"),
        ("/a/../..", None),
        ("/..", None),
        ("P:/a/../b", "P:/b"),
        ("P:/..", None),
        ("//filer/show/a/../b", "//filer/show/b"),
        ("//filer/show/../other", None),
        ("a/../b", "a/../b"),
        ("/a/b%04d/../c.####.exr", "/a/c.####.exr"),
        ("", ""),
    ],
)
def test_a_name_is_folded_by_its_letters(name, folded):
    assert names.fold(name) == folded


def test_the_view_folder_is_covered_at_its_border_only():
    covers = names.covering([], "/cache/view/job")

    assert covers("/cache/view/job/show/a.exr")
    assert covers("/cache/view/job")
    assert not covers("/cache/view/job2/a.exr")


def test_without_rules_nothing_is_covered():
    assert not names.covering([], "")("/mnt/show/a.exr")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.%04d.exr", "a.1014.exr"),
        ("a.%d.exr", "a.1014.exr"),
        ("a.%06d.exr", "a.001014.exr"),
        ("a.%6d.exr", "a.  1014.exr"),
        ("a.####.exr", "a.1014.exr"),
        ("a.######.exr", "a.001014.exr"),
        ("a.#.exr", "a.1014.exr"),
        ("%V/a_%v.%04d.exr", "left/a_l.1014.exr"),
        ("plain.exr", "plain.exr"),
    ],
)
def test_placeholders_are_put_in_as_nuke_does(pattern, expected):
    assert names.expand(pattern, 1014, "left") == expected


def test_a_view_named_like_a_placeholder_is_no_placeholder_for_views():
    assert names.expand("%V.%v", 1, "%V") == "%V.%"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("exr:/mnt/a.exr", ("exr:", "/mnt/a.exr")),
        ("ffmpeg:P:\\a.mov", ("ffmpeg:", "P:\\a.mov")),
        ("exr:\\\\filer\\a", ("exr:", "\\\\filer\\a")),
        ("P:/a.exr", ("", "P:/a.exr")),
        ("gs://bucket/a.exr", ("", "gs://bucket/a.exr")),
        ("/mnt/exr:/a", ("", "/mnt/exr:/a")),
        ("", ("", "")),
    ],
)
def test_a_file_type_prefix_comes_off(name, expected):
    assert names.split_type(name) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("a.mov", True), ("a.MXF", True), ("a.abc", True), ("a.%04d.abc", False), ("a.%04d.exr", False), ("a", False)],
)
def test_what_holds_all_frames_is_known_by_its_extension(pattern, expected):
    assert names.holds_all_frames(pattern) is expected


def test_the_next_frames_are_those_of_the_process_else_up_to_the_last():
    assert names.after(3, [1, 3, 7, 9], None, 2) == [7, 9]
    assert names.after(9, [1, 3, 7, 9], None, 2) == []
    assert names.after(3, [], 4, 2) == [4]
    assert names.after(3, [], None, 2) == [4, 5]
    assert names.after(3, [], None, 0) == []
