"""How a job stands, told from records; and what each look costs."""

from __future__ import annotations

import time

import pytest

from jit_render.farm.control import cancel, frame_rows, retry
from jit_render.farm.records import JobReader, encode
from jit_render.farm.status import StatusFollower
from jit_render.model.errors import JobNotFound
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import (
    AttemptRecord,
    CommitKey,
    CommitRecord,
    FailureClass,
    JobPaths,
    JobSpec,
    OutputRecord,
    Spent,
    WriteTarget,
)
from jit_render.model.pathmap import PathMap
from jit_render.model.settings import StoreSettings
from jit_render.store import ABSENT, open_store
from jit_render.testing.fake_clock import FakeClock


class Counting:
    """A store that counts its calls."""

    def __init__(self, store) -> None:
        self._store = store
        self.calls: list[str] = []

    def __getattr__(self, name):
        def call(*args, **keywords):
            self.calls.append(name)
            return getattr(self._store, name)(*args, **keywords)

        return call


class Job:
    """A job of one Write and two views whose records a test writes."""

    def __init__(self, folder, frames: str, chunk: int, start: float = 1e9) -> None:
        self.store = Counting(open_store(StoreSettings()))
        self.clock = FakeClock(start)
        spec = JobSpec(
            id="job", shot="shot", created=0.0, script_name="s.nk", script_source="/s.nk", script_sha256="",
            fingerprint="f", frames=frames, chunk=chunk, path_map=PathMap(),
            writes=(WriteTarget(name="W", file="/x.%V.####.exr", views=("left", "right")),),
        )  # fmt: skip
        self.paths = JobPaths.of(ObjectUrl.parse(f"file://{folder}"), "job")
        self.store.write(self.paths.spec, encode(spec), if_generation=ABSENT)
        self.follower = StatusFollower(self.store, self.paths.home, self.clock)

    def commit(self, *frames: int, views=("left", "right")) -> None:
        for frame in frames:
            for view in views:
                output = OutputRecord(url="file:///x", generation="1", size_bytes=1, crc32c=1)
                record = CommitRecord(
                    write="W", view=view, frame=frame, outputs=(output,), task=0, attempt=1,
                    committed=self.clock.wall(), render_seconds=1.5,
                )  # fmt: skip
                key = CommitKey(write="W", view=view, frame=frame)
                self.store.write(self.paths.commit(key), encode(record), if_generation=ABSENT)

    def attempt(self, task: int, number: int = 1, failure: FailureClass | None = None, **more) -> None:
        now = self.clock.wall()
        ended = {"ended": now, "state": "failed" if failure else "done"} if more.pop("over", True) else {}
        given = {"task": task, "attempt": number, "host": "h", "pid": 1, "started": now, "heartbeat": now}
        record = AttemptRecord.model_validate(given | {"failure": failure} | ended | more)
        self.store.write(self.paths.attempt(task, number), encode(record), if_generation=ABSENT)


@pytest.fixture
def job(tmp_path):
    made = Job(tmp_path, "1-8", 4)
    yield made
    made.store.close()


def test_a_new_job_waits(job):
    status = job.follower.refresh()
    assert (status.state, status.frames_total, status.frames_done, status.attempts) == ("waiting", 8, 0, 0)
    assert (status.hit_rate, status.eta_seconds, status.is_over) == (None, None, False)


def test_a_frame_counts_once_all_its_views_are_there(job):
    job.commit(1, 2)
    job.commit(3, views=("left",))
    status = job.follower.refresh()
    assert status.frames_done == 2
    assert [(write.view, write.done, write.total) for write in status.writes] == [("left", 3, 8), ("right", 2, 8)]


def test_a_running_attempt_is_shown_with_its_frame_and_an_estimate(tmp_path):
    job = Job(tmp_path, "1-8", 4, start=time.time() - 10)  # the store dates what is written by the machine's clock
    job.attempt(0, over=False, frame_in_hand=3)
    job.commit(1, 2)
    job.clock.advance(20)
    status = job.follower.refresh()
    assert (status.state, status.frames_running, len(status.running)) == ("running", 1, 1)
    assert status.eta_seconds == pytest.approx(60)


def test_a_worker_without_a_heartbeat_is_not_running(job):
    job.attempt(0, over=False)
    assert job.follower.refresh().state == "running"
    job.clock.advance(1000)
    assert job.follower.refresh().state == "waiting"


def test_sums_are_over_all_attempts(job):
    job.attempt(0, 1, FailureClass.PREEMPTED, frames_lost=1, spent=Spent(hits=3, misses=1, bytes_fetched=10))
    job.attempt(0, 2, spent=Spent(hits=5, misses=1, bytes_fetched=5, peak_memory_bytes=7))
    status = job.follower.refresh()
    assert status.failures == {"preempted": 1}
    assert (status.frames_lost, status.spent.bytes_fetched, status.spent.peak_memory_bytes) == (1, 15, 7)
    assert status.hit_rate == 0.8


def test_a_job_fails_once_no_task_can_go_on(job):
    job.attempt(0, 1, FailureClass.MISSING_INPUT, message="plate is missing", exit_code=3)
    assert job.follower.refresh().state == "waiting"
    job.commit(5, 6, 7, 8)
    status = job.follower.refresh()
    assert (status.state, status.frames_failed) == ("failed", 4)
    assert [trouble.message for trouble in status.troubles] == ["plate is missing"]


def test_a_wrong_set_up_fails_the_whole_job(job):
    job.attempt(0, 1, FailureClass.NODE, exit_code=2)
    assert job.follower.refresh().state == "failed"


def test_a_cancelled_job_is_taken_up_by_retry(job):
    cancel(job.store, job.paths.home, job.clock, "me")
    cancel(job.store, job.paths.home, job.clock, "me again")
    assert job.follower.refresh().state == "cancelled"
    job.commit(1)
    assert str(retry(job.store, job.paths.home)) == "2-8"
    assert job.follower.refresh().state == "waiting"


def test_a_finished_job_is_done_even_when_it_was_cancelled(job):
    job.commit(*range(1, 9))
    cancel(job.store, job.paths.home, job.clock, "me")
    assert job.follower.refresh().state == "done"
    assert retry(job.store, job.paths.home) is None


def test_a_job_that_is_not_there_is_not_followed(job):
    with pytest.raises(JobNotFound):
        StatusFollower(job.store, ObjectUrl.parse("file:///nowhere/jobs/x"), job.clock).refresh()


def test_a_look_at_a_large_job_reads_only_what_is_new(tmp_path):
    job = Job(tmp_path, "1-2000", 10)
    job.commit(*range(1, 101))
    for task in range(20):
        job.attempt(task)
    job.follower.refresh()
    job.attempt(20)
    job.store.calls.clear()
    assert job.follower.refresh().frames_done == 100
    assert sorted(job.store.calls) == ["list", "list", "read", "read", "stat"]
    job.store.close()


def test_rows_tell_each_frame(job):
    job.commit(1)
    job.attempt(0, over=False, frame_in_hand=2)
    job.attempt(1, 1, FailureClass.RENDER_ERROR, message="boom")
    rows = frame_rows(job.store, job.paths.home, job.clock)
    assert [row.state for row in rows] == ["done", "running", "waiting", "waiting"] + ["failed"] * 4
    assert (rows[0].seconds, rows[4].message) == (1.5, "boom"), "each view's record holds the time of the whole Write"


def test_a_reader_is_quick_to_find_one_view_missing(job):
    job.commit(1, 2, 3, views=("left",))
    assert JobReader(job.store, job.paths.home).missing() == tuple(range(1, 9))
