"""Small real jobs under the local engine: real agents, workers and records, a fake Nuke."""

from __future__ import annotations

import pytest
from studio import Studio


@pytest.fixture
def make(tmp_path):
    made: list[Studio] = []

    def make_one(**options) -> Studio:
        made.append(Studio(tmp_path, **options))
        return made[-1]

    yield make_one
    for studio in made:
        studio.close()


def test_a_job_renders_from_bucket_to_bucket(make):
    studio = make()
    submitted = studio.submit()
    assert submitted.action == "new"
    status = studio.run(submitted.home)
    assert status.troubles == ()
    assert (status.state, status.frames_done, status.frames_lost) == ("done", 8, 0)
    assert len(studio.outputs()) == 8
    assert [attempt.frames_done for attempt in studio.attempts(submitted.home)] == ["1-4", "5-8"]
