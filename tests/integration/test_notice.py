"""What a node of Google Cloud does when it is told to go, and what its worker tells a service that reads exit codes."""

from __future__ import annotations

import threading
from pathlib import Path
from queue import SimpleQueue

import pytest
from studio import Studio, until

from jit_render.agent import ensure_running
from jit_render.agent.notice import NoticeWatch, metadata_host
from jit_render.farm.attempts import Attempt
from jit_render.farm.records import JobReader
from jit_render.farm.round_work import LICENCE_WAITS, work_round
from jit_render.farm.rounds import Rounds
from jit_render.farm.worker import WorkOptions
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import Budgets, FailureClass
from jit_render.model.rounds import RoundRecord
from jit_render.testing.fake_metadata import FakeMetadata


def the_round(studio: Studio, home: ObjectUrl, tasks: str = "1,0") -> None:
    record = RoundRecord(
        number=1, engine="batch", tasks=tasks, created=0.0, preemptible=True, name="n", request_id="r", request={}
    )
    Rounds(studio.store, home).add(record)


def on_node(studio: Studio, home: ObjectUrl, index: int = 0, **options) -> int:
    return work_round(studio.settings, home, 1, index, clock=studio.clock, options=WorkOptions(**options))


@pytest.fixture
def make(tmp_path: Path):
    made: list[Studio] = []

    def make_one(**options) -> Studio:
        made.append(Studio(tmp_path, **options))
        return made[-1]

    yield make_one
    for studio in made:
        studio.close()


def test_the_watch_tells_once_of_a_notice_and_of_one_that_came_before_it() -> None:
    told: SimpleQueue[str] = SimpleQueue()
    with FakeMetadata() as metadata:
        with NoticeWatch(lambda: told.put("told"), metadata.host):
            assert metadata.wait_for_readers(1)
            assert told.empty()
            metadata.preempt()
            assert told.get(timeout=10) == "told"
        with NoticeWatch(lambda: told.put("late"), metadata.host):
            assert told.get(timeout=10) == "late"
    assert told.empty()


def test_the_watch_outlives_a_metadata_server_that_goes_and_lets_go_of_one_that_hangs() -> None:
    told: SimpleQueue[str] = SimpleQueue()
    first = FakeMetadata().start()
    port = int(first.host.rpartition(":")[2])
    watch = NoticeWatch(lambda: told.put("told"), first.host)
    with watch:
        assert first.wait_for_readers(1)
        first.stop()
        with FakeMetadata(port=port) as second:
            assert second.wait_for_readers(1)
            second.preempt()
            assert told.get(timeout=10) == "told"
    with FakeMetadata() as third:
        with NoticeWatch(lambda: None, third.host):
            assert third.wait_for_readers(1)
        until(lambda: not any(thread.name == "preemption-notice" for thread in threading.enumerate()), 10)


def test_another_machine_has_no_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    assert metadata_host() == "127.0.0.1:1"
    before = threading.active_count()
    with NoticeWatch(lambda: None, ""):
        assert threading.active_count() == before


def test_a_notice_lets_the_frame_in_hand_finish_and_the_agent_fetches_nothing_more_ahead(
    make, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = make(frames=6, chunk=6, mischief="slow=0.3")
    home = studio.submit().home
    the_round(studio, home, tasks="0")
    with FakeMetadata() as metadata:
        for name, value in metadata.environment.items():
            monkeypatch.setenv(name, value)

        def notice_at_three(event) -> None:
            if event.get("frame") == 3 and event["event"] == "frame":
                metadata.preempt()

        code = on_node(studio, home, tell=notice_at_three)
    record = studio.attempts(home)[-1]

    assert (code, record.failure, record.frames_lost) == (75, FailureClass.PREEMPTED, 0)
    assert record.frames_done == "1-3"
    assert "nothing more is fetched ahead" in (studio.root / "cache/agent.log").read_text()


def test_an_earlier_attempt_without_an_end_is_that_of_a_node_that_is_gone(make) -> None:
    studio = make(frames=4, chunk=2)
    home = studio.submit().home
    the_round(studio, home)
    gone = Attempt.claim(studio.store, studio.clock, JobReader(studio.store, home).paths, task=1, frames_asked="3-4")
    gone.beat(frame_in_hand=3)

    assert on_node(studio, home) == 0

    first, second = studio.attempts(home)
    assert (first.failure, first.frames_lost) == (FailureClass.PREEMPTED, 1)
    assert first.message == "the node went without a word."
    assert (second.task, second.attempt, second.frames_done) == (1, 2, "3-4")


def test_a_budget_that_is_spent_is_not_tried_again_by_the_service(make) -> None:
    studio = make(frames=2, chunk=2, mischief="licence")
    home = studio.submit(budgets=Budgets(licence=1)).home
    the_round(studio, home, tasks="0")

    assert [on_node(studio, home, licence_waits=()) for _ in range(2)] == [75, 1]


def test_a_licence_is_waited_for_on_the_node(make, tmp_path: Path) -> None:
    studio = make(frames=2, chunk=2, mischief=f"licence once={tmp_path}/once")
    home = studio.submit().home
    the_round(studio, home, tasks="0")

    assert on_node(studio, home, licence_waits=tuple(0.0 for _ in LICENCE_WAITS)) == 0
    assert [attempt.failure for attempt in studio.attempts(home)] == [None]
    assert sum(LICENCE_WAITS) > 3600


def test_the_agent_of_a_node_starts_without_a_metadata_server_to_talk_to(make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    studio = make()
    root = Path(studio.settings.cache.root)
    assert ensure_running(root, studio.settings, studio.clock).exists()
