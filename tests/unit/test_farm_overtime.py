"""Renderers that never end: what counts as hung, told from plain values; and what a group of processes has used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from jit_render.farm.overtime import Overtime, group_cpu_seconds
from jit_render.farm.pace import Pace
from jit_render.model.job import FailureClass


class Watched:
    """A renderer that is looked at every ten seconds."""

    def __init__(self, **limits) -> None:
        self.used, self.now = 5.0, 1000.0
        self.render = SimpleNamespace(pid=1, lines=0)
        self.pace = Pace()
        self.overtime = Overtime(**limits, cpu_seconds=lambda _pid: self.used)
        self.overtime.begin()

    def look(self, seconds: float = 10.0):
        self.now += seconds
        return self.overtime.look(self.render, self.pace, self.now)

    def looks(self, count: int):
        return next((found for found in (self.look() for _ in range(count)) if found is not None), None)


def test_what_does_and_says_nothing_hangs():
    watched = Watched(hang_seconds=100)
    watched.pace.start(7, watched.now)
    assert watched.looks(10) is None
    found = watched.looks(3)
    assert (found.failure, found.exit_code) == (FailureClass.NODE, 75)
    assert "hangs at frame 7" in found.message
    assert "farm.hang_limit" in found.message


def test_a_renderer_that_hangs_before_its_first_frame_is_told_so():
    assert "before its first frame" in Watched(hang_seconds=100).looks(20).message


def test_a_thread_that_wakes_now_and_then_does_not_count_as_work():
    watched = Watched(hang_seconds=100)
    for _ in range(11):
        assert watched.look() is None
        watched.used += 0.05
    assert watched.look() is not None


@pytest.mark.parametrize("sign", ["work", "word"])
def test_any_work_and_any_word_is_a_sign_of_life(sign):
    watched = Watched(hang_seconds=100)
    for _ in range(5):
        assert watched.looks(9) is None
        if sign == "work":
            watched.used += 2
        else:
            watched.render.lines += 1
    assert watched.looks(9) is None
    assert watched.looks(5) is not None


def test_a_child_that_ends_takes_nothing_back():
    """Its time moves to its parent only once it is waited for: less than before is no sign of hanging."""
    watched = Watched(hang_seconds=100)
    assert watched.looks(9) is None
    watched.used -= 3
    assert watched.looks(9) is None


def test_where_nobody_tells_the_processor_time_nothing_hangs():
    watched = Watched(hang_seconds=100)
    watched.used = None
    assert watched.looks(100) is None


def test_without_limits_nothing_is_looked_at():
    watched = Watched()
    watched.used = None
    watched.overtime.cpu_seconds = lambda _pid: pytest.fail("looked")
    assert watched.looks(100) is None


def test_a_frame_over_its_limit_is_an_error_of_the_shot():
    watched = Watched(frame_seconds=60)
    watched.pace.start(1, watched.now)
    assert watched.looks(5) is None
    watched.pace.start(2, watched.now)
    assert watched.looks(6) is None
    found = watched.looks(2)
    assert found.failure is FailureClass.RENDER_ERROR
    assert "frame 2 takes over 60 s (farm.frame_limit)" in found.message


def test_another_renderer_begins_anew():
    watched = Watched(hang_seconds=100)
    watched.looks(9)
    watched.overtime.begin()
    assert watched.looks(9) is None


def test_the_time_of_a_whole_group_is_counted():
    """A studio's own starter script only waits for the renderer that it has started."""
    burn = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass\ntime.sleep(60)"
    starter = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    process = subprocess.Popen([sys.executable, "-c", starter], start_new_session=True)
    try:
        end = time.monotonic() + 60
        while (group_cpu_seconds(process.pid) or 0.0) < 0.4:
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    while group_cpu_seconds(process.pid) is not None:  # the child is a zombie until somebody has waited for it
        assert time.monotonic() < end
        time.sleep(0.02)
