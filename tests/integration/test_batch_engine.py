"""The Batch engine between the records in the bucket and the service: what is asked once, what again, what is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_kit import GCP
from batch_place import Place
from studio import Studio

from gcp_deploy.batch.service import BatchService
from gcp_deploy.engine import open_engine
from jit_render.cli.run_service import wait_for
from jit_render.cli.session import Session
from jit_render.farm import control
from jit_render.farm.engines import engine_of
from jit_render.farm.engines import open_engine as find_engine
from jit_render.farm.records import JobReader
from jit_render.farm.rounds import Rounds
from jit_render.model.errors import CloudConflict, CloudUnavailable, ConfigError, JobConflict
from jit_render.model.job import FailureClass
from jit_render.testing.fake_batch import FakeBatch
from jit_render.testing.fake_clock import FakeClock


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    studio = Studio(tmp_path, frames=8, chunk=2)
    with FakeBatch(tmp_path / "batch", nodes=0) as server:
        yield Place(studio, server, studio.submit().home)
    studio.close()


def test_a_submit_that_was_killed_before_it_asked_asks_for_the_same_thing_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(BatchService, "create", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            place.engine().submit(place.home)
    written = place.last()
    assert not written.accepted
    assert place.engine().status(place.home).notes[0].startswith("round 1 was not handed to Google Batch")

    place.engine(machine="c3-standard-8").submit(place.home)

    assert place.server.created == [written.name]
    assert place.last().request == written.request
    assert place.last().accepted == place.server.jobs[written.name].job.uid


@pytest.mark.parametrize("remembers", [True, False])
def test_a_submit_that_was_killed_before_it_heard_the_answer_makes_no_second_job(
    place: Place, monkeypatch: pytest.MonkeyPatch, remembers: bool
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Rounds, "accept", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            place.engine().submit(place.home)
    if not remembers:
        place.server._requests.clear()  # an hour later

    place.engine().submit(place.home)
    place.engine().submit(place.home)

    assert len(place.server.created) == 1
    assert place.last().number == 1
    assert place.last().accepted


def test_another_job_under_the_same_name_is_not_taken_for_ours(place: Place) -> None:
    place.engine().submit(place.home)
    ours = place.server.jobs[place.last().name]
    Rounds(place.studio.store, place.home).accept(place.last(), "")
    place.server._requests.clear()
    ours.job.allocation_policy.instances[0].policy.machine_type = "n2-standard-8"

    with pytest.raises(CloudConflict, match="is another job"):
        place.engine().submit(place.home)


def test_the_next_round_has_only_tasks_that_lack_frames(place: Place) -> None:
    place.engine().submit(place.home)
    assert place.last().tasks == "0-3"
    place.over()
    assert engine_of(place.studio.store, place.home) == "batch"
    place.studio.run(place.home, frames=frozenset({3, 4}))
    assert engine_of(place.studio.store, place.home) == "local"

    place.engine().submit(place.home)

    assert place.last().number == 2
    assert place.last().task_numbers() == (0, 2, 3)
    assert place.server.jobs[place.last().name].job.task_groups[0].task_count == 3


def test_a_job_that_failed_without_a_record_is_seen_to_have_failed(place: Place) -> None:
    place.engine().submit(place.home)
    assert place.engine().status(place.home).state == "waiting"
    place.over()

    status = place.engine().status(place.home)

    assert status.state == "failed"
    assert status.notes[:2] == ("Google Batch: round 1 failed.", "task 0: Task failed with exit code 1.")
    assert place.engine().go_on(place.home) is None, "nothing ever ran: another round would fail alike"


def test_a_job_that_somebody_deleted_is_seen_to_be_gone(place: Place) -> None:
    place.engine().submit(place.home)
    place.attempt(0, None)
    place.server.forget(place.last().name)

    status = place.engine().status(place.home)

    assert status.state == "failed"
    assert "has no job" in status.notes[0]
    assert status.failures == {"preempted": 1}, "its worker is gone without a word"


def test_while_the_service_tries_again_nothing_is_over(place: Place) -> None:
    place.engine().submit(place.home)
    for task in range(4):
        for _ in range(7):
            place.attempt(task, FailureClass.NODE)

    assert control.frame_rows(place.studio.store, place.home, place.studio.clock)[0].state == "failed"
    assert place.engine().status(place.home).state == "waiting"


def test_spent_preemption_retries_go_on_with_the_missing_frames_on_demand(place: Place) -> None:
    place.engine(fallback="on-demand").submit(place.home)
    for task, failure in ((0, FailureClass.PREEMPTED), (1, FailureClass.RENDER_ERROR), (2, FailureClass.MISSING_INPUT)):
        place.attempt(task, failure)
    place.over()

    said = place.engine(fallback="on-demand").go_on(place.home)

    assert said is not None
    assert said.endswith("round 2: tasks 0,3 on on-demand machines.")
    assert place.last().task_numbers() == (0, 3)
    model = place.server.jobs[place.last().name].job.allocation_policy.instances[0].policy.provisioning_model
    assert model.name == "STANDARD"
    assert place.engine().go_on(place.home) is None, "that one is queued"


def test_without_a_fallback_the_next_round_is_on_spot_and_a_cancelled_job_has_none(place: Place) -> None:
    place.engine().submit(place.home)
    place.attempt(0, FailureClass.PREEMPTED)
    place.over()
    assert "Spot" in str(place.engine().go_on(place.home))
    place.attempt(0, FailureClass.PREEMPTED)

    place.engine().cancel(place.home)

    assert place.server.wait(place.last().name).name == "CANCELLED"
    assert place.engine().go_on(place.home) is None
    assert place.engine().status(place.home).state == "cancelled"


def test_a_service_that_cannot_be_asked_is_a_note(place: Place) -> None:
    place.engine().submit(place.home)
    place.server._server.stop(None).wait()
    away = open_engine(place.settings(), place.studio.store, FakeClock())

    status = away.status(place.home)

    assert status.state == "waiting"
    assert "Google Batch: get job" in status.notes[0]
    with pytest.raises(CloudUnavailable):
        away.submit(place.home)


def test_what_cannot_be_run_is_said_before_anything_is_stored(place: Place) -> None:
    spec = JobReader(place.studio.store, place.home).spec()

    with pytest.raises(ConfigError, match=r"set gcp\.project"):
        place.engine(project="").check(spec)
    with pytest.raises(ConfigError, match="there is no engine 'cloud'; installed are local, batch"):
        find_engine("cloud", place.settings(), place.studio.store, place.studio.clock)
    assert find_engine("batch", place.settings(), place.studio.store, place.studio.clock).name == "batch"


def test_who_waits_has_the_next_round_begin(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    engine = place.engine(fallback="on-demand")
    engine.submit(place.home)
    place.attempt(0, FailureClass.PREEMPTED)
    place.over()
    given = Session(place.settings(), place.studio.store, FakeClock())

    exit_code = wait_for(given, place.home, engine, timeout=1)

    assert exit_code == 75
    assert place.last().number == 2
    said = capsys.readouterr()
    assert "round 2: tasks 0-3 on on-demand machines" in said.err
    assert "Google Batch: queued, round 2; tasks: 4 pending." in said.out


def test_a_later_round_is_like_the_last_unless_told_otherwise(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JIT_RENDER_CONFIG", str(tmp_path / "studio.toml"))
    section = [f"{key} = {json.dumps(value)}" for key, value in GCP.items()]
    (tmp_path / "studio.toml").write_text("\n".join(["[gcp]", *section, f'endpoint = "{place.server.endpoint}"']))
    place.engine(machine="n2-standard-8", nodes=2).submit(place.home)
    given = Session(place.settings(), place.studio.store, place.studio.clock)
    for flags, machine in (((), "n2-standard-8"), (("gcp.machine=c3-standard-8",), "c3-standard-8")):
        place.over()
        given.engine(place.home, flags).submit(place.home)
        group = place.server.jobs[place.last().name].job
        assert group.allocation_policy.instances[0].policy.machine_type == machine
        assert group.task_groups[0].parallelism == 2


def test_a_job_that_has_cost_its_budget_goes_on_only_with_more(place: Place) -> None:
    place.engine(budget=5).submit(place.home)
    place.attempt(0, FailureClass.PREEMPTED)
    place.over()
    place.hold(5)

    assert place.engine(budget=5).go_on(place.home) is None
    with pytest.raises(JobConflict, match="is held"):
        place.engine(budget=5).submit(place.home)
    place.engine(budget=9).submit(place.home)

    assert place.last().number == 2
