"""Small real jobs under the local engine: real agents, workers and records, a fake Nuke."""

from __future__ import annotations

import os
import signal

import pytest
from studio import SCRIPT, Studio, until

from jit_render.farm.chaos import Chaos
from jit_render.farm.control import cancel, frame_rows, read_logs, retry
from jit_render.farm.pull import pull
from jit_render.farm.verify import verify_job


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


def test_the_same_submission_finds_its_frames_there(make):
    studio = make()
    first = studio.submit()
    studio.run(first.home)
    again = studio.submit()
    assert (again.action, again.home, again.message) == (
        "nothing",
        first.home,
        f"8 of 8 frames are already there (job {first.spec.id}).",
    )
    assert studio.submit("1-3,5").action == "nothing"


def test_force_renders_all_again(make):
    studio = make(frames=3)
    first = studio.submit()
    studio.run(first.home)
    forced = studio.submit(force=True)
    assert (forced.action, forced.there, forced.spec.id) == ("new", 0, f"{first.spec.id}-2")
    assert studio.run(forced.home).state == "done"
    assert len(studio.attempts(forced.home)) == 1


def test_frames_whose_input_changed_are_rendered_and_the_rest_adopted(make):
    studio = make()
    studio.run(studio.submit().home)
    before = studio.outputs()
    (studio.bucket / "assets/plates/plate.0003.bin").write_bytes(b"a better plate")
    again = studio.submit("1-6")
    assert (again.action, again.there) == ("new", 5)
    status = studio.run(again.home)
    assert (status.state, status.frames_done) == ("done", 6)
    assert [attempt.frames_asked for attempt in studio.attempts(again.home)] == ["3"]
    after = studio.outputs()
    assert [name for name in after if after[name] != before[name]] == ["out.0003.exr"]
    report = verify_job(studio.store, again.home, studio.root)
    assert (report.ok, report.frames_verified) == (True, 6)


def test_an_output_that_was_removed_is_rendered_again(make):
    studio = make(frames=4)
    studio.run(studio.submit().home)
    (studio.bucket / "renders/out.0002.exr").unlink()
    again = studio.submit()
    assert (again.action, again.there) == ("new", 3)
    assert studio.run(again.home).state == "done"
    assert len(studio.outputs()) == 4


@pytest.mark.parametrize(
    ("mischief", "failure"),
    [("crash@2", "render_error"), ("oom@2", "node"), ("skip@3", "render_error")],
)
def test_a_failure_that_passes_is_tried_again(make, tmp_path, mischief, failure):
    studio = make(frames=4, mischief=f"{mischief} once={tmp_path}/once")
    home = studio.submit().home
    status = studio.run(home)
    assert (status.state, status.failures) == ("done", {failure: 1})
    assert len(studio.outputs()) == 4


def test_a_failure_that_stays_spends_its_budget_and_keeps_the_other_frames(make):
    studio = make(frames=8, mischief="error@6")
    home = studio.submit().home
    status = studio.run(home)
    assert (status.state, status.frames_done, status.frames_failed) == ("failed", 5, 3)
    assert status.failures == {"render_error": 2}
    assert status.troubles[0].message == "exit code 1: ERROR: Blur1: the pixels are on strike"
    assert [row.state for row in frame_rows(studio.store, home, studio.clock)] == ["done"] * 5 + ["failed"] * 3


def test_inputs_that_vanish_after_the_submit_are_named_and_not_tried_again(make):
    studio = make(frames=4)
    home = studio.submit().home
    (studio.bucket / "assets/plates/plate.0003.bin").unlink()
    status = studio.run(home)
    assert (status.state, status.frames_done) == ("failed", 2)
    (trouble,) = status.troubles
    assert (trouble.failure, trouble.exit_code, trouble.frames_done) == ("missing_input", 3, "1-2")
    assert "plate.0003.bin" in trouble.message
    assert "Read1.file" in trouble.message


def test_a_mended_input_makes_a_new_job_that_adopts_what_was_done(make):
    studio = make(frames=4)
    plate = studio.bucket / "assets/plates/plate.0003.bin"
    data = plate.read_bytes()
    first = studio.submit()
    plate.unlink()
    studio.run(first.home)
    plate.write_bytes(data)
    again = studio.submit()
    assert (again.action, again.there, again.spec.id) == ("new", 2, f"{first.spec.id}-2")
    assert studio.run(again.home).state == "done"


def test_a_renderer_that_leaves_a_frame_out_is_caught(make):
    studio = make(frames=4, mischief="skip@3")
    status = studio.run(studio.submit().home)
    assert (status.state, status.frames_done) == ("failed", 3)
    assert "did not write Write1 (main): 3" in status.troubles[0].message


def kill_once(studio: Studio, pids, at_frame: int):
    """A listener that kills what `pids` gives when `at_frame` starts."""
    killed: list[int] = []

    def listen(progress) -> None:
        if progress.kind == "frame" and progress.frame == at_frame and not killed:
            killed.extend(pids())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    return listen, killed


@pytest.mark.parametrize("victim", ["worker", "renderer", "agent"])
def test_a_kill_costs_a_retry_and_nothing_else(make, victim):
    studio = make(frames=6, chunk=6, mischief="slow=0.15")
    home = studio.submit().home
    pids = {
        "worker": lambda: [studio.attempts(home)[-1].pid],
        "renderer": studio.renderers,
        "agent": studio.agents,
    }[victim]
    listen, killed = kill_once(studio, pids, at_frame=3)
    status = studio.run(home, listen)
    assert killed
    assert (status.state, status.frames_done) == ("done", 6)
    assert status.frames_lost <= 1
    assert verify_job(studio.store, home, studio.root).ok
    until(lambda: not studio.renderers())
    if victim != "agent":
        assert status.failures == {"node": 1}


def test_chaos_preempts_and_every_frame_still_comes(make):
    studio = make(frames=12, chunk=3, mischief="slow=0.1")
    home = studio.submit().home
    chaos = Chaos(rate=0.6, seed=4, grace=8.0, silent=0.3)
    status = studio.run(home, chaos=chaos, shared_cache=False)
    assert (status.state, status.frames_done) == ("done", 12)
    hits = status.failures.get("preempted", 0)
    assert hits >= 1
    assert set(status.failures) == {"preempted"}
    assert all(attempt.frames_lost <= 1 for attempt in studio.attempts(home))
    assert verify_job(studio.store, home, studio.root).ok


def test_a_cancelled_job_stops_at_the_next_frame_and_can_be_taken_up_again(make):
    studio = make(frames=12, chunk=12, mischief="slow=0.3")
    home = studio.submit().home

    def stop(progress) -> None:
        if progress.kind == "frame" and progress.frame == 2:
            cancel(studio.store, home, studio.clock, "me")

    status = studio.run(home, stop)
    assert status.state == "cancelled"
    assert 1 <= status.frames_done < 12
    left = retry(studio.store, home)
    assert left is not None
    assert len(left) == 12 - status.frames_done
    assert studio.run(home).state == "done"


def test_an_interrupt_keeps_what_is_finished_and_a_later_run_goes_on(make):
    studio = make(frames=8, chunk=8, mischief="slow=0.15")
    home = studio.submit().home

    def interrupt(progress) -> None:
        if progress.kind == "frame" and progress.frame == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        studio.run(home, interrupt)
    until(lambda: not studio.renderers())
    again = studio.submit()
    assert (again.action, again.home) == ("resumed", home)
    assert again.there >= 3
    status = studio.run(home)
    assert (status.state, status.frames_lost) == ("done", 1)


def test_wrong_usage_comes_out_at_once(make):
    studio = make(frames=4)
    home = studio.submit().home
    studio.settings = studio.settings.model_copy(
        update={"render": studio.settings.render.model_copy(update={"nuke": "/no/such/nuke"})}
    )
    status = studio.run(home)
    assert (status.state, status.attempts) == ("failed", 1)
    assert "/no/such/nuke: no Nuke can be run there" in status.troubles[0].message


def test_what_is_rendered_can_be_pulled_and_read_in_the_logs(make, tmp_path):
    studio = make(frames=4)
    home = studio.submit().home
    studio.run(home)
    report = pull(studio.store, home, tmp_path / "pulled")
    assert (report.files, report.files_kept, report.frames_missing) == (4, 0, "")
    assert {path.name: path.read_bytes() for path in (tmp_path / "pulled").iterdir()} == studio.outputs()
    assert pull(studio.store, home, tmp_path / "pulled").files_kept == 4
    (log,) = read_logs(studio.store, home)
    assert "Frame 4 (4 of 4)" in log.text


def test_a_movie_is_one_task_and_reused_whole_or_not_at_all(make):
    studio = make(frames=5, chunk=2, script=SCRIPT.replace("out.####.exr", "out.mov"))
    first = studio.submit()
    status = studio.run(first.home)
    assert (status.state, status.frames_done, status.attempts) == ("done", 5, 1)
    assert [path.name for path in (studio.bucket / "renders").iterdir()] == ["out.mov"]
    assert verify_job(studio.store, first.home, studio.root).files == 1
    assert studio.submit().action == "nothing"
    shorter = studio.submit("1-3")
    assert (shorter.action, shorter.there) == ("new", 0)


def test_a_frame_that_lacked_an_input_is_rendered_again_once_the_input_is_there(make):
    studio = make(frames=2, script=SCRIPT.replace(" name Read1", " on_error black\n name Read1"))
    plate = studio.bucket / "assets/plates/plate.0002.bin"
    pixels = plate.read_bytes()
    plate.unlink()
    first = studio.submit(allow_missing=True)
    assert studio.run(first.home).state == "done"
    assert studio.submit(allow_missing=True).action == "nothing"
    plate.write_bytes(pixels)
    again = studio.submit(allow_missing=True)
    assert (again.action, again.there) == ("new", 1)
