"""Finished files become frames in the bucket: checked, durable, uploaded, committed once."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import OpenImageIO as oiio  # noqa: N813 - its own documentation spells it so
import pytest
from agent_kit import RENDERS, SHOW, Place, Talker, wait_until

from jit_render.model.settings import CacheSettings
from jit_render.store.crc import crc32c_of_bytes
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
    made = Place(tmp_path, bucket="gs://studio", endpoint=gcs.url, deadline=1.0)
    yield made
    made.close()


def output(frame: int, view: str = "main", name: str = "a.{:04d}.dpx") -> list[str]:
    return [view, f"{RENDERS}/{name.format(frame)}"]


def render(talker: Talker, frame: int, data: bytes, *outputs: list[str]) -> list[Path]:
    """Write `data` where the outputs of a frame belong."""
    paths = talker.frame("begin", frame, list(outputs) or [output(frame)])
    for path in paths:
        path.write_bytes(data)
    return paths


def test_a_published_frame_is_uploaded_committed_and_warm(place: Place) -> None:
    generation = place.put("show/plate.exr", b"plate")
    session_wide = place.put("show/lut.cube", b"lut")
    place.start()
    talker = place.talk(task=3, attempt=2)
    talker.resolve(f"{SHOW}/lut.cube")
    (path,) = render(talker, 1001, b"pixels")
    talker.ensure(f"{SHOW}/plate.exr", write="Write1")

    reply = talker.publish(1001, [output(1001)])
    talker.frame("end", 1001, [])

    assert reply["published"] == [f"{place.bucket}/renders/a.1001.dpx"]
    assert talker.drain() == ([["Write1", "main", 1001]], [])
    assert place.get("renders/a.1001.dpx") == b"pixels"
    record = place.record(1001)
    assert (record.task, record.attempt, record.render_seconds) == (3, 2, 0.5)
    assert [(out.url, out.size_bytes, out.crc32c) for out in record.outputs] == [
        (f"{place.bucket}/renders/a.1001.dpx", 6, crc32c_of_bytes(b"pixels"))
    ]
    assert {entry.url: entry.generation for entry in record.inputs} == {
        f"{place.bucket}/show/plate.exr": generation,
        f"{place.bucket}/show/lut.cube": session_wide,
    }
    assert path.is_symlink()
    assert "/objects/" in str(path.readlink())
    assert path.read_bytes() == b"pixels"
    assert [entry.name for entry in place.spool.iterdir()] == ["failed"]
    spent = talker.ask("stats")["attempt"]
    assert spent["bytes_uploaded"] == 6
    assert spent["render_seconds"] == 0.5


def test_an_output_is_found_warm_by_a_later_job(cloud: Place, gcs: FakeGcs) -> None:
    cloud.put("state/jobs/shot-2/job.json", cloud.spec("shot-2").model_dump_json().encode())
    cloud.start()
    talker = cloud.talk()
    render(talker, 1, b"pixels")
    talker.publish(1, [output(1)])
    talker.drain()

    answer = cloud.talk(job=f"{cloud.bucket}/state/jobs/shot-2").ensure(f"{RENDERS}/a.0001.dpx")[0]

    assert Path(answer["path"]).read_bytes() == b"pixels"
    assert gcs.count("get", "studio", "renders/a.0001.dpx") == 0


def test_views_in_files_of_their_own_are_committed_each_by_itself(place: Place) -> None:
    place.start()
    talker = place.talk()
    both = [output(1, view, f"{view}/a.{{}}.dpx") for view in ("left", "right")]
    left, right = talker.frame("begin", 1, both)
    left.write_bytes(b"left")

    assert len(talker.publish(1, both)["published"]) == 1
    right.write_bytes(b"right")
    talker.publish(1, both)

    assert sorted(talker.drain()[0]) == [["Write1", "left", 1], ["Write1", "right", 1]]
    assert place.record(1, "left").outputs[0].url.endswith("/left/a.1.dpx")
    assert place.record(1, "right").outputs[0].url.endswith("/right/a.1.dpx")


def test_one_file_with_all_views_commits_them_together(place: Place) -> None:
    place.start()
    talker = place.talk()
    both = [output(1, "left"), output(1, "right")]
    render(talker, 1, b"stereo", *both)

    talker.publish(1, both)

    assert sorted(talker.drain()[0]) == [["Write1", "left", 1], ["Write1", "right", 1]]
    assert place.record(1, "left").outputs == place.record(1, "right").outputs
    assert len(list(place.store.list(place.url("renders")))) == 1


def test_a_view_in_several_files_is_committed_with_all_of_them_or_not_at_all(place: Place) -> None:
    place.start()
    talker = place.talk()
    files = [output(1, "main", "beauty/a.{}.dpx"), output(1, "main", "mask/a.{}.dpx")]
    beauty, mask = talker.frame("begin", 1, files)
    beauty.write_bytes(b"beauty")
    assert talker.publish(1, files)["error"]["kind"] == "OutputInvalid"

    mask.write_bytes(b"mask")
    talker.publish(1, files)

    assert talker.drain() == ([["Write1", "main", 1]], [])
    assert [out.url.split("/")[-2] for out in place.record(1).outputs] == ["beauty", "mask"]


def test_a_movie_grows_over_frames_and_commits_all_it_holds(place: Place) -> None:
    first, second = place.put("show/1.exr", b"1"), place.put("show/2.exr", b"2")
    place.start()
    talker = place.talk()
    movie = ["main", f"{RENDERS}/shot.mov"]
    for frame in (1, 2):
        (path,) = talker.frame("begin", frame, [movie])
        talker.ensure(f"{SHOW}/{frame}.exr", write="Write1")
        with path.open("ab") as file:
            file.write(b"frame %d;" % frame)
        talker.frame("end", frame, [])

    talker.publish(2, [movie], frames=[1, 2])

    assert sorted(talker.drain()[0]) == [["Write1", "main", 1], ["Write1", "main", 2]]
    assert place.get("renders/shot.mov") == b"frame 1;frame 2;"
    assert {entry.generation for entry in place.record(1).inputs} == {first, second}


def test_an_incomplete_output_is_named_and_nothing_of_the_frame_is_taken(place: Place) -> None:
    place.start()
    talker = place.talk()
    both = [output(1, "left", "left.{}.dpx"), output(1, "right", "right.{}.exr")]
    paths = render(talker, 1, b"no EXR at all", *both)

    reply = talker.publish(1, both)

    assert reply["error"]["kind"] == "OutputInvalid"
    assert "right.1.exr" in reply["error"]["message"]
    assert talker.drain() == ([], [])
    assert list(place.store.list(place.url("renders"))) == []
    assert all(not path.is_symlink() for path in paths)
    paths[0].write_bytes(b"")
    assert "left.1.dpx is empty" in talker.publish(1, [both[0]])["error"]["message"]


def test_an_exr_with_a_hole_is_taken_but_never_uploaded(place: Place, tmp_path: Path) -> None:
    exr = tmp_path / "a.exr"
    assert oiio.ImageBufAlgo.zero(oiio.ROI(0, 64, 0, 64, 0, 1, 0, 3)).write(str(exr))
    data = bytearray(exr.read_bytes())
    data[len(data) * 3 // 4 : len(data) * 7 // 8] = bytes(len(data) * 7 // 8 - len(data) * 3 // 4)
    place.start()
    talker = place.talk()
    hole, whole = ([output(frame, name="a.{}.exr")] for frame in (1, 2))
    (path,) = render(talker, 1, data, *hole)

    assert talker.publish(1, hole)["ok"]
    _, failed = talker.drain()

    assert [(url, kind) for url, kind, _ in failed] == [(f"{place.bucket}/renders/a.1.exr", "OutputInvalid")]
    assert not os.path.lexists(path)
    assert list(place.store.list(place.url("renders"))) == []
    assert [left.name for left in place.spool.iterdir()] == ["failed"]
    assert list((place.spool / "failed").iterdir()) == []
    render(talker, 2, exr.read_bytes(), *whole)
    talker.publish(2, whole)
    assert talker.drain()[0] == [["Write1", "main", 2]]


def test_an_output_that_may_not_be_written_is_refused_at_begin_and_at_publish(place: Place) -> None:
    place.start()
    talker = place.talk()
    refusals = {
        "/elsewhere/a.dpx": "UnmappedPath",
        f"{SHOW}/a.dpx": "PathRefused",
        f"{RENDERS}/../a.dpx": "HostilePath",
        f"{RENDERS}/a.%04d.dpx": "UsageError",
        f"{RENDERS}/%V/a.dpx": "UsageError",
        f"{RENDERS}/": "UsageError",
        RENDERS + "/" + "x" * 300: "HostilePath",
    }
    for name, kind in refusals.items():
        begun = talker.call("frame", state="begin", write="Write1", frame=1, outputs=[["main", name]])

        assert begun["error"]["kind"] == kind
        assert talker.publish(1, [["main", name]])["error"]["kind"] == kind


def test_begin_clears_what_an_earlier_try_left_and_resume_keeps_what_was_written(place: Place) -> None:
    place.start()
    first = place.talk()
    (path,) = render(first, 1, b"half")
    first.close()
    wait_until(lambda: place.talk(job="").ask("stats")["agent"]["sessions"] >= 1, "the session to end")

    second = place.talk()
    second.frame("begin", 1, [output(1)])
    assert not path.exists()
    path.write_bytes(b"whole")
    second.frame("resume", 1, [output(1)])

    assert path.read_bytes() == b"whole"
    assert len(second.publish(1, [output(1)])["published"]) == 1


def test_two_live_processes_never_write_one_file(place: Place) -> None:
    place.start()
    first, second = place.talk(), place.talk()
    render(first, 1, b"first")

    begun = second.call("frame", state="begin", write="Write1", frame=1, outputs=[output(2), output(1)])
    published = second.publish(1, [output(1)])

    assert (begun["error"]["kind"], begun["error"]["retryable"]) == ("OutputBusy", True)
    assert published["error"]["kind"] == "OutputBusy"
    first.close()
    wait_until(
        lambda: second.call("frame", state="begin", write="W", frame=1, outputs=[output(1)])["ok"], "the lease to end"
    )


def test_a_dead_renderers_finished_file_can_be_swept_up_by_its_worker(place: Place) -> None:
    place.start()
    worker, renderer = place.talk(role="worker"), place.talk()
    render(renderer, 1, b"finished")
    renderer.close()

    wait_until(lambda: worker.publish(1, [output(1)])["ok"], "the lease to end")

    assert worker.drain() == ([["Write1", "main", 1]], [])


def test_nobody_else_reads_an_output_in_the_making(place: Place) -> None:
    place.put("renders/a.0001.dpx", b"an older job's")
    place.start()
    writer, reader = place.talk(), place.talk(task=2)
    (path,) = writer.frame("begin", 1, [output(1)])

    early = reader.resolve(f"{RENDERS}/a.0001.dpx")
    assert not path.is_symlink()
    path.write_bytes(b"new, ha")
    late = reader.ensure(f"{RENDERS}/a.0001.dpx")[0]
    unborn = reader.ensure(f"{RENDERS}/a.0002.dpx")[0]

    assert Path(early["path"]).read_bytes() == b"an older job's"
    assert Path(late["path"]).read_bytes() == b"an older job's"
    assert unborn["state"] == "absent"
    assert writer.resolve(f"{RENDERS}/a.0001.dpx")["path"] == str(path)


def test_an_incomplete_file_that_a_killed_process_left_is_not_read(place: Place) -> None:
    place.start()
    writer = place.talk()
    (path,) = render(writer, 1, b"half an EXR", output(1, name="a.{:04d}.exr"))
    writer.close()
    reader = place.talk(task=2)

    wait_until(lambda: reader.ensure(f"{RENDERS}/a.0001.exr")[0]["state"] == "absent" and not path.exists(), "removal")


def test_an_output_can_be_read_back_before_and_after_its_upload(cloud: Place, gcs: FakeGcs) -> None:
    gcs.faults.set([Fault(kind="write", name="renders/*", times=-1), Fault(kind="session", name="renders/*", times=-1)])
    cloud.start()
    talker = cloud.talk()
    render(talker, 1, b"pixels")
    talker.publish(1, [output(1)])

    before = talker.ensure(f"{RENDERS}/a.0001.dpx")[0]
    assert (before["state"], before["leased"]) == ("local", True)
    assert Path(before["path"]).read_bytes() == b"pixels"
    gcs.faults.set([])
    assert talker.drain() == ([["Write1", "main", 1]], [])

    assert Path(before["path"]).read_bytes() == b"pixels"
    assert talker.ask("stats")["agent"]["cache"]["leased_entries"] == 1
    assert talker.ensure(f"{RENDERS}/a.0001.dpx")[0]["path"] == before["path"]
    assert gcs.count("get", "studio", "renders/a.0001.dpx") == 0


def test_the_record_names_what_was_absent_and_the_version_of_what_was_read_back(cloud: Place, gcs: FakeGcs) -> None:
    gcs.faults.set([Fault(kind=kind, name="renders/a.0001.dpx", times=-1) for kind in ("write", "session")])
    cloud.start()
    talker = cloud.talk()
    render(talker, 1, b"pixels")
    talker.publish(1, [output(1)])
    talker.frame("end", 1, [])
    render(talker, 2, b"more pixels")
    (read_back, absent) = talker.ensure(f"{RENDERS}/a.0001.dpx", f"{SHOW}/none.exr", write="Write1")
    assert (read_back["state"], absent["state"]) == ("local", "absent")
    talker.publish(2, [output(2)])
    wait_until(lambda: talker.ask("stats")["agent"]["upload_retries"] >= 1, "a retry")
    assert cloud.records() == []
    gcs.faults.set([])
    talker.drain()

    assert [(entry.url, entry.generation) for entry in cloud.record(2).inputs] == [
        ("gs://studio/show/none.exr", "0"),
        ("gs://studio/renders/a.0001.dpx", cloud.record(1).outputs[0].generation),
    ]
    assert cloud.record(1).inputs == ()


def test_what_was_read_back_and_never_reached_the_bucket_has_no_version(cloud: Place, gcs: FakeGcs) -> None:
    uploads = [Fault(kind=kind, name="renders/a.0001.dpx", times=-1) for kind in ("write", "session")]
    gcs.faults.set(uploads)
    cloud.start()
    talker = cloud.talk()
    render(talker, 1, b"pixels")
    talker.publish(1, [output(1)])
    render(talker, 2, b"more pixels")
    assert talker.ensure(f"{RENDERS}/a.0001.dpx", write="Write1")[0]["state"] == "local"
    talker.publish(2, [output(2)])
    gcs.faults.set([dataclasses.replace(fault, status=403) for fault in uploads])
    committed, failed = talker.drain()

    assert committed == [["Write1", "main", 2]]
    assert [kind for _, kind, _ in failed] == ["PermissionDenied"]
    assert [(entry.url, entry.generation) for entry in cloud.record(2).inputs] == [
        ("gs://studio/renders/a.0001.dpx", "")
    ]


def test_an_older_jobs_file_is_replaced(cloud: Place, gcs: FakeGcs) -> None:
    cloud.put("renders/a.0001.dpx", b"older")
    cloud.start()
    talker = cloud.talk()
    render(talker, 1, b"newer")

    talker.publish(1, [output(1)])

    assert talker.drain() == ([["Write1", "main", 1]], [])
    assert gcs.get("studio", "renders/a.0001.dpx") == b"newer"
    assert cloud.record(1).outputs[0].generation == str(gcs.objects("studio")["renders/a.0001.dpx"].generation)


def test_of_two_attempts_the_first_wins_whatever_their_bytes(cloud: Place, gcs: FakeGcs) -> None:
    cloud.start()
    first = cloud.talk(attempt=1)
    render(first, 1, b"first")
    first.publish(1, [output(1)])
    first.drain()
    first.close()
    second = cloud.talk(attempt=2)
    (path,) = render(second, 1, b"second")

    second.publish(1, [output(1)])

    assert second.drain() == ([["Write1", "main", 1]], [])
    assert gcs.get("studio", "renders/a.0001.dpx") == b"first"
    assert cloud.record(1).attempt == 1
    assert not path.exists()
    assert Path(second.ensure(f"{RENDERS}/a.0001.dpx")[0]["path"]).read_bytes() == b"first"


def test_an_answer_that_was_lost_is_no_second_upload(cloud: Place, gcs: FakeGcs) -> None:
    gcs.faults.set([Fault(kind=kind, name="renders/*", action="reset", at="last") for kind in ("write", "chunk")])
    cloud.start()
    talker = cloud.talk()
    render(talker, 1, b"pixels")

    talker.publish(1, [output(1)])

    assert talker.drain() == ([["Write1", "main", 1]], [])
    assert gcs.get("studio", "renders/a.0001.dpx") == b"pixels"


def test_what_may_pass_is_tried_again_until_it_has(cloud: Place, gcs: FakeGcs) -> None:
    cloud.start()
    talker = cloud.talk()
    gcs.faults.set(
        [
            Fault(kind="write", name="*", times=-1),
            Fault(kind="session", name="*", times=-1),
            Fault(kind="stat", times=-1),
        ]
    )
    render(talker, 1, b"pixels")
    talker.publish(1, [output(1)])
    wait_until(lambda: talker.ask("stats")["agent"]["upload_retries"] >= 1, "a retry")

    gcs.faults.set([])

    assert talker.drain() == ([["Write1", "main", 1]], [])


def test_what_cannot_pass_is_put_aside_and_told_once_by_publish_and_by_drain(cloud: Place, gcs: FakeGcs) -> None:
    agent = cloud.start()
    talker = cloud.talk()
    gcs.deny("studio", "storage.objects.create")
    render(talker, 1, b"pixels")
    assert talker.publish(1, [output(1)])["ok"]
    wait_until(lambda: talker.ask("stats")["agent"]["failed_entries"] == 1, "the refusal")

    render(talker, 2, b"more")
    reply = talker.publish(2, [output(2)])
    committed, failed = talker.drain()

    assert reply["error"]["kind"] == "PermissionDenied"
    assert committed == []
    assert [(url, kind) for url, kind, _ in failed] == [
        (f"gs://studio/renders/a.{frame:04d}.dpx", "PermissionDenied") for frame in (1, 2)
    ]
    kept = [json.loads(path.read_bytes()) for path in sorted((cloud.spool / "failed").glob("*.json"))]
    assert [entry["failure"]["kind"] for entry in kept] == ["PermissionDenied"] * 2
    assert cloud.talk(attempt=2).drain() == ([], [])

    agent.kill()
    agent.wait()
    agent = cloud.start()
    again = cloud.talk().drain()[1]
    assert sorted((url, kind) for url, kind, _ in again) == [(url, kind) for url, kind, _ in failed]

    gcs.allow("studio")
    agent.kill()
    agent.wait()
    cloud.start()
    assert sorted(cloud.talk().drain()[0]) == [["Write1", "main", 1], ["Write1", "main", 2]]
    assert list((cloud.spool / "failed").iterdir()) == []


def test_what_was_put_aside_goes_once_another_attempt_has_committed_its_frame(cloud: Place, gcs: FakeGcs) -> None:
    cloud.start()
    failed_folder = cloud.spool / "failed"
    for attempt, may_create, data in ((1, False, b"first"), (2, True, b"second"), (3, False, b"third")):
        (gcs.allow if may_create else gcs.deny)("studio", *([] if may_create else ["storage.objects.create"]))
        talker = cloud.talk(attempt=attempt)
        render(talker, 1, data)
        talker.publish(1, [output(1)])
        _, failed = talker.drain()
        assert [kind for _, kind, _ in failed] == (["PermissionDenied"] if attempt == 1 else [])
        assert len(list(failed_folder.glob("*.json"))) == (1 if attempt == 1 else 0)
        talker.close()

    assert list(failed_folder.iterdir()) == []
    assert cloud.record(1).attempt == 2
    assert gcs.get("studio", "renders/a.0001.dpx") == b"second"


def test_somebody_who_keeps_writing_there_is_given_up_on(cloud: Place, gcs: FakeGcs) -> None:
    cloud.start()
    talker = cloud.talk()
    refusal = {"name": "renders/*", "status": 412, "reason": "conditionNotMet", "times": -1}
    gcs.faults.set([Fault(kind="write", **refusal), Fault(kind="session", **refusal)])
    render(talker, 1, b"pixels")

    talker.publish(1, [output(1)])
    committed, failed = talker.drain()

    assert committed == []
    assert failed[0][1] == "PreconditionFailed"
    assert "end the other writer" in failed[0][2]


def test_a_full_spool_holds_the_publisher_back(cloud: Place, gcs: FakeGcs) -> None:
    cloud.cache = CacheSettings(spool_limit=1000)
    cloud.start()
    talker, watcher = cloud.talk(), cloud.talk(job="")
    gcs.faults.set([Fault(kind=kind, name="renders/*", times=-1) for kind in ("write", "session")])
    render(talker, 1, bytes(800))
    assert talker.publish(1, [output(1)])["ok"]
    render(talker, 2, bytes(800))

    talker.begin("publish", write="Write1", frame=2, frames=[2], outputs=[output(2)], seconds=0.1)
    wait_until(lambda: watcher.ask("stats")["agent"]["spool_bytes"] == 1600, "the second to be durable")
    assert watcher.ask("stats")["agent"]["spool_bytes"] == 1600
    gcs.faults.set([])

    reply = talker.line()
    assert reply is not None
    assert reply["ok"]
    assert talker.ask("stats")["attempt"]["upload_wait_seconds"] > 0


def test_a_spool_that_cannot_be_written_refuses_the_publish_and_loses_nothing(place: Place) -> None:
    place.start()
    talker = place.talk()
    (path,) = render(talker, 1, b"pixels")
    place.spool.rename(place.root / "away")
    place.spool.write_bytes(b"no folder")

    reply = talker.publish(1, [output(1)])

    assert reply["error"]["kind"] == "CacheError"
    assert path.read_bytes() == b"pixels"
    place.spool.unlink()
    (place.root / "away").rename(place.spool)
    assert talker.publish(1, [output(1)])["ok"]
    assert talker.drain() == ([["Write1", "main", 1]], [])


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_refuses_the_publish_and_loses_nothing(place: Place) -> None:
    place.cache_root.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(place.cache_root)])
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a disk")
    try:
        agent = place.start()
        talker = place.talk()
        (path,) = render(talker, 1, b"pixels")
        filler = place.cache_root / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

        reply = talker.publish(1, [output(1)])

        assert reply["error"]["kind"] == "DiskFull"
        assert "free space" in reply["error"]["message"]
        assert path.read_bytes() == b"pixels"
        assert [entry.name for entry in place.spool.iterdir()] == ["failed"]
        filler.unlink()
        assert talker.publish(1, [output(1)])["ok"]
        assert talker.drain() == ([["Write1", "main", 1]], [])
        agent.kill()
        agent.wait()
    finally:
        subprocess.run(["umount", "-l", str(place.cache_root)], check=True)


def test_sigterm_lets_the_open_frame_and_its_upload_finish(cloud: Place, gcs: FakeGcs) -> None:
    agent = cloud.start()
    talker = cloud.talk()
    render(talker, 1, b"pixels")
    agent.send_signal(signal.SIGTERM)
    wait_until(lambda: talker.ask("stats")["agent"]["draining"], "the drain")

    assert talker.publish(1, [output(1)])["ok"]
    assert talker.drain()[0] == [["Write1", "main", 1]]
    assert agent.poll() is None
    talker.frame("end", 1, [])

    assert agent.wait(20) == 0
    assert gcs.get("studio", "renders/a.0001.dpx") == b"pixels"


def test_grace_bounds_the_drain_and_a_second_signal_ends_it(cloud: Place, gcs: FakeGcs) -> None:
    gcs.faults.set([Fault(kind=kind, name="renders/*", times=-1) for kind in ("write", "session")])
    for arguments, signals in ((("--grace", "0.2"), 1), (("--grace", "1000"), 2)):
        agent = cloud.start(*arguments)
        talker = cloud.talk()
        render(talker, 1, b"pixels")
        talker.publish(1, [output(1)])
        for count in range(signals):
            agent.send_signal(signal.SIGINT)
            if count + 1 < signals:
                wait_until(lambda talker=talker: talker.ask("stats")["agent"]["draining"], "the drain")
        assert agent.wait(20) == 0
    assert list(cloud.spool.glob("*.json"))
