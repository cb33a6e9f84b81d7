"""What was pinned when a job was submitted: read in that version, on every node, and fetched ahead."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_kit import RENDERS, SHOW, Place, Talker, wait_until

from jit_render.farm.pinning import put_manifest
from jit_render.model.identity import ObjectInfo
from jit_render.model.job import JobPaths
from jit_render.model.manifest import Manifest
from jit_render.model.settings import CacheSettings
from jit_render.store import ABSENT
from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.faults import Fault
from nuke_callbacks import wire

FRAMES = (1001, 1002, 1003, 1004)


@pytest.fixture
def gcs() -> Iterator[FakeGcs]:
    with FakeGcs() as server:
        server.create_bucket("studio", versioning=True)
        server.create_bucket("plain")
        yield server


@pytest.fixture
def place(tmp_path: Path, gcs: FakeGcs) -> Iterator[Place]:
    made = Place(tmp_path, bucket="gs://studio", endpoint=gcs.url, deadline=1.0)
    yield made
    made.close()


@pytest.fixture
def fickle(tmp_path: Path, gcs: FakeGcs) -> Iterator[Place]:
    """The same over a bucket that keeps no old versions."""
    made = Place(tmp_path, bucket="gs://plain", endpoint=gcs.url, deadline=1.0)
    yield made
    made.close()


def plate(frame: int) -> str:
    return f"show/bg/bg.{frame}.exr"


def submit(place: Place, *, latest: bool = False, still: bool = True, chunk: int = 2) -> str:
    """A job whose frames were planned to read their plate and a still; its URL."""
    objects: list[ObjectInfo] = []
    frames: dict[int, list[int]] = {}
    if still:
        place.put("show/still.exr", b"still")
        objects.append(place.store.stat(place.url("show/still.exr")))
    for frame in FRAMES:
        place.put(plate(frame), b"plate %d" % frame)
        frames[frame] = [*range(still), len(objects)]
        objects.append(place.store.stat(place.url(plate(frame))))
    paths = JobPaths(place.url("state/jobs/shot-2"))
    spec = place.spec("shot-2").model_copy(update={"frames": "1001-1004", "chunk": chunk, "latest": latest})
    name = put_manifest(place.store, paths, Manifest(objects, frames).encode(spec.tasks()))
    spec = spec.model_copy(update={"inputs": name})
    place.store.write(paths.spec, spec.model_dump_json().encode(), if_generation=ABSENT)
    return str(paths.home)


def talk(place: Place, home: str, *, role: str = "renderer", frames: tuple[int, ...] = (), task: int = 0) -> Talker:
    talker = place.connect()
    told = {"frames": list(frames)} if frames else {}
    hello = {"version": wire.VERSION, "role": role, "pid": os.getpid(), "job": home, "task": task, "attempt": 1}
    assert talker.ask("hello", **hello, **told)["planned"]
    return talker


def name(frame: int) -> str:
    return f"{SHOW}/bg/bg.{frame}.exr"


def test_a_planned_object_is_read_in_its_pinned_version_without_asking_what_is_live(place: Place, gcs: FakeGcs) -> None:
    home = submit(place)
    place.put(plate(1001), b"overwritten")
    gcs.reset_counts()
    place.start()
    talker = talk(place, home)

    answer = talker.resolve(name(1001))

    assert Path(answer["path"]).read_bytes() == b"plate 1001"
    assert gcs.count("stat", "studio", plate(1001)) == 0
    assert gcs.count("get", "studio", plate(1001)) == 1
    assert talker.ask("stats")["attempt"]["unplanned"] == 0


def test_where_the_pinned_version_is_gone_the_message_says_what_is_there_instead(fickle: Place) -> None:
    home = submit(fickle)
    pinned = fickle.store.stat(fickle.url(plate(1001))).id.generation
    live = fickle.put(plate(1001), b"overwritten")
    fickle.store.delete(fickle.url(plate(1002)))
    fickle.start()

    overwritten, removed = talk(fickle, home).ensure(name(1001), name(1002))

    assert (overwritten["state"], overwritten["kind"]) == ("failed", "GenerationGone")
    for words in (f"gs://plain/{plate(1001)}", pinned, f"generation {live} is live", "--latest", "by no job of ours"):
        assert words in overwritten["reason"]
    assert removed["kind"] == "GenerationGone"
    assert "was removed" in removed["reason"]


def test_latest_follows_overwrites_of_what_was_planned(fickle: Place) -> None:
    home = submit(fickle, latest=True)
    fickle.put(plate(1001), b"overwritten")
    fickle.start()
    talker = talk(fickle, home)

    assert Path(talker.resolve(name(1001))["path"]).read_bytes() == b"overwritten"
    assert talker.ask("stats")["attempt"]["unplanned"] == 0


def test_what_was_planned_for_other_frames_is_pinned_too_and_the_rest_is_counted(place: Place) -> None:
    home = submit(place)
    place.put(plate(1004), b"overwritten")
    place.put("show/lut.cube", b"cube")
    place.start()
    talker = talk(place, home, task=0)

    assert Path(talker.resolve(name(1004))["path"]).read_bytes() == b"plate 1004"
    assert talker.resolve(f"{SHOW}/lut.cube")["state"] == "local"
    assert talker.resolve(f"{SHOW}/none.cube")["state"] == "absent"
    talker.frame("begin", 1001, [["main", f"{RENDERS}/a.1001.exr"]])
    assert talker.ask("stats")["attempt"]["unplanned"] == 1


def test_a_manifest_that_cannot_be_read_fails_names_and_no_hello(place: Place, gcs: FakeGcs) -> None:
    home = submit(place)
    gcs.faults.set([Fault(kind="get", name="*/inputs/*", status=403, times=-1)])
    place.start()
    talker = talk(place, home)

    answer = talker.resolve(name(1001))

    assert (answer["state"], answer["kind"]) == ("failed", "PermissionDenied")
    gcs.faults.set([])
    assert talker.resolve(name(1001))["state"] == "local"


def test_the_first_frames_inputs_come_before_anybody_asks_and_the_next_while_one_renders(
    place: Place, gcs: FakeGcs
) -> None:
    place.cache = CacheSettings(lookahead=1, free_space=0)
    home = submit(place)
    place.start()

    talk(place, home, role="worker", frames=(1001, 1002)).close()
    wait_until(lambda: gcs.count("get", "studio", plate(1001)), "the first frame's plate")
    renderer = talk(place, home)
    assert gcs.count("get", "studio", plate(1002)) == 0
    renderer.frame("begin", 1001, [["main", f"{RENDERS}/a.1001.exr"]])
    renderer.ensure(name(1001), f"{SHOW}/still.exr", write="Write1")
    wait_until(lambda: gcs.count("get", "studio", plate(1002)), "the next frame's plate")
    renderer.close()

    seen = talk(place, home, role="tool")
    counters = ("prefetch_useful", "prefetch_late", "prefetch_wasted")
    wait_until(lambda: sum(seen.ask("stats")["attempt"][key] for key in counters) == 3, "every prefetch is counted")
    stats = seen.ask("stats")["attempt"]
    assert stats["prefetch_wasted"] == 1
    assert gcs.count("get", "studio", plate(1001)) == 1
    assert gcs.count("get", "studio", plate(1003)) == 0, "the next task's frames are not this attempt's"


def test_what_a_plan_missed_is_expected_for_the_next_frame(place: Place, gcs: FakeGcs) -> None:
    place.cache = CacheSettings(lookahead=1, free_space=0)
    home = submit(place, still=False, chunk=4)
    for frame in FRAMES:
        place.put(f"show/fx/fx.{frame - 1000:04d}.exr", b"fx")
    place.start()
    renderer = talk(place, home)

    renderer.frame("begin", 1001, [["main", f"{RENDERS}/a.1001.exr"]])
    assert renderer.ensure(f"{SHOW}/fx/fx.0001.exr", write="Write1")[0]["state"] == "local"
    renderer.frame("end", 1001, [])
    renderer.frame("begin", 1002, [["main", f"{RENDERS}/a.1002.exr"]])

    wait_until(lambda: gcs.count("get", "studio", "show/fx/fx.0003.exr"), "the next frame of what was read unplanned")
