"""What a benchmark started goes with it, and what it did not start stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from benchmarks.leftovers import STOPPED, none_left, started_with, stop_as_asked

_WAITS = "import sys; sys.stdin.read()"


def waiting(*arguments):
    command = [sys.executable, "-c", _WAITS, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


def test_told_to_stop_it_ends_all_that_was_started_below_its_folder_and_nothing_else(tmp_path):
    ours, neighbour = tmp_path / "ours", tmp_path / "ours-too"
    before = signal.getsignal(signal.SIGTERM)
    with waiting("--cache", ours / "cache-0") as agent, waiting(f"file://{ours}/plates") as other:  # noqa: SIM117
        with waiting("--cache", neighbour) as stranger:
            try:
                stop_as_asked()
                assert set(started_with(ours)) == {agent.pid, other.pid}
                with pytest.raises(SystemExit) as stopped, none_left(ours):
                    os.kill(os.getpid(), signal.SIGTERM)
                assert stopped.value.code == STOPPED
                assert (agent.wait(10), other.wait(10)) == (-signal.SIGKILL, -signal.SIGKILL)
                assert stranger.poll() is None
            finally:
                signal.signal(signal.SIGTERM, before)
                for process in (agent, other, stranger):
                    process.kill()
