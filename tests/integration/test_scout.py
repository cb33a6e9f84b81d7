"""A scout renders three frames and stands still; what it found says what to expect; the rest goes on from there."""

from __future__ import annotations

import pytest
from studio import SCRIPT, Studio

from jit_render.farm.control import cancel, resume
from jit_render.farm.measures import GUESS, choose_chunk
from jit_render.farm.records import JobReader
from jit_render.farm.scouting import findings, scouted_frames, seconds_of
from jit_render.model.errors import JobConflict, UsageError
from jit_render.model.job import CommitRecord
from jit_render.report.scout import scout_lines


@pytest.fixture
def studio(tmp_path):
    made = Studio(tmp_path)
    yield made
    made.close()


def test_three_frames_are_rendered_and_the_rest_goes_on_from_there(studio):
    home = studio.submit().home
    reader = JobReader(studio.store, home)
    frames = scouted_frames(reader.spec())
    assert str(frames) == "1,5,8"
    status = studio.run(home, frames=frozenset(frames))
    assert (status.state, status.frames_done, status.troubles) == ("waiting", 3, ())
    assert sorted(attempt.frames_asked for attempt in studio.attempts(home)) == ["1", "5,8"]
    found = findings(reader, frames, workers=8)
    assert [(one.frame, one.bytes_read) for one in found.frames] == [(1, 5000), (5, 5000), (8, 5000)]
    assert (found.frames_left, found.tasks_left, found.workers) == (5, 2, 2)
    assert found.seconds.least <= found.seconds.expected <= found.seconds.most
    assert found.bytes_written.expected == 5 * len(studio.outputs()["out.0001.exr"])
    assert f"jit-render resume {home.name}" in scout_lines(home.name, found)[-1]
    assert str(resume(studio.store, home)) == "2-4,6-7"
    assert studio.run(home).state == "done"
    assert resume(studio.store, home) is None
    assert len(studio.attempts(home)) == 4


def test_a_later_job_of_the_shot_is_cut_by_what_was_measured(studio):
    guessed = choose_chunk(studio.settings, studio.store, "shot_v001", show="", frames=100, workers=4)
    assert (guessed.by.job, guessed.by.costs) == ("", GUESS)
    home = studio.submit().home
    studio.run(home, frames=frozenset({1, 8}))
    chosen = choose_chunk(studio.settings, studio.store, "shot_v002", show="", frames=100, workers=4)
    assert (chosen.by.job, len(chosen.by.costs.frame_seconds)) == (home.name, 2)
    assert 0 < chosen.by.costs.start_seconds < GUESS.start_seconds
    assert home.name in str(chosen)
    assert choose_chunk(studio.settings, studio.store, "other", show="", frames=100, workers=4).by.job == ""


def test_a_cancelled_job_is_not_resumed_and_a_movie_not_scouted(studio):
    home = studio.submit().home
    cancel(studio.store, home, studio.clock, "somebody")
    with pytest.raises(JobConflict, match="jit-render retry"):
        resume(studio.store, home)
    studio.script.write_text(SCRIPT.replace("out.####.exr", "out.mov"))
    with pytest.raises(UsageError, match="Write1 writes a movie"):
        scouted_frames(studio.submit().spec)


def test_the_views_of_a_write_are_one_render():
    def record(write: str, view: str, seconds: float) -> CommitRecord:
        return CommitRecord(
            write=write, view=view, frame=1, outputs=(), task=0, attempt=1, committed=0.0, render_seconds=seconds
        )

    assert seconds_of([record("a", "left", 2.0), record("a", "right", 2.0), record("b", "main", 1.0)]) == 3.0
