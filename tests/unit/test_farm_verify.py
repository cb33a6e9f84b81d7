"""Verification finds what is not as recorded; pulling never leaves a partial or wrong file."""

from __future__ import annotations

from pathlib import Path

import pytest

from jit_render.farm.pull import pull
from jit_render.farm.records import JobReader, encode
from jit_render.farm.reuse import Generations, adopt, still_valid
from jit_render.farm.verify import verify_job
from jit_render.model.errors import ChecksumMismatch, StoreError, UsageError
from jit_render.model.frames import FrameSet
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import (
    CommitKey,
    CommitRecord,
    InputRecord,
    JobPaths,
    JobSpec,
    OutputRecord,
    WriteTarget,
)
from jit_render.model.pathmap import PathMap
from jit_render.model.settings import StoreSettings
from jit_render.store import ABSENT, open_store
from jit_render.store.crc import crc32c_of_bytes
from jit_render.testing.fake_nuke import tiny_exr


class Job:
    """Frames 1-4 of one Write in two views, rendered: each from an input of its own and one that all share."""

    def __init__(self, folder: Path, name: str = "job", file: str = "renders/%V/x.####.exr") -> None:
        self.folder = folder
        self.store = open_store(StoreSettings())
        spec = JobSpec(
            id=name, shot="shot", created=0.0, script_name="s.nk", script_source="/s.nk", script_sha256="",
            fingerprint="f", frames="1-4", path_map=PathMap(),
            writes=(WriteTarget(name="W", file=f"/{file}", views=("left", "right")),),
        )  # fmt: skip
        self.reader = JobReader(self.store, JobPaths.of(self.url("state"), name).home)
        self.store.write(self.reader.paths.spec, encode(spec), if_generation=ABSENT)

    @property
    def home(self) -> ObjectUrl:
        return self.reader.paths.home

    def url(self, path: str) -> ObjectUrl:
        return ObjectUrl.parse(f"file://{self.folder}/{path}")

    def put(self, path: str, data: bytes) -> str:
        """Write or overwrite an object; its generation."""
        try:
            expected = self.store.stat(self.url(path)).id.generation
        except StoreError:
            expected = ABSENT
        return self.store.write(self.url(path), data, if_generation=expected).id.generation

    def render(self) -> None:
        shared = InputRecord(url=str(self.url("in/lut.cube")), generation=self.put("in/lut.cube", b"lut"))
        for frame in range(1, 5):
            plate = f"in/plate.{frame}.exr"
            source = InputRecord(url=str(self.url(plate)), generation=self.put(plate, bytes([frame]) * 9))
            for view in ("left", "right"):
                self.commit(frame, view, tiny_exr(frame), (source, shared))

    def commit(self, frame: int, view: str, data: bytes, inputs: tuple[InputRecord, ...] = (), **wrong) -> None:
        path = f"renders/{view}/x.{frame:04d}.exr"
        given = {
            "url": str(self.url(path)),
            "generation": self.put(path, data),
            "size_bytes": len(data),
            "crc32c": crc32c_of_bytes(data),
        }
        output = OutputRecord.model_validate(given | wrong)
        record = CommitRecord(
            write="W", view=view, frame=frame, outputs=(output,), inputs=inputs, task=0, attempt=1, committed=1.0
        )
        key = CommitKey(write="W", view=view, frame=frame)
        self.store.write(self.reader.paths.commit(key), encode(record), if_generation=ABSENT)

    def again(self, frame: int, view: str, source: InputRecord) -> None:
        """The same frame with one more input in its record."""
        url = self.reader.paths.commit(CommitKey(write="W", view=view, frame=frame))
        record = CommitRecord.model_validate_json(self.store.read(url)[0])
        changed = record.model_copy(update={"inputs": (*record.inputs, source)})
        self.store.write(url, encode(changed), if_generation=self.store.stat(url).id.generation)

    def verify(self):
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        report = verify_job(self.store, self.home, scratch)
        assert list(scratch.iterdir()) == []
        return report

    def valid(self) -> list[int]:
        return sorted(still_valid(self.reader, FrameSet.parse("1-4"), Generations(self.store)).frames)


@pytest.fixture
def job(tmp_path):
    made = Job(tmp_path)
    made.render()
    yield made
    made.store.close()


def test_a_rendered_job_is_verified(job):
    report = job.verify()
    assert (report.ok, report.frames_verified, report.files) == (True, 4, 8)


def test_a_frame_without_a_record_is_a_problem(job):
    job.store.delete(job.reader.paths.commit(CommitKey(write="W", view="left", frame=2)))
    report = job.verify()
    assert [str(problem) for problem in report.problems] == [
        "frame 2, W (left): it has no commit record: not rendered yet."
    ]
    assert report.frames_verified == 3


def test_an_overwritten_or_removed_output_is_a_problem(job):
    job.put("renders/left/x.0001.exr", tiny_exr(99))
    job.store.delete(job.url("renders/right/x.0003.exr"))
    messages = [problem.message for problem in job.verify().problems]
    assert len(messages) == 2
    assert "was overwritten since" in messages[0]
    assert "is gone from the bucket" in messages[1]


def test_other_bytes_than_recorded_are_a_problem(tmp_path):
    job = Job(tmp_path)
    job.render()
    job.store.delete(job.reader.paths.commit(CommitKey(write="W", view="left", frame=1)))
    job.commit(1, "left", tiny_exr(5), crc32c=1)
    (problem,) = job.verify().problems
    assert "with crc32c" in problem.message


def test_half_an_exr_is_a_problem_even_when_its_record_agrees(job):
    job.store.delete(job.reader.paths.commit(CommitKey(write="W", view="left", frame=1)))
    job.commit(1, "left", tiny_exr(5)[:-40])
    (problem,) = job.verify().problems
    assert (problem.frame, problem.view) == (1, "left")


def test_pulling_keeps_views_apart_and_what_is_there(job, tmp_path):
    target = tmp_path / "pulled"
    first = pull(job.store, job.home, target, frames=FrameSet.parse("1-2"))
    assert (first.files, first.frames_missing) == (4, "")
    rest = pull(job.store, job.home, target)
    assert (rest.files, rest.files_kept) == (8, 4)
    names = sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())
    assert names == [f"{view}/x.{frame:04d}.exr" for view in ("left", "right") for frame in range(1, 5)]
    assert (target / "left/x.0003.exr").read_bytes() == tiny_exr(3)


def test_a_local_file_that_differs_is_replaced(job, tmp_path):
    pull(job.store, job.home, tmp_path / "pulled")
    (tmp_path / "pulled/left/x.0003.exr").write_bytes(b"scribble")
    assert pull(job.store, job.home, tmp_path / "pulled").files_kept == 7
    assert (tmp_path / "pulled/left/x.0003.exr").read_bytes() == tiny_exr(3)


def test_frames_that_are_not_done_are_told(job, tmp_path):
    for view in ("left", "right"):
        job.store.delete(job.reader.paths.commit(CommitKey(write="W", view=view, frame=4)))
    report = pull(job.store, job.home, tmp_path / "pulled")
    assert (report.files, report.frames_missing) == (6, "4")


def test_a_corrupt_output_leaves_nothing_behind(job, tmp_path):
    job.store.delete(job.reader.paths.commit(CommitKey(write="W", view="left", frame=1)))
    job.commit(1, "left", tiny_exr(5), crc32c=1)
    with pytest.raises(ChecksumMismatch):
        pull(job.store, job.home, tmp_path / "pulled", frames=FrameSet.parse("1"), writes=["W"])
    assert [path.name for path in (tmp_path / "pulled/left").iterdir()] == []


def test_an_unknown_write_cannot_be_pulled(job, tmp_path):
    with pytest.raises(UsageError, match="no Write 'V'; it has W"):
        pull(job.store, job.home, tmp_path, writes=["V"])


def test_frames_stay_valid_until_what_they_name_changes(job):
    assert job.valid() == [1, 2, 3, 4]
    job.put("in/plate.3.exr", b"a new plate")
    job.put("in/plate.9.exr", b"nobody read this")
    assert job.valid() == [1, 2, 4]
    job.put("renders/right/x.0001.exr", tiny_exr(1))
    assert job.valid() == [2, 4]
    job.put("in/lut.cube", b"another lut")
    assert job.valid() == []


def test_a_frame_that_lacked_something_is_valid_while_it_is_lacking(job):
    lacking = InputRecord(url=str(job.url("in/late.exr")), generation=ABSENT)
    lost = InputRecord(url=str(job.url("in/lut.cube")), generation="")
    for frame, source in ((1, lacking), (2, lost)):
        job.again(frame, "left", source)
    assert job.valid() == [1, 3, 4]
    job.put("in/late.exr", b"here at last")
    assert job.valid() == [3, 4]


def test_a_frame_follows_what_it_read_of_other_frames_of_its_job(job):
    for frame in (2, 3, 4):
        earlier = job.url(f"renders/left/x.{frame - 1:04d}.exr")
        job.again(frame, "left", InputRecord(url=str(earlier), generation=job.store.stat(earlier).id.generation))
    assert job.valid() == [1, 2, 3, 4]
    assert still_valid(job.reader, FrameSet.parse("1-4"), Generations(job.store)).all_committed_are_valid
    job.put("in/plate.2.exr", b"a new plate")
    assert job.valid() == [1]
    assert sorted(still_valid(job.reader, FrameSet.parse("3-4"), Generations(job.store)).frames) == [3, 4]


def test_an_output_that_the_job_made_later_was_absent_for_no_change(job):
    job.again(1, "left", InputRecord(url=str(job.url("renders/left/x.0002.exr")), generation=ABSENT))
    assert job.valid() == [1, 2, 3, 4]


def test_adopted_frames_name_the_job_that_rendered_them(job, tmp_path):
    middle, last = Job(tmp_path, "middle"), Job(tmp_path, "last")
    for source, target in ((job, middle), (middle, last)):
        frames = still_valid(source.reader, FrameSet.parse("2-3"), Generations(job.store)).frames
        assert adopt(job.store, target.reader, {frame: (source.reader, found) for frame, found in frames.items()}) == 2
    records = last.reader.commit_records(last.reader.committed())
    assert {record.adopted_from for record in records.values()} == {"job"}
    assert sorted(last.reader.missing()) == [1, 4]
