"""Names become files: pinned, leased, absent, unmapped or failed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_kit import RENDERS, SHOW, Place, wait_until

from jit_render.model.settings import CacheSettings
from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.faults import Fault


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


@pytest.fixture
def gcs() -> Iterator[FakeGcs]:
    with FakeGcs(buckets=["studio"]) as server:
        yield server


@pytest.fixture
def cloud(tmp_path: Path, gcs: FakeGcs) -> Iterator[Place]:
    """The same over the strict server, with few retries."""
    made = Place(tmp_path, bucket="gs://studio", endpoint=gcs.url, deadline=1.0)
    yield made
    made.close()


def test_an_input_is_fetched_once_linked_in_the_view_and_counted(place: Place) -> None:
    place.put("show/sh010/plate.1001.exr", b"plate")
    place.start()
    talker = place.talk()

    first = talker.resolve(f"{SHOW}/sh010/plate.1001.exr")
    again = talker.resolve(f"{SHOW}/sh010/plate.1001.exr")
    other = place.talk(task=2).resolve(f"{SHOW}//sh010/./plate.1001.exr")

    assert first["state"] == "local"
    assert first["leased"]
    assert Path(first["path"]).read_bytes() == b"plate"
    assert first["path"].endswith("/bucket/show/sh010/plate.1001.exr")
    assert first == again
    assert other["path"] == first["path"]
    stats = talker.ask("stats")
    assert stats["attempt"]["misses"] == 1
    assert stats["attempt"]["hits"] == 0
    assert stats["attempt"]["bytes_fetched"] == 5
    mine = place.talk(task=2).ask("stats")["attempt"]
    assert (mine["hits"], mine["misses"], mine["bytes_from_cache"], mine["bytes_fetched"]) == (1, 0, 5, 0)


def test_a_pattern_or_folder_is_answered_with_its_place(place: Place) -> None:
    place.start()
    talker = place.talk()
    for tail in ("show/a.%04d.exr", "show/a.####.exr", "show/%V/a.exr", "renders/b.%04d.exr", "show/sub/"):
        answer = talker.resolve(f"/mnt/{tail}")

        assert (answer["state"], answer["leased"]) == ("local", False)
        assert answer["path"].startswith(f"{place.cache_root}/view/shot-1/")
        assert Path(answer["path"]).parent.is_dir()


def test_every_spelling_of_a_prefix_means_the_same_object(place: Place) -> None:
    place.put("show/lut.cube", b"cube")
    place.start()
    talker = place.talk()
    path = talker.resolve(f"{SHOW}/lut.cube")["path"]

    assert talker.resolve("P:\\show\\lut.cube")["path"] == path
    assert talker.resolve("p:/SHOW/lut.cube")["path"] == path
    assert talker.resolve(path)["path"] == path


def test_unmapped_absent_and_hostile_names_are_told_apart(place: Place) -> None:
    place.start()
    talker = place.talk()

    unmapped = talker.resolve("/etc/passwd")
    script = talker.resolve(f"{place.cache_root}/view/shot-1/.script/a.nk")
    absent = talker.resolve(f"{SHOW}/none.1001.exr")
    hostile = [
        talker.resolve(name) for name in (f"{SHOW}/../secret", f"{SHOW}/a\nb", f"{SHOW}/a\0b", f"{SHOW}/{'x' * 300}")
    ]

    assert (unmapped["state"], unmapped["path"]) == ("unmapped", "/etc/passwd")
    assert script["state"] == "unmapped"
    assert absent["state"] == "absent"
    assert absent["object"] == f"{place.bucket}/show/none.1001.exr"
    assert absent["path"].endswith("/show/none.1001.exr")
    assert {answer["kind"] for answer in hostile} == {"HostilePath"}
    assert {answer["state"] for answer in hostile} == {"failed"}


def test_names_in_any_script_of_the_world_resolve(place: Place) -> None:
    name = "fröhliche 画像 🎬 (v2)'\"$&;.1001.exr"
    place.put(f"show/{name}", b"unicode")
    place.start()

    assert Path(place.talk().resolve(f"{SHOW}/{name}")["path"]).read_bytes() == b"unicode"


def test_a_job_keeps_the_version_it_saw_first_and_a_later_job_sees_the_new_one(cloud: Place) -> None:
    generation = cloud.put("show/plate.exr", b"first")
    cloud.put("state/jobs/shot-2/job.json", cloud.spec("shot-2").model_dump_json().encode())
    cloud.start()
    talker = cloud.talk()
    assert Path(talker.resolve(f"{SHOW}/plate.exr")["path"]).read_bytes() == b"first"

    cloud.put("show/plate.exr", b"second!")
    later = cloud.talk(task=2)
    other = cloud.talk(job=f"{cloud.bucket}/state/jobs/shot-2")

    assert Path(later.resolve(f"{SHOW}/plate.exr")["path"]).read_bytes() == b"first"
    assert Path(other.resolve(f"{SHOW}/plate.exr")["path"]).read_bytes() == b"second!"
    assert generation


def test_a_pinned_version_that_is_gone_fails_and_names_it(cloud: Place, gcs: FakeGcs) -> None:
    cloud.cache = CacheSettings(limit=10)
    generation = cloud.put("show/plate.exr", b"12345678")
    cloud.put("show/other.exr", b"87654321")
    cloud.start()
    first = cloud.talk()
    first.resolve(f"{SHOW}/plate.exr")
    first.close()
    cloud.put("show/plate.exr", b"anew")
    second = cloud.talk()
    assert second.resolve(f"{SHOW}/other.exr")["state"] == "local"  # evicts the first
    second.close()

    answer = cloud.talk().resolve(f"{SHOW}/plate.exr")

    assert answer["state"] == "failed"
    assert answer["kind"] == "GenerationGone"
    assert generation in answer["reason"]


def test_latest_follows_overwrites_but_not_within_one_frame(tmp_path: Path) -> None:
    place = Place(tmp_path, latest=True)
    place.put("show/plate.exr", b"first")
    place.start()
    talker = place.talk()
    talker.frame("begin", 1, [["main", f"{RENDERS}/a.0001.exr"]])
    name = f"{SHOW}/plate.exr"
    assert Path(talker.resolve(name, "Write1")["path"]).read_bytes() == b"first"

    place.put("show/plate.exr", b"second!")

    assert Path(talker.resolve(name, "Write1")["path"]).read_bytes() == b"first"
    talker.frame("begin", 2, [["main", f"{RENDERS}/a.0002.exr"]])
    assert Path(talker.resolve(name, "Write1")["path"]).read_bytes() == b"second!"
    place.close()


def test_many_sessions_asking_at_once_cause_one_download(cloud: Place, gcs: FakeGcs) -> None:
    for frame in range(20):
        cloud.put(f"show/plate.{frame:04d}.exr", b"x" * 100_000)
    cloud.start()
    talkers = [cloud.talk(task=task) for task in range(10)]
    gcs.reset_counts()

    for talker in talkers:
        names = [[f"{SHOW}/plate.{frame:04d}.exr", "error"] for frame in range(20)]
        talker.begin("ensure", names=names, write="", frame=1, prefetch=False)
    replies = [talker.line() for talker in talkers]

    assert all(answer["state"] == "local" for reply in replies for answer in (reply or {})["answers"])
    assert gcs.count("get", "studio") == 20
    assert gcs.count("stat", "studio") == 20
    fetched = [talker.ask("stats")["attempt"]["bytes_fetched"] for talker in talkers]
    assert sum(fetched) == 20 * 100_000


def test_what_cannot_be_fetched_is_failed_and_never_absent(cloud: Place, gcs: FakeGcs) -> None:
    cloud.put("show/plate.exr", b"plate")
    cloud.put("show/flaky.exr", b"flaky")
    gcs.faults.set(
        [Fault(kind="get", name="show/plate.exr", times=-1), Fault(kind="stat", name="show/x.exr", times=-1)]
    )
    cloud.start()
    talker = cloud.talk()

    answers = talker.ensure(f"{SHOW}/plate.exr", f"{SHOW}/x.exr", f"{SHOW}/flaky.exr", f"{SHOW}/none.exr")

    assert [answer["state"] for answer in answers] == ["failed", "failed", "local", "absent"]
    assert [answer["kind"] for answer in answers[:2]] == ["TransientStoreError"] * 2
    assert answers[0]["retryable"]
    gcs.faults.set([])
    assert talker.resolve(f"{SHOW}/plate.exr")["state"] == "local"


def test_no_permission_is_failed_with_its_kind(cloud: Place, gcs: FakeGcs) -> None:
    cloud.start()
    talker = cloud.talk()
    gcs.deny("studio")

    answer = talker.resolve(f"{SHOW}/plate.exr")

    assert (answer["state"], answer["kind"], answer["retryable"]) == ("failed", "PermissionDenied", False)


def test_absence_is_asked_once_in_a_while_for_inputs_and_always_for_outputs(cloud: Place, gcs: FakeGcs) -> None:
    cloud.start()
    talker = cloud.talk()
    gcs.reset_counts()

    for _ in range(5):
        assert talker.ensure(f"{SHOW}/none.exr")[0]["state"] == "absent"
        assert talker.ensure(f"{RENDERS}/none.exr")[0]["state"] == "absent"

    assert gcs.count("stat", "studio", "show/none.exr") == 1
    assert gcs.count("stat", "studio", "renders/none.exr") == 5


def test_what_a_frame_needs_beyond_the_cache_is_a_clear_error(place: Place) -> None:
    place.cache = CacheSettings(limit=1000)
    for number in range(3):
        place.put(f"show/{number}.exr", bytes(400))
    place.start()
    talker = place.talk()

    answers = talker.ensure(*(f"{SHOW}/{number}.exr" for number in range(3)))

    assert sorted(answer["state"] for answer in answers) == ["failed", "local", "local"]
    error = next(answer for answer in answers if answer["state"] == "failed")
    assert error["kind"] == "CacheTooSmall"
    assert "cache.limit" in error["reason"]


def test_a_frames_leases_end_with_the_frame(place: Place) -> None:
    place.cache = CacheSettings(limit=1000)
    for number in range(6):
        place.put(f"show/{number}.exr", bytes(400))
    place.start()
    talker = place.talk()

    for frame in range(3):
        talker.frame("begin", frame, [["main", f"{RENDERS}/a.{frame}.exr"]])
        names = [f"{SHOW}/{frame * 2}.exr", f"{SHOW}/{frame * 2 + 1}.exr"]
        assert [answer["state"] for answer in talker.ensure(*names, write="Write1")] == ["local", "local"]
        assert all(Path(answer["path"]).stat().st_size == 400 for answer in talker.ensure(*names, write="Write1"))
    talker.frame("end", 2, [])

    assert talker.ask("stats")["agent"]["cache"]["leased_bytes"] == 0


@pytest.mark.parametrize("end", [False, True])
def test_a_publish_ends_the_frame_where_it_says_so(place: Place, *, end: bool) -> None:
    place.put("show/plate.exr", bytes(400))
    place.start()
    talker = place.talk()
    out = ["main", f"{RENDERS}/a.1.dpx"]
    (path,) = talker.frame("begin", 1, [out])
    talker.ensure(f"{SHOW}/plate.exr", write="Write1")
    path.write_bytes(b"pixels")

    talker.publish(1, [out], end=end)

    assert talker.ask("stats")["agent"]["cache"]["leased_bytes"] == (0 if end else 400)
    talker.drain()
    assert [used.url for used in place.record(1).inputs] == [f"{place.bucket}/show/plate.exr"]
    assert talker.call("publish", write="W", frame=1, outputs=[], end=1)["error"]["kind"] == "ProtocolError"


def test_a_publish_that_takes_nothing_leaves_the_frame_open(place: Place) -> None:
    place.put("show/plate.exr", bytes(400))
    place.start()
    talker = place.talk()
    out = ["main", f"{RENDERS}/a.1.exr"]
    (path,) = talker.frame("begin", 1, [out])
    talker.ensure(f"{SHOW}/plate.exr", write="Write1")
    path.write_bytes(b"no EXR")

    assert talker.publish(1, [out], end=True)["error"]["kind"] == "OutputInvalid"

    assert talker.ask("stats")["agent"]["cache"]["leased_bytes"] == 400


def test_a_prefetch_is_answered_at_once_and_makes_the_demand_a_hit(cloud: Place, gcs: FakeGcs) -> None:
    for frame in range(5):
        cloud.put(f"show/plate.{frame}.exr", b"x" * 1000)
    cloud.start()
    talker = cloud.talk()
    names = [[f"{SHOW}/plate.{frame}.exr", "error"] for frame in range(5)]

    absent = [f"{SHOW}/absent.exr", "error"]
    reply = talker.ask("ensure", names=[*names, absent], write="", frame=2, prefetch=True)
    wait_until(lambda: talker.ask("stats")["agent"]["cache"]["entries"] == 5, "the prefetch to come in")
    answers = talker.ensure(*(name for name, _ in names))

    assert reply["answers"] == []
    assert {answer["state"] for answer in answers} == {"local"}
    assert gcs.count("get", "studio") == 5 + 1  # the job's specification
    spent = talker.ask("stats")["attempt"]
    assert (spent["hits"], spent["misses"], spent["bytes_fetched"]) == (5, 0, 5000)


def test_the_nearest_frames_are_brought_in_for_who_wants_them(place: Place) -> None:
    for frame in (1001, 1004, 1008, 1010):
        place.put(f"show/plate.{frame}.exr", b"x")
    place.put("show/plate_v2.1009.exr", b"another sequence")
    place.put("show/sub/plate.1009.exr", b"another folder")
    place.start()

    answer = place.talk().ensure(f"{SHOW}/plate.1009.exr", on_error="nearest frame")[0]

    assert answer["state"] == "absent"
    here = sorted(path.name for path in Path(answer["path"]).parent.glob("*.exr"))
    assert here == ["plate.1008.exr", "plate.1010.exr"]


def test_a_client_that_leaves_in_the_middle_of_a_fetch_gives_everything_back(cloud: Place, gcs: FakeGcs) -> None:
    cloud.put("show/slow.exr", b"x" * 1_000_000)
    cloud.deadline = 60.0
    gcs.faults.set([Fault(kind="get", name="show/slow.exr", action="stall", at="middle", times=1)])
    cloud.start()
    watcher, talker = cloud.talk(job=""), cloud.talk()
    talker.begin("resolve", name=f"{SHOW}/slow.exr", write="")
    wait_until(lambda: gcs.count("get", "studio", "show/slow.exr") == 1, "the download to begin")

    talker.close()

    wait_until(lambda: watcher.ask("stats")["agent"]["sessions"] == 1, "the session to end")
    assert watcher.ask("stats")["agent"]["cache"]["leased_entries"] == 0


def test_a_file_and_a_folder_of_one_name_fail_with_a_reason(place: Place) -> None:
    (place.root / "bucket" / "show").mkdir(parents=True)
    gcs_like = place.cache_root / "view" / "shot-1" / f"file+{place.root}/bucket/show"
    gcs_like.mkdir(parents=True)
    (gcs_like / "a").mkdir()
    (gcs_like / "a" / "b").write_bytes(b"x")
    place.put("show/a", b"object")
    place.start()

    answer = place.talk().resolve(f"{SHOW}/a")

    assert answer["state"] == "failed"
    assert "a" in answer["reason"]
