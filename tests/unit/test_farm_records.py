"""Attempts are claimed once, kept alive by one owner, and read whatever half of a job is there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import pytest

from jit_render.farm.attempts import STALE_SECONDS, Attempt, Pulse, end_for
from jit_render.farm.records import JobReader, add_to_index, concurrently, encode, find_job, left_of, list_jobs
from jit_render.farm.task_records import TaskRecords
from jit_render.model.errors import JobError, JobNotFound, Preempted, TransientStoreError
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import (
    AttemptRecord,
    CommitKey,
    CommitRecord,
    FailureClass,
    JobPaths,
    JobSpec,
    OutputRecord,
    WriteTarget,
)
from jit_render.model.pathmap import PathMap
from jit_render.model.settings import JobSettings, Settings, StoreSettings
from jit_render.store import ABSENT, open_store
from jit_render.testing.fake_clock import FakeClock
from jit_render.testing.fake_gcs import FakeGcs


@pytest.fixture
def store():
    opened = open_store(StoreSettings())
    yield opened
    opened.close()


@pytest.fixture
def state(tmp_path) -> ObjectUrl:
    return ObjectUrl.parse(f"file://{tmp_path}/state")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def spec_of(job_id: str = "shot-12345678", frames: str = "1-8", **more) -> JobSpec:
    given = {
        "id": job_id,
        "shot": "shot",
        "created": 100.0,
        "script_name": "shot.nk",
        "script_source": "/show/shot.nk",
        "script_sha256": "0" * 64,
        "fingerprint": "12345678",
        "frames": frames,
        "writes": (WriteTarget(name="Write1", file="/out/x.####.exr"),),
        "chunk": 4,
        "path_map": PathMap(),
    }
    return JobSpec.model_validate(given | more)


@pytest.fixture
def reader(store, state) -> JobReader:
    spec = spec_of()
    reader = JobReader(store, JobPaths.of(state, spec.id).home)
    store.write(reader.paths.spec, encode(spec), if_generation=ABSENT)
    return reader


def commit(reader: JobReader, frame: int, view: str = "main") -> None:
    key = CommitKey(write="Write1", view=view, frame=frame)
    output = OutputRecord(url=f"file:///out/x.{frame}.exr", generation="1", size_bytes=1, crc32c=1)
    record = CommitRecord(
        write="Write1", view=view, frame=frame, outputs=(output,), task=0, attempt=1, committed=1.0
    )
    reader.store.write(reader.paths.commit(key), encode(record), if_generation=ABSENT)


def claim(reader: JobReader, clock, **more) -> Attempt:
    return Attempt.claim(reader.store, clock, reader.paths, task=0, frames_asked="1-4", **more)


def test_two_claims_get_two_numbers(reader, clock):
    assert [claim(reader, clock).record.attempt for _ in range(3)] == [1, 2, 3]


def test_many_claims_at_once_get_as_many_numbers(reader, clock):
    numbers = concurrently(lambda _: claim(reader, clock).record.attempt, range(12))
    assert sorted(numbers) == list(range(1, 13))


def test_an_attempt_that_was_given_to_us_can_be_taken_once(reader, clock):
    claim(reader, clock, number=5)
    with pytest.raises(Preempted, match="attempt 5 of task 0"):
        claim(reader, clock, number=5)


def test_a_beat_rewrites_the_record(reader, clock):
    attempt = claim(reader, clock)
    clock.advance(7)
    attempt.beat(frame_in_hand=3)
    (record,) = reader.attempts()
    assert (record.frame_in_hand, record.heartbeat - record.started) == (3, 7)


def test_an_owner_whose_record_was_ended_learns_it_at_the_next_beat(reader, clock):
    attempt = claim(reader, clock)
    assert end_for(reader.store, clock, reader.paths, attempt.record, FailureClass.NODE, message="gone", exit_code=75)
    with pytest.raises(Preempted):
        attempt.beat()
    attempt.end(None, "", 0)
    (record,) = reader.attempts()
    assert (record.failure, record.message) == (FailureClass.NODE, "gone")


def test_a_beat_whose_answer_was_lost_is_no_lost_attempt(reader, clock):
    attempt = claim(reader, clock)
    write = reader.store.write
    lost = iter([True, False])

    class Lossy:
        def __getattr__(self, name):
            return getattr(reader.store, name)

        def write(self, *args, **keywords):
            info = write(*args, **keywords)
            if next(lost, False):
                raise TransientStoreError("the answer was lost")
            return info

    attempt._store = Lossy()
    attempt.beat(frame_in_hand=1)
    attempt.beat(frame_in_hand=2)
    assert reader.attempts()[0].frame_in_hand == 2


def test_nobody_ends_an_attempt_that_lives_again(reader, clock):
    attempt = claim(reader, clock)
    seen = attempt.record
    clock.advance(1)
    attempt.beat()
    assert not end_for(reader.store, clock, reader.paths, seen, FailureClass.NODE)
    assert reader.attempts()[0].ended is None


def record_of(**more) -> AttemptRecord:
    given = {
        "task": 0, "attempt": 1, "host": socket.gethostname(), "pid": os.getpid(), "started": 0.0, "heartbeat": 1000.0,
    }  # fmt: skip
    return AttemptRecord.model_validate(given | more)


def test_an_attempt_is_alive_by_its_heartbeat_and_its_process():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert lives(record_of(), 1000.0 + STALE_SECONDS)
    assert not lives(record_of(), 1001.0 + STALE_SECONDS)
    assert not lives(record_of(pid=ended.pid), 1000.0)
    assert lives(record_of(pid=ended.pid, host="another"), 1000.0)
    assert not lives(record_of(ended=1000.0), 1000.0)
    assert lives(record_of(heartbeat_seconds=60.0), 1300.0)


def lives(record: AttemptRecord, now: float) -> bool:
    """By one look at `now`."""
    return Pulse(FakeClock(now)).is_alive(record)


@pytest.fixture(params=["files", "gcs"])
def any_reader(request, reader):
    if request.param == "files":
        yield reader
        return
    with FakeGcs(buckets=["show"]) as gcs:
        store = open_store(StoreSettings(endpoint=gcs.url))
        away = JobReader(store, JobPaths.of(ObjectUrl.parse("gs://show/state"), "shot-12345678").home)
        store.write(away.paths.spec, encode(spec_of()), if_generation=ABSENT)
        yield away
        store.close()


@pytest.mark.parametrize("ahead", [86_400.0, -86_400.0], ids=["a day ahead", "a day behind"])
def test_a_clock_that_is_wrong_where_the_frames_are_rendered_makes_nobody_immortal_or_dead(any_reader, ahead):
    """The store's own clock says when each beat arrived; here it is this machine's."""
    reader = any_reader
    now = time.time()
    worker = FakeClock(now + ahead)
    attempt = claim(reader, worker)
    assert lives(reader.attempts()[0], now)
    worker.advance(10)
    attempt.beat()
    assert lives(reader.attempts()[0], time.time())
    assert not lives(reader.attempts()[0], time.time() + STALE_SECONDS + 1)
    assert TaskRecords(reader.store, FakeClock(time.time() + STALE_SECONDS + 1), reader).next_attempt(0) == 2


@pytest.mark.parametrize("off", [-86_400.0, 0.0], ids=["a day behind", "right"])
def test_whoever_watches_judges_by_what_changes_under_its_eyes(reader, off):
    worker, watcher = FakeClock(time.time() + 86_400), FakeClock(time.time() + off)
    attempt = claim(reader, worker)
    records = TaskRecords(reader.store, watcher, reader)
    for _ in range(3):
        assert records.next_attempt(0) is None
        watcher.advance(STALE_SECONDS - 1)
        worker.advance(1)
        attempt.beat()
    assert records.next_attempt(0) is None
    watcher.advance(STALE_SECONDS + 1)
    assert records.next_attempt(0) == 2
    with pytest.raises(Preempted):
        attempt.beat()


def test_a_watcher_whose_clock_jumps_ahead_ends_nobody_who_beats(reader):
    """Only the first look goes by the wall clock; a jump after it changes nothing."""
    watcher = FakeClock(time.time())
    attempt = claim(reader, FakeClock(time.time()))
    records = TaskRecords(reader.store, watcher, reader)
    assert records.next_attempt(0) is None
    watcher._epoch += 365 * 86_400
    assert records.next_attempt(0) is None
    attempt.beat()


def test_when_the_store_saw_a_record_is_no_part_of_the_record(reader, clock):
    claim(reader, clock)
    (record,) = reader.attempts()
    assert record.seen is not None
    assert b"seen" not in reader.store.read(reader.paths.attempt(0, 1))[0]


def test_a_task_whose_attempt_lives_elsewhere_is_left_alone(reader, clock):
    records = TaskRecords(reader.store, clock, reader)
    assert records.next_attempt(0) == 1
    claim(reader, clock)
    assert records.next_attempt(0) is None
    clock.advance(STALE_SECONDS + 1)
    assert records.next_attempt(0) == 2
    (record,) = reader.attempts()
    assert (record.state, record.failure) == ("failed", FailureClass.NODE)


def test_frames_are_missing_until_every_view_is_committed(store, state):
    spec = spec_of(writes=(WriteTarget(name="Write1", file="/x.%V.####.exr", views=("left", "right")),), frames="1-3")
    reader = JobReader(store, JobPaths.of(state, spec.id).home)
    store.write(reader.paths.spec, encode(spec), if_generation=ABSENT)
    commit(reader, 1, "left")
    commit(reader, 2, "left")
    commit(reader, 2, "right")
    assert reader.missing() == (1, 3)
    assert str(left_of(spec, reader.committed())) == "1,3"


def test_a_movie_misses_all_its_frames_or_none(store, state):
    spec = spec_of(writes=(WriteTarget(name="Write1", file="/x.mov", per_frame=False),), frames="1-3")
    reader = JobReader(store, JobPaths.of(state, spec.id).home)
    store.write(reader.paths.spec, encode(spec), if_generation=ABSENT)
    commit(reader, 1)
    assert reader.missing() == (1, 2, 3)


def test_a_write_with_a_limit_owes_only_its_frames(store, state):
    writes = (
        WriteTarget(name="Write1", file="/x.####.exr"),
        WriteTarget(name="Write2", file="/y.####.exr", limit=(3, 4)),
    )
    spec = spec_of(writes=writes)
    assert [len(spec.commits(frame)) for frame in (2, 3, 4, 5)] == [1, 2, 2, 1]


def test_what_else_lies_in_the_folders_is_no_record(reader):
    commit(reader, 1)
    for url in (
        reader.paths.frames / "Write1/main/notes.txt",
        reader.paths.frames / "Write1/main/x.json",
        reader.paths.attempts / "0/latest.json",
    ):
        reader.store.write(url, b"{}", if_generation=ABSENT)
    reader.store.write(reader.paths.attempt(0, 1), b'{"task": 0, "att', if_generation=ABSENT)
    assert reader.committed() == {CommitKey(write="Write1", view="main", frame=1)}
    assert reader.attempts() == []


def test_a_job_is_found_by_id_and_by_url_and_near_names_are_told(store, state, reader):
    settings = Settings(job=JobSettings(state=str(state)))
    add_to_index(store, state, reader.spec())
    add_to_index(store, state, reader.spec())
    assert find_job(store, settings, "shot-12345678") == reader.paths.home
    assert find_job(store, settings, str(reader.paths.home)) == reader.paths.home
    assert [job.id for job in list_jobs(store, state)] == ["shot-12345678"]
    with pytest.raises(JobNotFound, match=r"did you mean shot-12345678\?"):
        find_job(store, settings, "shot-12345687")
    with pytest.raises(JobError, match=r"set job\.state"):
        find_job(store, Settings(), "shot-12345678")


def test_a_spec_of_a_newer_release_is_refused_by_name(store, state):
    home = JobPaths.of(state, "newer").home
    text = spec_of().model_dump_json().replace('"schema_version":1', '"schema_version":9')
    store.write(JobPaths(home).spec, text.encode(), if_generation=ABSENT)
    with pytest.raises(JobError, match="schema_version"):
        JobReader(store, home).spec()
