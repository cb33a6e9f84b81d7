"""A shot with its plan, as a user sees it: shown before, kept while it renders, compared after."""

from __future__ import annotations

import json

from conftest import stock
from house import House

from jit_render.testing.fake_gcs import FakeGcs


def test_a_plan_is_shown_without_submitting_and_ends_with_3_for_what_is_missing(stocked: House, gcs: FakeGcs) -> None:
    shown = stocked.submit("--plan", frames="1001-1003")
    assert shown.returncode == 0, shown.stderr
    for words in (
        "ReadBg.file",
        "1001-1003",
        "1-3",
        "ReadStill.file",
        "Lut.vfield_file",
        "a frame  5 files",
        "11 files",
    ):
        assert words in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    gcs.remove("show", "assets/plates/fx/fx.0002.exr")

    told = stocked.submit("--plan", "--json", frames="1001-1003")

    assert told.returncode == 3
    plan = json.loads(told.stdout)
    assert [(one["node"], one["frame"], one["stops"]) for one in plan["missing"]] == [("ReadFx", 1002, True)]
    assert (plan["total"]["files"], plan["frames"]["1002"]["files"]) == (10, 4)
    assert 0 < plan["total"]["share_of_folders"] < 1
    assert not [name for name in gcs.objects("show") if name.startswith("state/")]


def test_a_missing_input_stops_the_submit_unless_it_is_allowed_and_that_is_recorded(
    stocked: House, gcs: FakeGcs
) -> None:
    gcs.remove("show", "assets/plates/fx/fx.0002.exr")
    refused = stocked.submit("--no-run", frames="1001-1003")
    assert refused.returncode == 3
    assert "gs://show/assets/plates/fx/fx.0002.exr (ReadFx.file)" in refused.stderr
    allowed = stocked.submit("--no-run", "--allow-missing", frames="1001-1003")
    assert allowed.returncode == 0, allowed.stderr
    (spec,) = [json.loads(gcs.get("show", name)) for name in gcs.objects("show") if name.endswith("/job.json")]
    assert (spec["allow_missing"], spec["inputs_missing"]) == (True, 1)


def test_frames_are_those_of_the_submit_though_plates_are_overwritten_before_they_render(
    house: House, gcs: FakeGcs
) -> None:
    expected = house.direct(frames="1001-1004")
    stock(house, gcs)
    submitted = house.submit("--no-run", frames="1001-1004")
    assert submitted.returncode == 0, submitted.stderr
    other = gcs.get("show", "assets/plates/fx/fx.0009.exr")
    for frame in (1, 2, 3, 4):
        gcs.put("show", f"assets/plates/fx/fx.{frame:04d}.exr", other)

    done = house.run("jit-render", "retry", "latest", "--workers", "1")

    assert done.returncode == 0, done.stderr
    assert house.pull() == expected
    diff = house.json("jit-render", "status", "--plan-diff")
    assert diff["frames"] == "1001-1004"
    assert {node["node"]: (node["planned"], node["read"]) for node in diff["nodes"]} == {
        "ReadBg.file": (8, 8),
        "ReadFx.file": (4, 4),
        "ReadStill.file": (1, 1),
        "Lut.vfield_file": (1, 1),
    }
    assert "the plan was exact" in house.run("jit-render", "status", "--plan-diff").stdout
    spent = house.json("jit-render", "status")["spent"]
    assert spent["unplanned"] == 0
    assert spent["prefetch_useful"] + spent["prefetch_late"] > 0
