"""Pace, budgets, chaos and outcomes: what to do next, decided from plain values."""

from __future__ import annotations

import dataclasses

import pytest

from jit_render.farm import outcome as outcomes
from jit_render.farm.budgets import may_retry, wait_seconds
from jit_render.farm.chaos import Chaos, plan
from jit_render.farm.pace import Pace, reserve_seconds
from jit_render.model.errors import BucketNotFound, MissingInput, TransientStoreError
from jit_render.model.job import AttemptRecord, Budgets, CommitKey, FailureClass
from jit_render.render.port import AbsentNoted, Failed, Verdict
from jit_render.render.process import Ended, Usage


def paced(*starts: float, whole: bool = False, asked: int = 10) -> Pace:
    pace = Pace(whole=whole, asked=asked)
    for frame, now in enumerate(starts, 1):
        pace.start(frame, now)
    return pace


def test_the_usual_frame_time_is_the_median():
    pace = paced(0, 10, 20, 80, 90)
    assert pace.in_hand == 5
    assert pace.expected_seconds(now=94) == 6


def test_an_unknown_pace_is_not_hopeless():
    assert paced(0).expected_seconds(5) is None
    assert not paced(0).is_hopeless(now=5, deadline=6)


def test_a_frame_that_cannot_be_done_in_time_is_hopeless():
    pace = paced(0, 10)
    assert not pace.is_hopeless(now=12, deadline=20)
    assert pace.is_hopeless(now=12, deadline=19)


def test_of_a_movie_all_frames_must_still_be_done():
    assert paced(0, 10, whole=True, asked=5).expected_seconds(now=10) == 40


def test_a_second_write_of_the_same_frame_is_no_new_frame():
    pace = Pace()
    for frame in (1, 1, 2, 2):
        pace.start(frame, frame * 10.0)
    assert (pace.begun, pace.durations) == ([1, 2], [10.0])


def test_lost_is_what_was_begun_and_not_done():
    assert paced(0, 1, 2).lost(done=[1, 2]) == 1
    assert Pace().lost([]) == 0


@pytest.mark.parametrize(("grace", "reserve"), [(30, 7.5), (120, 10), (4, 2), (2, 1), (0, 0)])
def test_the_reserve_is_a_share_of_the_grace(grace, reserve):
    assert reserve_seconds(grace) == reserve


def attempts(*failures: FailureClass | None, exit_code: int = 75) -> list[AttemptRecord]:
    return [
        AttemptRecord(
            task=0, attempt=number, host="h", pid=1, started=0, heartbeat=0, ended=1.0, failure=failure,
            exit_code=exit_code,
        )
        for number, failure in enumerate(failures, 1)
    ]  # fmt: skip


P, L, R, N = FailureClass.PREEMPTED, FailureClass.LICENCE, FailureClass.RENDER_ERROR, FailureClass.NODE


def test_each_class_spends_its_own_budget():
    budgets = Budgets(render_error=1, preempted=2)
    assert may_retry(attempts(R), budgets)
    assert may_retry(attempts(P, P, R), budgets)
    assert not may_retry(attempts(R, P, R), budgets)
    assert not may_retry(attempts(P, P, P), budgets)
    assert not may_retry(attempts(FailureClass.MISSING_INPUT), budgets)
    assert may_retry([], budgets)


def test_what_only_a_person_can_mend_is_not_tried_again():
    assert not may_retry(attempts(N, exit_code=2), Budgets())


def test_waits_double_within_one_class_and_preemption_has_none():
    assert [wait_seconds(attempts(*[L] * count)) for count in (1, 2, 3, 9)] == [5, 10, 20, 60]
    assert wait_seconds(attempts(L, L, P)) == 0
    assert wait_seconds(attempts(L, L, P, L)) == 5
    assert wait_seconds([]) == 0


def test_chaos_is_the_same_for_the_same_seed_and_about_as_frequent_as_asked():
    hits = [plan(Chaos(0.4, seed=7), task, attempt, 8) for task in range(100) for attempt in range(1, 6)]
    assert hits == [plan(Chaos(0.4, seed=7), task, attempt, 8) for task in range(100) for attempt in range(1, 6)]
    assert 150 < sum(hit is not None for hit in hits) < 250
    assert {hit.frame_index for hit in hits if hit} == set(range(8))
    assert all(hit.has_notice for hit in hits if hit)
    assert plan(None, 0, 1, 8) is None
    assert plan(Chaos(0.0), 0, 1, 8) is None
    assert plan(Chaos(1.0, silent=1.0), 0, 1, 0) is not None


def ended(code: int, failure: FailureClass | None, *failures: Failed, peak: int = 0) -> Ended:
    return Ended(Verdict(code, failure, "words"), Usage(peak, 0.0), failures, terminated=False)


def test_a_killed_renderer_that_held_little_was_not_short_of_memory():
    killed = ended(-9, FailureClass.OUT_OF_MEMORY, peak=1024**2)
    assert outcomes.of_render(killed).failure is FailureClass.NODE
    huge = ended(-9, FailureClass.OUT_OF_MEMORY, peak=outcomes.memory_bytes())
    assert outcomes.of_render(huge).failure is FailureClass.OUT_OF_MEMORY


def test_outcomes_have_the_documented_exit_codes():
    assert outcomes.of_error(MissingInput("m")).exit_code == 3
    assert outcomes.of_error(TransientStoreError("m")).exit_code == 75
    assert outcomes.of_error(BucketNotFound("m")) == outcomes.Outcome(FailureClass.NODE, "m", 2)
    assert outcomes.of_render(ended(1, R)).exit_code == 1
    assert outcomes.of_render(ended(0, None)) == outcomes.Outcome(None)
    denied = ended(1, FailureClass.NODE, Failed("PermissionDenied", "403"))
    assert outcomes.of_render(denied).exit_code == 2


def test_an_error_of_a_frame_that_lacks_inputs_names_them_all():
    missing = tuple(("Read1", "file", 7, f"gs://show/plates/a.{number:04d}.exr") for number in range(500))
    lacking = (AbsentNoted("Write1", 7, missing),)
    outcome = outcomes.of_render(dataclasses.replace(ended(1, R), absent=lacking))
    assert (outcome.failure, outcome.exit_code) == (FailureClass.MISSING_INPUT, 3)
    told = [f"a.{number:04d}.exr is not in gs://show/plates (Read1.file)" for number in range(500)]
    assert all(words in outcome.message for words in told)
    assert "frame 7: " in outcome.message
    assert "words" in outcome.message
    assert "\n" not in outcome.message


@pytest.mark.parametrize(
    ("process", "failure"),
    [
        (ended(0, None), None),
        (ended(-11, R), R),
        (ended(100, FailureClass.LICENCE), FailureClass.LICENCE),
        (ended(1, FailureClass.NODE, Failed("AgentLost", "gone")), FailureClass.NODE),
    ],
)
def test_absent_inputs_are_not_blamed_for_what_they_cannot_do(process, failure):
    noted = (AbsentNoted("Write1", 7, (("Read1", "file", 7, "gs://show/a.exr"),)),)
    assert outcomes.of_render(dataclasses.replace(process, absent=noted)).failure is failure


def test_unwritten_frames_are_named_by_write_and_view():
    keys = [CommitKey(write="W", view=view, frame=frame) for view in ("left", "right") for frame in (3, 4, 5)]
    message = outcomes.of_unwritten(keys).message
    assert "W (left): 3-5; W (right): 3-5" in message
