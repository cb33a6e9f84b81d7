from __future__ import annotations

import json

import pytest
from plan_kit import ROOT, WRITE, Disk, names, planned, read

from jit_render.model.errors import ScriptError, UsageError
from jit_render.script import parse
from jit_render.script.plan import ONCE, plan, script_frames

A = read("/p/a.####.exr", name="A")
B = read("/p/b.####.exr", name="B")
LEFT = {"views": ["left"]}
WIDE = [f"/p/a.{frame:04d}.exr" for frame in range(1, 11)]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (A, ["/p/a.0005.exr"]),
        (read("sub/a.%V.%04d.exr"), ["/show/sub/a.left.0005.exr", "/show/sub/a.right.0005.exr"]),
        (read("exr:/p/%v/still.exr"), ["/p/l/still.exr", "/p/r/still.exr"]),
        (read("P:\\\\p\\\\a.%d.exr"), ["P:/p/a.5.exr"]),
        (A + B + "Switch {\n inputs 2\n which 1\n}\n", ["/p/a.0005.exr"]),
        (A + B + "Dissolve {\n inputs 2\n which 0.5\n}\n", ["/p/a.0005.exr", "/p/b.0005.exr"]),
        (B + A + "Grade {\n inputs 1+1\n}\n", ["/p/a.0005.exr", "/p/b.0005.exr"]),
        (A + "FrameBlend {\n numframes 3\n}\n", ["/p/a.0003.exr", "/p/a.0004.exr", "/p/a.0005.exr"]),
        (A + "TimeWarp {\n lookup {{frame/2}}\n}\n", ["/p/a.0002.exr", "/p/a.0003.exr"]),
        (read("/p/a.####.exr", "first 1 last 3 after black"), []),
        (read("/p/a.####.exr", "disable true"), []),
        ("", []),
        (A + "Write {\n file /p/pre.####.exr\n reading true\n name Pre\n}\n" + WRITE, ["/p/pre.0005.exr"]),
        (A + "Write {\n file /p/pre.####.exr\n name Pre\n}\n" + WRITE, ["/p/a.0005.exr"]),
        ("Camera2 {\n inputs 0\n read_from_file true\n file /p/cam.abc\n}\n", ["/p/cam.abc"]),
        ("Camera2 {\n inputs 0\n read_from_file false\n file /p/cam.abc\n}\n", []),
        (A + "Vectorfield {\n vfield_file /l/dusk.%04d.cube\n}\n", ["/l/dusk.0005.cube", "/p/a.0005.exr"]),
        (A + "SomethingElse {\n inputs 1\n}\n", ["/p/a.0005.exr"]),
    ],
)
def test_what_is_upstream_at_a_frame_is_named(body: str, wanted: list[str]) -> None:
    done = planned(body, writes=["W"])
    assert names(done) == wanted
    assert all(one.certain for one in done.reads)


def test_the_frames_of_each_job_frame_are_told_apart() -> None:
    done = planned(A + "TimeOffset {\n time_offset 2\n}\nFrameBlend {\n numframes 2\n}\n", [1, 5, 20])
    (one,) = done.reads
    assert dict(one.wanted) == {1: (1,), 5: (2, 3), 20: (10,)}
    assert (one.node, one.knob, one.pattern, one.views, one.on_error) == ("A", "file", "/p/a.####.exr", ("",), "error")


def test_views_that_read_other_frames_stand_apart() -> None:
    body = read("/p/a.%V.####.exr") + "TimeOffset {\n time_offset {(default {2} right {3})}\n}\n"
    assert {one.views: dict(one.wanted) for one in planned(body).reads} == {
        ("left",): {5: (3,)},
        ("right",): {5: (2,)},
    }


def test_views_and_writes_that_are_not_asked_for_are_left_out() -> None:
    body = read("/p/a.%V.exr") + WRITE + "push 0\n" + B + "Write {\n file /out/x.exr\n name X\n}\n"
    assert names(planned(body, writes=["W"], views=["right"])) == ["/p/a.right.exr"]
    assert [write.node for write in planned(body).writes] == ["W", "X"]


def test_views_that_are_mixed_are_all_read() -> None:
    body = read("/p/a.%V.exr") + "Anaglyph {\n}\n"
    assert names(planned(body, views=["left"])) == ["/p/a.left.exr", "/p/a.right.exr"]


def test_a_write_reads_nothing_outside_its_limit() -> None:
    done = planned(A + WRITE.replace("name", "use_limit true\n first 4\n last 6\n name"), [3, 5])
    assert (names(done, 3), names(done, 5)) == ([], ["/p/a.0005.exr"])
    assert done.writes[0].frames == (5,)


def test_on_error_comes_with_the_file() -> None:
    done = planned(read("/p/a.####.exr", "on_error black first 1 last 9"))
    assert [file.on_error for file in done.files(5)] == ["black"]


def test_proxies_are_read_in_proxy_mode_and_perhaps_the_full_size_too() -> None:
    body = read("/p/a.####.exr", "proxy /p/small.####.exr first 1 last 9")
    assert names(planned(body)) == ["/p/a.0005.exr"]
    done = planned(body, proxy=True)
    assert {one.pattern: one.certain for one in done.reads} == {"/p/small.####.exr": True, "/p/a.####.exr": False}


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (A + B + "Switch {\n inputs 2\n which {{[python x()]}}\n}\n", ["/p/a.0005.exr", "/p/b.0005.exr"]),
        (A + "TimeOffset {\n time_offset {{[python x()]}}\n}\n", WIDE),
        (A + "Kronos {\n}\n", WIDE),
        (read("/p/a.####.exr", "first 1 last 10 frame {{[python x()]}}"), WIDE),
        (read("/p/a.####.exr", "first 1 last 10 disable {{[python x()]}}"), ["/p/a.0005.exr"]),
        (read("/p/a.%V.exr") + 'OneView {\n view "\\[python x()]"\n}\n', ["/p/a.left.exr", "/p/a.right.exr"]),
        ("Camera2 {\n inputs 0\n file /p/cam.abc\n}\n", ["/p/cam.abc"]),
    ],
)
def test_what_cannot_be_told_is_widened_and_said(body: str, wanted: list[str]) -> None:
    done = planned(body, **LEFT)
    assert names(done) == wanted
    assert all(one.why and not one.certain for one in done.reads)
    assert done.undecided


def test_a_doubt_in_one_branch_leaves_the_other_certain() -> None:
    body = A + "set N [stack 0]\nTimeOffset {\n time_offset {{[python x()]}}\n}\npush $N\nMerge2 {\n inputs 2\n}\n"
    done = planned(body)
    assert [(file.name, file.certain) for file in done.files(5)][:2] == [("/p/a.0005.exr", True), (WIDE[0], False)]


def test_a_name_that_cannot_be_told_is_said_with_its_line() -> None:
    done = planned(read('"\\[python plate()]"') + A + "Merge2 {\n inputs 2\n}\n")
    assert names(done) == ["/p/a.0005.exr"]
    ((undecided),) = done.undecided
    assert (undecided.node, undecided.knob, undecided.line) == ("R", "file", 9)
    assert "python plate()" in undecided.text


def test_the_environment_is_the_one_of_the_job() -> None:
    body = read('"/p/\\[getenv SHOT].exr"')
    assert names(planned(body, environment={"SHOT": "sh010"})) == ["/p/sh010.exr"]
    assert planned(body).undecided[0].text == "[getenv SHOT]"


def test_a_relative_name_without_a_project_directory_is_said() -> None:
    done = planned(ROOT.replace(" project_directory /show\n", "") + read("plates/a.####.exr"))
    assert names(done) == []
    assert "relative" in done.undecided[0].why


def test_clones_and_groups_are_followed() -> None:
    body = (
        A
        + "TimeOffset {\n time_offset 1\n name T\n}\nset Cx [stack 0]\nclone $Cx {\n}\n"
        + "Group {\n name G\n}\nInput {\n inputs 0\n name In\n}\nclone $Cx {\n}\n"
        + read("/p/in.####.exr")
        + "Merge2 {\n inputs 2\n}\nOutput {\n name Out\n}\nend_group\n"
    )
    done = planned(body)
    assert names(done) == ["/p/a.0002.exr", "/p/in.0005.exr"]
    assert {one.node for one in done.reads} == {"A", "G.R"}


def test_a_cloned_group_reads_what_its_original_reads() -> None:
    group = f"Group {{\n inputs 0\n name G\n}}\n{A}Output {{\n name Out\n}}\nend_group\n"
    assert names(planned(f"{group}set Cx [stack 0]\npush 0\nclone $Cx {{\n inputs 0\n}}\n")) == ["/p/a.0005.exr"]


def test_a_wish_for_what_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="no Write node Nope; there are: W"):
        planned(A, writes=["Nope"])
    with pytest.raises(UsageError, match="no view top; it has left, right"):
        planned(A, views=["top"])
    with pytest.raises(UsageError, match="no enabled Write"):
        planned(A + "Write {\n file /x.exr\n disable true\n}\n")


OTHER = (
    f"Root {{\n project_directory /other\n}}\n{read('in.%04d.exr', name='Deep')}Write {{\n file /w/pre.%04d.exr\n}}\n"
)
PRECOMP = "Precomp {\n inputs 0\n file /p/other.nk\n name Pre\n}\n"


def test_a_precomp_is_followed_in_its_own_project() -> None:
    disk = Disk({"/p/other.nk": OTHER})
    done = planned(PRECOMP + "TimeOffset {\n time_offset 1\n}\n", disk=disk)
    assert names(done) == ["/other/in.0004.exr", "/p/other.nk"]
    assert {(one.node, one.origin) for one in done.reads} == {("Pre", "script"), ("Pre.Deep", "node")}
    assert disk.reads == ["/p/other.nk"]


def test_a_precomp_that_reads_its_render_names_both() -> None:
    done = planned(PRECOMP.replace("name", "reading true\n name"), disk=Disk({"/p/other.nk": OTHER}))
    assert names(done) == ["/other/in.0005.exr", "/p/other.nk", "/w/pre.0005.exr"]
    assert {one.certain for one in done.reads if one.origin == "node"} == {False}


def test_a_precomp_that_cannot_be_read_is_said() -> None:
    done = planned(PRECOMP)
    assert names(done) == ["/p/other.nk"]
    assert "/p/other.nk cannot be read" in done.undecided[0].why


def test_precomps_that_lead_back_are_refused_by_naming_the_ring() -> None:
    ring = {"/p/other.nk": PRECOMP.replace("other", "third") + WRITE, "/p/third.nk": PRECOMP + WRITE}
    with pytest.raises(ScriptError, match=r"/p/third\.nk → /p/other\.nk → /p/third\.nk") as refused:
        planned(PRECOMP, disk=Disk(ring))
    assert "Pre leads back to itself" in str(refused.value)


GIZMO = (
    "Gizmo {\n addUserKnob {2 tex}\n tex /t/default.####.exr\n}\nInput {\n inputs 0\n name In\n}\n"
    "TimeOffset {\n time_offset 1\n}\n" + read('"\\[value parent.tex]"') + "Merge2 {\n inputs 2\n}\n"
    "Output {\n name Out\n}\nend_group\n"
)


def test_a_gizmo_is_opened_for_each_of_its_nodes() -> None:
    disk = Disk({"/g/Studio.gizmo": GIZMO})
    body = A + "Studio {\n tex /t/mine.####.exr\n name S1\n}\nStudio {\n name S2\n}\n"
    done = planned(body, disk=disk, gizmo_path=["/g/"])
    wanted = ["/g/Studio.gizmo", "/p/a.0003.exr", "/t/default.0005.exr", "/t/mine.0004.exr"]
    assert names(done) == wanted
    assert disk.reads == ["/g/Studio.gizmo"]
    assert names(planned(body, disk=disk, environment={"NUKE_PATH": "/none:/g"})) == wanted


def test_a_gizmo_that_is_nowhere_is_said_and_its_inputs_are_read() -> None:
    done = planned(A + "Studio {\n name S1\n}\n")
    assert names(done) == ["/p/a.0005.exr"]
    assert "no gizmo path has it" in done.undecided[0].why


def test_a_gizmo_within_itself_is_refused() -> None:
    disk = Disk({"/g/Studio.gizmo": GIZMO.replace("TimeOffset {", "Studio {")})
    with pytest.raises(ScriptError, match=r"Studio\.gizmo → /g/Studio\.gizmo"):
        planned(A + "Studio {\n}\n", disk=disk, gizmo_path=["/g"])


def test_a_published_live_group_is_its_file() -> None:
    held = f"LiveGroup {{\n inputs 0\n file /l/live.nk\n published PUBLISHED\n}}\n{A}Output {{\n}}\nend_group\n"
    disk = Disk({"/l/live.nk": f"{B}Output {{\n}}\n"})
    assert names(planned(held.replace("PUBLISHED", "true"), disk=disk)) == ["/l/live.nk", "/p/b.0005.exr"]
    assert "/p/a.0005.exr" in names(planned(held.replace("PUBLISHED", "false"), disk=disk))


def test_planning_leaves_the_script_as_it_was() -> None:
    script = parse(ROOT + A + "Studio {\n name S1\n}\n" + WRITE)
    options = {"script_path": "/s.nk", "environment": {}, "files": Disk({"/g/Studio.gizmo": GIZMO})}
    plan(script, frames=[1], gizmo_path=["/g"], **options)
    assert (script.find("S1").cls, script.find("S1").children, len(script.nodes)) == ("Studio", [], 3)


def test_the_plan_as_json_is_plain() -> None:
    told = json.loads(json.dumps(planned(A + read("/p/s.exr") + "Merge2 {\n inputs 2\n}\n", [1, 5]).as_json()))
    assert told["frames"] == "1,5"
    assert [(one["pattern"], one["file_frames"], one["wanted"]) for one in told["reads"]] == [
        ("/p/a.####.exr", "1,5", {"1": "1", "5": "5"}),
        ("/p/s.exr", "", None),
    ]


def test_a_still_is_read_once_per_job_frame() -> None:
    assert dict(planned(read("/p/s.exr"), [1, 2]).reads[0].wanted) == {1: ONCE, 2: ONCE}


def test_a_script_says_its_own_frames() -> None:
    assert script_frames(parse(ROOT)) == tuple(range(1, 11))
    assert len(script_frames(parse("Dot {\n}\n"))) == 100
    with pytest.raises(UsageError, match="5 to 4"):
        script_frames(parse("Root {\n first_frame 5\n last_frame 4\n}\n"))
