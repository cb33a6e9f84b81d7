"""One round after the other: what goes on by itself and on which machines, what stops it, what a lost node costs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from batch_place import Place
from studio import Studio

from gcp_deploy.batch.service import BatchService
from gcp_deploy.engine import open_engine
from jit_render.cli.run_service import wait_for
from jit_render.cli.session import Session
from jit_render.farm import control
from jit_render.farm.holding import budget_of
from jit_render.model.errors import CloudDenied
from jit_render.model.job import Budgets, FailureClass
from jit_render.testing.fake_batch import FakeBatch, JobState
from jit_render.testing.fake_clock import FakeClock

LOST, NO_IMAGE = 50001, 2
ON_DEMAND = {"fallback": "on-demand"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    studio = Studio(tmp_path, frames=8, chunk=2)
    with FakeBatch(tmp_path / "batch", nodes=0) as server:
        yield Place(studio, server, studio.submit(budgets=Budgets(preempted=2)).home)
    studio.close()


def model_of_last(place: Place) -> str:
    policy = place.server.jobs[place.last().name].job.allocation_policy.instances[0].policy
    return str(policy.provisioning_model.name)


@pytest.mark.parametrize(
    ("failure", "model"), [(FailureClass.LICENCE, "SPOT"), (FailureClass.OUT_OF_MEMORY, "SPOT"), (None, "STANDARD")]
)
def test_machines_on_demand_are_for_tasks_whose_node_was_taken_away(
    place: Place, failure: FailureClass | None, model: str
) -> None:
    place.engine(**ON_DEMAND).submit(place.home)
    for task in range(4):
        place.attempt(task, failure)
    place.over()

    assert place.engine(**ON_DEMAND).go_on(place.home) is not None
    assert model_of_last(place) == model


@pytest.mark.parametrize(("code", "flags", "number"), [(LOST, ON_DEMAND, 2), (LOST, {}, 1), (NO_IMAGE, ON_DEMAND, 1)])
def test_a_round_that_lost_its_nodes_before_any_attempt_goes_on_only_on_demand(
    place: Place, code: int, flags: dict[str, str], number: int
) -> None:
    place.engine(**flags).submit(place.home)
    place.over(exit_code=code)

    place.engine(**flags).go_on(place.home)

    assert place.last().number == number


def test_rounds_on_spot_end_with_the_budget_of_preemptions(place: Place) -> None:
    place.engine().submit(place.home)
    for number in (1, 2, 3):
        assert place.last().number == number
        for task in range(4):
            place.attempt(task, FailureClass.PREEMPTED)
        place.over()
        said = place.engine().go_on(place.home)

    assert said is None
    assert place.engine().status(place.home).state == "failed"


def test_who_waits_hands_over_what_a_killed_one_wrote_down(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(BatchService, "create", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            place.engine().submit(place.home)

    wait_for(Session(place.settings(), place.studio.store, FakeClock()), place.home, place.engine(), timeout=1)

    assert "round 1 was not handed over yet; Google Batch has it now." in capsys.readouterr().err
    assert place.server.created == [place.last().name]


def test_nothing_has_failed_while_the_service_is_out_of_reach(place: Place) -> None:
    place.engine().submit(place.home)
    for task in range(4):
        place.attempt(task, FailureClass.RENDER_ERROR, 1)
        place.attempt(task, FailureClass.RENDER_ERROR, 1)
    place.server._server.stop(None).wait()
    away = open_engine(place.settings(), place.studio.store, FakeClock())

    assert away.status(place.home).state == "waiting"
    wait_for(Session(place.settings(), place.studio.store, FakeClock()), place.home, away, timeout=1)


def test_a_budget_that_was_raised_stays_raised(place: Place) -> None:
    place.engine(budget=5).submit(place.home)
    place.hold(5)
    place.over()
    place.engine(budget=9).submit(place.home)
    place.over()

    place.engine(budget=5).submit(place.home)

    assert place.last().number == 3
    assert budget_of(place.studio.store, place.home) == 9


def test_what_a_held_job_has_not_begun_is_taken_from_the_service(place: Place) -> None:
    place.engine(budget=5).submit(place.home)
    place.attempt(0, FailureClass.CANCELLED, 1)
    place.hold(5)

    assert str(place.engine().go_on(place.home)).endswith("round 1 at Google Batch is cancelled: the job is held.")

    assert place.server.wait(place.last().name) == JobState.CANCELLED
    status = place.engine().status(place.home)
    assert (status.state, place.engine().go_on(place.home)) == ("held", None)


def test_a_round_whose_tasks_were_stopped_is_replaced_once_they_may_go_on(place: Place) -> None:
    """Cancelled and taken back while Batch still has the rest: what was stopped would be nobody's."""
    place.engine().submit(place.home)
    first = place.last().name
    place.attempt(0, FailureClass.CANCELLED, 1)
    place.attempt(1, None)
    control.cancel(place.studio.store, place.home, place.studio.clock, "ann")
    control.retry(place.studio.store, place.home)

    place.engine().submit(place.home)

    assert place.server.wait(first) == JobState.CANCELLED
    assert place.last().task_numbers() == (0, 1, 2, 3)
    ends = [attempt.failure for attempt in place.studio.attempts(place.home)]
    assert ends == [FailureClass.CANCELLED] * 2, "the node of the second one is taken away, too"
    place.engine().submit(place.home)
    assert place.last().number == 2, "that one runs"


def test_a_job_that_somebody_cancelled_at_the_console_stays_so(place: Place) -> None:
    place.engine(**ON_DEMAND).submit(place.home)
    place.attempt(0, FailureClass.PREEMPTED)
    place.attempt(1, None)
    place.over(JobState.CANCELLED)

    status = place.engine().status(place.home)

    assert (status.state, status.notes) == ("failed", ("Google Batch: round 1 cancelled.",))
    assert status.failures == {"preempted": 1, "cancelled": 1}
    assert place.engine(**ON_DEMAND).go_on(place.home) is None


def test_a_node_that_vanished_is_paid_until_its_last_sign_of_life(place: Place) -> None:
    """Whoever looks first may look the next morning."""
    place.engine().submit(place.home)
    place.attempt(0, None)
    place.over()
    morning = FakeClock(place.studio.clock.wall() + 10 * 3600)

    open_engine(place.settings(), place.studio.store, morning).status(place.home)

    (attempt,) = place.studio.attempts(place.home)
    assert attempt.failure is FailureClass.PREEMPTED
    assert attempt.ended == attempt.heartbeat + attempt.heartbeat_seconds


def test_why_tasks_do_not_begin_is_told(place: Place) -> None:
    place.engine().submit(place.home)
    place.server.tell(place.last().name, "Quota CPUS in us-central1 is too small: 8 of 8 are used.")
    place.server.tell(place.last().name, "Job state is set from QUEUED to SCHEDULED for job a.")

    notes = place.engine().status(place.home).notes

    assert notes[1:] == ("Quota CPUS in us-central1 is too small: 8 of 8 are used.",)


def test_a_round_that_is_opened_while_the_job_is_cancelled_does_not_stay(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.engine().submit(place.home)
    place.attempt(0, FailureClass.PREEMPTED)
    place.over()
    create = BatchService.create

    def cancelled_meanwhile(service: BatchService, *request: Any) -> Any:
        control.cancel(place.studio.store, place.home, place.studio.clock, "ann")
        return create(service, *request)

    monkeypatch.setattr(BatchService, "create", cancelled_meanwhile)
    place.engine().go_on(place.home)

    assert place.last().number == 2
    assert place.server.wait(place.last().name) == JobState.CANCELLED


def test_who_may_only_look_is_told_how_the_job_stands(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.engine().submit(place.home)
    place.attempt(0, FailureClass.PREEMPTED)
    place.over()
    denied = CloudDenied("batch.jobs.create is denied.")
    monkeypatch.setattr(BatchService, "create", lambda *_: (_ for _ in ()).throw(denied))

    wait_for(Session(place.settings(), place.studio.store, FakeClock()), place.home, place.engine())

    said = capsys.readouterr().out
    assert "failed" in said.splitlines()[0]
    assert "it could not go on: batch.jobs.create is denied." in said
