"""The artist's way: the show is only on this disk, nothing is in the bucket, the commands are as they are typed."""

from __future__ import annotations

import json

from house import House

from jit_render.testing.fake_gcs import FakeGcs


def test_a_show_that_is_only_on_this_disk_is_rendered_from_the_bucket(house: House, gcs: FakeGcs) -> None:
    refused = house.submit("--no-upload", "--no-run", frames="1001-1005")
    assert refused.returncode == 3, refused.stderr
    assert "on this disk and not so in the bucket" in refused.stderr
    assert not gcs.objects("show")
    plan = house.submit("--plan", frames="1001-1005")
    assert (plan.returncode, "a submit uploads them" in plan.stderr) == (0, True), plan.stderr
    scouted = house.submit("--scout", "--chunk", "auto", "--json", frames="1001-1005")
    assert scouted.returncode == 0, scouted.stderr
    told = json.loads(scouted.stdout)
    assert ([one["frame"] for one in told["frames"]], told["frames_left"]) == ([1001, 1003, 1005], 2)
    uploaded = {name for name in gcs.objects("show") if name.startswith("assets/")}
    assert uploaded
    house.hide()
    resumed = house.run("jit-render", "resume", "latest")
    assert resumed.returncode == 0, resumed.stderr
    assert "5 of 5 done" in resumed.stdout
    assert {name for name in gcs.objects("show") if name.startswith("assets/")} == uploaded


def test_push_says_what_it_did_and_does_it_once(house: House, gcs: FakeGcs) -> None:
    first = house.run("jit-render", "push", str(house.show))
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith(f"{len(gcs.objects('show'))} files: 0 there already")
    again = house.json("jit-render", "push", str(house.show))
    assert (again["unchanged"], again["uploaded"], again["bytes_read"]) == (again["files"], [], 0)
