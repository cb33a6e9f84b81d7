"""One worker on one task: stopping early, licences, leftovers; and an engine that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from studio import Studio, until

from jit_render.farm.attempts import end_for
from jit_render.farm.records import JobReader
from jit_render.farm.verify import verify_job
from jit_render.farm.worker import WorkOptions, work
from jit_render.model.job import AttemptRecord, FailureClass


@pytest.fixture
def make(tmp_path):
    made: list[Studio] = []

    def make_one(**options) -> Studio:
        made.append(Studio(tmp_path, **options))
        return made[-1]

    yield make_one
    for studio in made:
        studio.close()


def one_attempt(studio: Studio, home, tell=lambda _: None, task: int = 0, **options) -> tuple[int, AttemptRecord]:
    code = work(studio.settings, home, task, WorkOptions(tell=tell, **options), studio.clock)
    return code, studio.attempts(home)[-1]


def at_frame(frame: int, act):
    """Calls `act` once, when `frame` starts."""
    done: list[bool] = []

    def tell(event) -> None:
        if event["event"] == "frame" and event["frame"] == frame and not done:
            done.append(True)
            act()

    return tell


def preempt() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_licence_that_comes_free_costs_no_attempt(make, tmp_path):
    studio = make(frames=4, mischief=f"licence once={tmp_path}/once")
    code, record = one_attempt(studio, studio.submit().home, licence_waits=(0.0,))
    assert (code, record.attempt, record.state) == (0, 1, "done")


def test_without_a_licence_the_worker_says_try_again(make):
    studio = make(frames=4, mischief="licence")
    code, record = one_attempt(studio, studio.submit().home, licence_waits=(0.0, 0.0))
    assert (code, record.failure, record.frames_lost) == (75, FailureClass.LICENCE, 0)


def test_a_notice_lets_the_frame_in_hand_finish(make):
    studio = make(frames=8, chunk=8, mischief="slow=0.3")
    home = studio.submit().home
    code, record = one_attempt(studio, home, at_frame(3, preempt))
    assert (code, record.failure) == (75, FailureClass.PREEMPTED)
    assert (record.frames_done, record.frames_lost) == ("1-3", 0)
    assert one_attempt(studio, home)[1].frames_asked == "4-8"
    assert verify_job(studio.store, home, studio.root).ok


def test_a_notice_that_is_too_short_costs_the_frame_in_hand(make):
    studio = make(frames=8, chunk=8, mischief="slow=2")
    studio.settings = studio.settings.model_copy(
        update={"farm": studio.settings.farm.model_copy(update={"grace": 2.0})}
    )
    code, record = one_attempt(studio, studio.submit().home, at_frame(2, preempt))
    assert (code, record.failure) == (75, FailureClass.PREEMPTED)
    assert (record.frames_done, record.frame_in_hand, record.frames_lost) == ("1", 2, 1)
    until(lambda: not studio.renderers())


@pytest.mark.parametrize(
    ("mischief", "limit", "meant"),
    [
        ("hang@3", {"hang_limit": 2.0}, (75, FailureClass.NODE, "1-2", "the renderer hangs at frame 3")),
        ("slow=60", {"frame_limit": 1.0}, (1, FailureClass.RENDER_ERROR, "", "frame 1 takes over 1 s")),
    ],
)
def test_a_renderer_that_would_never_end_is_ended(make, mischief, limit, meant):
    studio = make(frames=4, chunk=4, mischief=mischief)
    farm = studio.settings.farm.model_copy(update=limit)
    studio.settings = studio.settings.model_copy(update={"farm": farm})
    code, record = one_attempt(studio, studio.submit().home)
    assert (code, record.failure, record.frames_done) == meant[:3]
    assert meant[3] in record.message
    assert not studio.renderers()


def test_an_attempt_that_was_taken_away_stops_at_the_next_frame(make):
    studio = make(frames=8, chunk=8, mischief="slow=0.3")
    home = studio.submit().home

    def take_away() -> None:
        (record,) = studio.attempts(home)
        paths = JobReader(studio.store, home).paths
        until(lambda: end_for(studio.store, studio.clock, paths, studio.attempts(home)[0], FailureClass.NODE))
        assert record.ended is None

    code, record = one_attempt(studio, home, at_frame(2, take_away))
    assert code == 75
    assert record.failure is FailureClass.NODE
    assert 2 <= len(studio.outputs()) < 8


def test_half_a_file_is_neither_published_nor_left_in_the_view(make, tmp_path):
    studio = make(frames=4, mischief=f"partial@2 once={tmp_path}/once")
    home = studio.submit().home
    code, record = one_attempt(studio, home)
    assert (code, record.failure, record.frames_lost) == (75, FailureClass.NODE, 1)
    assert list(studio.outputs()) == ["out.0001.exr"]
    left = [path for path in (studio.root / "cache" / "view").rglob("*.exr") if not path.is_symlink()]
    assert left == []
    assert one_attempt(studio, home)[0] == 0
    assert verify_job(studio.store, home, studio.root).ok


def test_a_second_worker_finds_nothing_to_do(make):
    studio = make(frames=4)
    home = studio.submit().home
    assert one_attempt(studio, home)[0] == 0
    assert one_attempt(studio, home)[0] == 0
    assert len(studio.attempts(home)) == 1


def test_a_task_that_is_not_there_is_wrong_usage(make):
    studio = make(frames=4)
    told: list[dict] = []
    code = work(studio.settings, studio.submit().home, 7, WorkOptions(tell=told.append), studio.clock)
    assert code == 2
    assert "has tasks 0 to 0; there is no task 7" in told[-1]["message"]


def test_names_relative_to_the_script_lead_into_the_bucket(make):
    text = (
        'Root {\n}\nRead {\n inputs 0\n file "\\[file dirname \\[value root.name]]/assets/plates/plate.####.bin"\n}\n'
        'Write {\n file "\\[file dirname \\[value root.name]]/renders/out.####.exr"\n name Write1\n}\n'
    )  # fmt: skip
    studio = make(frames=3, script=text)
    rules = [
        {"prefix": str(studio.root / "renders"), "target": f"file://{studio.bucket}/renders", "mode": "write"},
        {"prefix": str(studio.root), "target": f"file://{studio.bucket}"},
    ]
    studio.settings = studio.settings.model_validate(studio.settings.model_dump() | {"paths": rules})
    code, record = one_attempt(studio, studio.submit().home)
    assert (code, record.message) == (0, "")
    assert len(studio.outputs()) == 3


def test_a_worker_without_room_for_its_cache_says_which_setting(make):
    studio = make(frames=2)
    home = studio.submit().home
    blocked = studio.root / "blocked"
    blocked.write_text("a file, no folder")
    studio.settings = studio.settings.model_copy(
        update={"cache": studio.settings.cache.model_copy(update={"root": str(blocked / "cache")})}
    )
    code, record = one_attempt(studio, home)
    assert (code, record.failure) == (2, FailureClass.NODE)
    assert "cache.root" in record.message


ENGINE = """
import sys
from jit_render.farm.local import LocalEngine, LocalOptions
from jit_render.model.clock import SystemClock
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import Settings
from jit_render.store import open_store
settings = Settings.model_validate_json(sys.argv[1])
options = LocalOptions(on_progress=lambda p: print(p.kind, p.frame, flush=True))
LocalEngine(settings, open_store(settings.store), SystemClock(), options).run(ObjectUrl.parse(sys.argv[2]))
"""


def test_a_killed_engine_takes_its_workers_with_it_and_a_later_run_goes_on(make):
    studio = make(frames=12, chunk=6, mischief="slow=0.3")
    home = studio.submit().home
    engine = subprocess.Popen(
        [sys.executable, "-c", ENGINE, studio.settings.model_dump_json(), str(home)], stdout=subprocess.PIPE, text=True
    )
    assert engine.stdout is not None
    next(line for line in engine.stdout if line.startswith("written"))
    engine.kill()
    engine.wait()
    engine.stdout.close()
    until(lambda: not studio.workers() and not studio.renderers())
    assert [attempt.failure for attempt in studio.attempts(home)] == [FailureClass.PREEMPTED] * 2
    status = studio.run(home)
    assert status.state == "done"
    assert status.frames_lost <= 2, "each of the two workers may lose the frame in hand"
    assert verify_job(studio.store, home, studio.root).ok


def test_the_worker_command_tells_its_progress_in_lines(make):
    studio = make(frames=2)
    home = studio.submit().home
    done = subprocess.run(
        [sys.executable, "-m", "jit_render.farm.work_main", "--job", str(home), "--task", "0", "--settings", "-"],
        input=studio.settings.model_dump_json(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert events == ["attempt", "renderer", "frame", "written", "frame", "written", "ended"]
