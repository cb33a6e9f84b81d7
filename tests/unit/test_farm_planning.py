"""A plan meets the bucket: what is there, what is missing, what it weighs, and how few requests that takes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jit_render.farm.planning import look
from jit_render.model.errors import MissingInput
from jit_render.model.job import JobSpec, WriteTarget
from jit_render.model.pathmap import PathMap, PathRule
from jit_render.model.settings import StoreSettings
from jit_render.report.plan import plan_json, plan_lines
from jit_render.script.planned import ONCE, Plan, ReadPlan
from jit_render.store import Store, open_store
from jit_render.testing.fake_gcs import FakeGcs

RULES = (
    PathRule(prefix=("/mnt/show", "P:\\show"), target="gs://show"),
    PathRule(prefix="/mnt/show/out", target="gs://show/out", mode="write"),
)


def spec(frames: str = "1001-1004", **more) -> JobSpec:
    fields = {
        "id": "sh010-1",
        "shot": "sh010",
        "created": 0.0,
        "script_name": "sh010.nk",
        "script_source": "/mnt/show/sh010.nk",
        "script_sha256": "0",
        "fingerprint": "0",
        "frames": frames,
        "writes": (WriteTarget(name="Write1", file="/mnt/show/out/comp.%04d.exr"),),
        "path_map": PathMap(rules=RULES),
    }
    return JobSpec.model_validate(fields | more)


def read(node: str, pattern: str, wanted: dict[int, tuple[int, ...]], **more) -> ReadPlan:
    fields = {"cls": "Read", "knob": "file", "line": 3, "on_error": "error", "views": ("",)} | more
    return ReadPlan(node=node, pattern=pattern, wanted=wanted, **fields)


def plan_of(*reads: ReadPlan, frames: tuple[int, ...] = (1001, 1002, 1003, 1004)) -> Plan:
    return Plan(frames=frames, views=("main",), writes=(), reads=reads)


def straight(*frames: int) -> dict[int, tuple[int, ...]]:
    return {frame: (frame,) for frame in frames}


@pytest.fixture
def gcs() -> Iterator[FakeGcs]:
    with FakeGcs(buckets=["show"]) as server:
        yield server


@pytest.fixture
def store(gcs: FakeGcs) -> Iterator[Store]:
    opened = open_store(StoreSettings(endpoint=gcs.url))
    yield opened
    opened.close()


STEREO = read("ReadBg", "/mnt/show/bg/bg.%V.%04d.exr", straight(1001, 1002, 1003, 1004), views=("left", "right"))
STILL = read("ReadStill", "P:\\show\\still.exr", dict.fromkeys((1001, 1002, 1003, 1004), ONCE))


def test_files_are_found_weighed_and_counted_per_frame_and_per_shot(gcs: FakeGcs, store: Store) -> None:
    for frame in range(1000, 1010):
        for view in ("left", "right"):
            gcs.put("show", f"bg/bg.{view}.{frame}.exr", b"x" * frame)
    gcs.put("show", "still.exr", b"s" * 7)
    inputs = look(store, plan_of(STEREO, STILL), spec())
    assert [(one.files, one.there, one.size_bytes) for one in inputs.reads] == [
        (8, 8, 2 * (1001 + 1002 + 1003 + 1004)),
        (1, 1, 7),
    ]
    assert len(inputs.objects) == 9
    assert inputs.bytes_of(1002) == 2 * 1002 + 7
    assert inputs.folder_bytes == 2 * sum(range(1000, 1010)) + 7
    assert inputs.missing == ()
    assert gcs.count("list") == 2
    assert gcs.count("stat") == gcs.count("get") == 0


def test_every_missing_input_is_named_at_once_with_node_knob_frame_and_object(gcs: FakeGcs, store: Store) -> None:
    for frame in (1001, 1003):
        gcs.put("show", f"bg/bg.left.{frame}.exr", b"x")
        gcs.put("show", f"bg/bg.right.{frame}.exr", b"x")
    inputs = look(store, plan_of(STEREO, STILL), spec())
    assert len(inputs.missing) == 5
    with pytest.raises(MissingInput) as caught:
        inputs.check("submit with --allow-missing")
    said = str(caught.value)
    assert said.startswith("5 inputs are not in the bucket: frame 1002: gs://show/bg/bg.left.1002.exr (ReadBg.file);")
    assert "frame 1001 and 3 more: gs://show/still.exr (ReadStill.file)" in said
    assert "--allow-missing" in said


def test_what_on_error_forgives_and_what_is_not_certain_does_not_stop(gcs: FakeGcs, store: Store) -> None:
    black = read("Fx", "/mnt/show/fx.%d.exr", straight(1001), on_error="black")
    widened = read("Maybe", "/mnt/show/maybe.exr", {1001: ONCE}, certain=False, why="Switch1.which")
    inputs = look(store, plan_of(black, widened), spec())
    inputs.check("submit with --allow-missing")
    assert [(one.node, one.stops) for one in inputs.missing] == [("Fx", False), ("Maybe", False)]


def test_the_jobs_own_outputs_and_names_under_no_rule_are_no_inputs(gcs: FakeGcs, store: Store) -> None:
    gcs.put("show", "out/comp.1001.exr", b"of an earlier job")
    own = read("ReadComp", "/mnt/show/out/comp.####.exr", {**straight(1002, 1003), 1004: (1000,)})
    font = read("Text1", "/usr/share/fonts/a.ttf", {1001: ONCE}, knob="font")
    hostile = read("Bad", "/mnt/show/../../etc/passwd", {1001: ONCE})
    inputs = look(store, plan_of(own, font, hostile), spec())
    first = inputs.reads[0]
    assert (first.files, first.made_here, first.pattern) == (3, 2, "gs://show/out/comp.####.exr")
    assert [one.object for one in inputs.missing] == ["gs://show/out/comp.1000.exr"]
    assert inputs.reads[1].pattern == inputs.reads[2].pattern == ""
    assert inputs.reads[2].refused
    assert inputs.objects == ()


def test_a_large_folder_is_one_paged_listing_whatever_is_wanted_of_it(gcs: FakeGcs, store: Store) -> None:
    for number in range(2_500):
        gcs.put("show", f"big/p.{number}.exr", b"x")
    inputs = look(store, plan_of(read("Read1", "/mnt/show/big/p.%d.exr", {1001: (7, 8)})), spec())
    assert len(inputs.objects) == 2
    assert gcs.count("list") == 3
    assert gcs.count("stat") == 0


def test_the_page_for_people_fits_80_columns_and_the_document_says_all(gcs: FakeGcs, store: Store) -> None:
    gcs.put("show", "bg/bg.left.1001.exr", b"x" * 1000)
    far = read(
        "Group1.Group2.ReadWithALongName", f"/mnt/show/{'deep/' * 20}a.%04d.exr", straight(1001), on_error="black"
    )
    plan = plan_of(STEREO, far, read("Text1", "/usr/share/fonts/a.ttf", {1001: ONCE}, knob="font"))
    inputs = look(store, plan, spec())
    lines = plan_lines(plan, inputs, spec())
    assert all(len(part) <= 80 for line in lines for part in line.split("\n") if "gs://" not in part)
    text = "\n".join(lines)
    for words in ("ReadBg.file", "8       1", "bg.right.1004.exr", "/usr/share/fonts/a.ttf", "the shot 1 file, 1.0 kB"):
        assert words in text
    told = plan_json(plan, inputs, spec())
    assert told["total"] == {
        "files": 1, "bytes": 1000, "missing": 8, "folders": 2, "folder_bytes": 1000, "share_of_folders": 1.0,
    }  # fmt: skip
    assert told["frames"]["1001"] == {"files": 1, "bytes": 1000}
    assert told["reads"][0]["there"] == 1
    assert sum(one["stops"] for one in told["missing"]) == 7
