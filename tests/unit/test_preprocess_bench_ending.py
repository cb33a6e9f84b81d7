"""A measurement of the preprocessing that is told to end leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from benchmarks.preprocess_ending import end, leaving_on_signals
from benchmarks.preprocess_ways import in_folder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_takes_the_folder_and_the_children_with_it(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    process = subprocess.Popen(["sleep", "600"])
    with pytest.raises(SystemExit) as left:
        _told_to_end(tmp_path, number, process)
    assert left.value.code == 128 + number
    assert process.returncode == -signal.SIGKILL
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(number) == before


def _told_to_end(below: Path, number: signal.Signals, process: subprocess.Popen[bytes]) -> None:
    with leaving_on_signals(), in_folder(str(below)) as (root, _):
        assert Path(root.removeprefix("file://")).is_dir()
        try:
            os.kill(os.getpid(), number)
        finally:
            end(process)
