"""A shot from bucket to bucket through the node cache, as a user runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import stock
from house import House

from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.faults import Fault


def versions(gcs: FakeGcs, below: str) -> dict[str, int]:
    """How often each object below a folder was written."""
    found: dict[str, int] = {}
    for version in gcs.objects_model.versions("show", old=True):
        if version.name.startswith(below):
            found[version.name] = found.get(version.name, 0) + 1
    return found


def inputs_read(gcs: FakeGcs) -> dict[str, int]:
    """Downloads per input, by the server's own count."""
    return {name: gcs.count("get", "show", name) for name in gcs.objects("show") if name.startswith("assets/")}


@pytest.mark.parametrize("timing", ["pattern", "concrete"])
def test_frames_are_those_of_a_render_from_local_files_whatever_the_filters_timing(
    house: House, gcs: FakeGcs, timing: str
) -> None:
    expected = house.direct()
    stock(house, gcs)
    house.environment["JIT_RENDER_STANDIN_TIMING"] = timing
    done = house.submit("--workers", "2")
    assert done.returncode == 0, done.stderr
    assert len(expected) == 24
    assert house.pull() == expected


def test_two_workers_download_each_object_once_and_a_second_job_downloads_nothing(stocked: House, gcs: FakeGcs) -> None:
    first = stocked.submit("--workers", "2")
    assert first.returncode == 0, first.stderr
    read = inputs_read(gcs)
    assert set(read.values()) == {1}
    assert len(read) == 12 * 3 + 2
    second = stocked.submit("--workers", "2", "--force")
    assert second.returncode == 0, second.stderr
    assert inputs_read(gcs) == read
    assert set(versions(gcs, "renders/").values()) == {1}, "the same bytes are not uploaded over themselves"


def test_a_second_submit_says_that_the_frames_are_there_and_renders_none(stocked: House, gcs: FakeGcs) -> None:
    assert stocked.submit().returncode == 0
    before = {name: version.generation for name, version in gcs.objects("show").items()}
    again = stocked.submit()
    assert again.returncode == 0
    assert "12 of 12 frames are already there" in again.stdout + again.stderr
    assert {name: version.generation for name, version in gcs.objects("show").items()} == before


def test_an_overwritten_plate_renders_its_frames_again_and_no_others(stocked: House, gcs: FakeGcs) -> None:
    assert stocked.submit().returncode == 0
    gcs.put("show", "assets/plates/fx/fx.0003.exr", gcs.get("show", "assets/plates/fx/fx.0004.exr"))
    again = stocked.submit("--json")
    assert again.returncode == 0, again.stderr
    written = versions(gcs, "renders/")
    assert {name for name, count in written.items() if count > 1} == {
        "renders/small.left.1003.exr",
        "renders/small.right.1003.exr",
    }


def test_a_lost_output_is_rendered_again(stocked: House, gcs: FakeGcs) -> None:
    assert stocked.submit().returncode == 0
    gcs.remove("show", "renders/small.left.1005.exr")
    assert stocked.submit().returncode == 0
    assert "renders/small.left.1005.exr" in gcs.objects("show")


def test_a_stereo_sequence_of_a_real_show_keeps_both_views_and_its_data_window(
    house: House, gcs: FakeGcs, shared_data: Path
) -> None:
    plates = house.show / "plates" / "beachball"
    plates.mkdir()
    for path in sorted((shared_data / "beachball").glob("*.exr")):
        (plates / path.name).write_bytes(path.read_bytes())
    house.script.write_text(
        f"""version 13.1 v3
Root {{
 inputs 0
 first_frame 1
 last_frame 8
 views "left #ff0000
right #00ff00"
}}
Read {{
 inputs 0
 file {plates}/singlepart.%04d.exr
 first 1
 last 8
 name Plate
}}
Grade {{
 white 1.2
 name Grade1
}}
Write {{
 file {house.outputs}/ball.%V.%04d.exr
 file_type exr
 compression zips
 channels all
 views "left right"
 create_directories true
 name Write1
}}
""",
        encoding="utf-8",
    )
    expected = house.direct(frames="1-3")
    stock(house, gcs)
    done = house.submit(frames="1-3")
    assert done.returncode == 0, done.stderr
    pulled = house.pull()
    assert len(expected) == 6
    assert pulled == expected
    import OpenImageIO

    plate = OpenImageIO.ImageBuf(str(shared_data / "beachball" / "singlepart.0001.exr")).spec()
    frame = house.root / "pulled-latest"
    written = OpenImageIO.ImageBuf(str(next(frame.rglob("ball.left.0001.exr")))).spec()
    assert (written.x, written.y, written.width, written.height) == (plate.x, plate.y, plate.width, plate.height)
    assert (written.full_width, written.full_height) == (plate.full_width, plate.full_height)


def test_a_cache_smaller_than_the_show_renders_the_same_within_its_limit(house: House, gcs: FakeGcs) -> None:
    expected = house.direct()
    stock(house, gcs)
    house.limit = "900K"
    house.configure()
    done = house.submit("--workers", "1", "--chunk", "12")
    assert done.returncode == 0, done.stderr
    assert house.pull() == expected
    stats = house.json("jit-render", "cache", "status")
    assert stats["evictions"] > 0
    assert stats["used_bytes"] <= stats["limit_bytes"]


def test_a_cache_smaller_than_one_frames_inputs_says_how_much_is_needed(stocked: House) -> None:
    stocked.limit = "150K"
    stocked.configure()
    done = stocked.submit("--workers", "1", frames="1001")
    assert done.returncode == 1
    assert "cache.limit" in done.stderr + done.stdout
    assert "need" in done.stderr + done.stdout


@pytest.mark.parametrize("timing", ["pattern", "concrete"])
def test_on_error_black_does_not_hide_a_failed_fetch(
    house: House, gcs: FakeGcs, timing: str
) -> None:
    text = house.script.read_text().replace("on_error error", "on_error black")
    house.script.write_text(text)
    stock(house, gcs)
    gcs.faults.set([Fault(name="assets/plates/fx/fx.0002.exr", kind="get", status=403, times=-1)])
    house.environment["JIT_RENDER_STANDIN_TIMING"] = timing
    done = house.submit(frames="1001-1003")
    assert done.returncode != 0
    assert "fx.0002.exr" in done.stderr + done.stdout
    assert "renders/small.left.1002.exr" not in gcs.objects("show")


def test_absent_inputs_are_reported_by_node_knob_frame_and_object_all_at_once(stocked: House, gcs: FakeGcs) -> None:
    gcs.remove("show", "assets/plates/fx/fx.0002.exr")
    gcs.remove("show", "assets/plates/bg/bg.left.1002.exr")
    done = stocked.submit("--workers", "1", frames="1002")
    said = done.stderr + done.stdout
    assert done.returncode == 3, said
    for word in ("ReadFx", "ReadBg", "file", "1002", "fx.0002.exr", "bg.left.1002.exr"):
        assert word in said
    assert not [name for name in gcs.objects("show") if name.startswith("renders/")]


def test_a_switch_whose_other_input_has_no_files_renders(house: House, gcs: FakeGcs) -> None:
    switch = f"Read {{\n inputs 0\n file {house.show}/precomp/none.####.exr\n name ReadNone\n}}\n"
    switch += "Switch {\n inputs 2\n which 1\n name Switch1\n}\n"
    merge = "Merge2 {\n inputs 2\n operation screen\n"
    text = house.script.read_text()
    assert merge in text
    house.script.write_text(text.replace(merge, switch + merge))
    expected = house.direct(frames="1001-1002")
    stock(house, gcs)
    done = house.submit("--workers", "1", frames="1001-1002")
    assert done.returncode == 0, done.stderr
    assert house.pull() == expected


def test_names_relative_to_the_script_lead_where_they_led_on_the_artists_machine(house: House, gcs: FakeGcs) -> None:
    text = house.script.read_text().replace(f" file {house.show}/", " file {[file dirname [value root.name]]/../")
    text = text.replace(f" vfield_file {house.show}/", " vfield_file {[file dirname [value root.name]]/../")
    text = re.sub(r"^( (?:vfield_)?file \{.*)$", r"\1}", text, flags=re.MULTILINE)
    assert text.count(str(house.show)) == 1, "only Root's own name"
    house.script_name = "show/comp/small.nk"
    house.script.parent.mkdir()
    house.script.write_text(text)
    expected = house.direct(frames="1001-1002")
    stock(house, gcs)
    house.script.parent.mkdir(parents=True)
    house.script.write_text(text)
    house.environment["JIT_RENDER_STANDIN_TIMING"] = "concrete"
    done = house.submit("--workers", "1", frames="1001-1002")
    assert done.returncode == 0, done.stderr
    assert house.pull() == expected
    written = [name for name in gcs.objects("show") if "renders/" in name]
    assert written == sorted(f"renders/{name}" for name in expected)


def test_an_absent_frame_of_a_read_with_on_error_black_is_the_artists_choice(house: House, gcs: FakeGcs) -> None:
    house.script.write_text(house.script.read_text().replace("on_error error", "on_error black"))
    (house.show / "plates/fx/fx.0002.exr").unlink()
    expected = house.direct(frames="1001-1003")
    stock(house, gcs)
    assert house.submit(frames="1001-1003").returncode == 0
    assert house.pull() == expected


def test_the_nearest_frame_is_the_buckets_nearest_not_the_caches(house: House, gcs: FakeGcs) -> None:
    house.script.write_text(house.script.read_text().replace("on_error error", 'on_error "nearest frame"'))
    for frame in (5, 6):
        (house.show / f"plates/fx/fx.{frame:04d}.exr").unlink()
    expected = house.direct(frames="1001-1012")
    stock(house, gcs)
    assert house.submit("--workers", "1").returncode == 0
    assert house.pull() == expected


def test_verify_finds_every_frame_sound_and_names_one_that_was_overwritten(stocked: House, gcs: FakeGcs) -> None:
    assert stocked.submit(frames="1001-1004").returncode == 0
    sound = stocked.run("jit-render", "verify", "latest", "--json")
    assert sound.returncode == 0, sound.stderr
    gcs.put("show", "renders/small.left.1002.exr", b"not what was committed")
    broken = stocked.run("jit-render", "verify", "latest", "--json")
    assert broken.returncode == 1
    assert "small.left.1002.exr" in json.dumps(json.loads(broken.stdout))
