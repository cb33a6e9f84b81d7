"""Whatever is killed at whatever moment: the job completes after a retry, with the frames of an undisturbed run."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from conftest import stock
from house import BIN, FIRST, House, processes

from jit_render.testing.fake_gcs import FakeGcs

KILLS = 100
ROUNDS = 4
"""Independent houses, so that they run side by side; each takes its share of the kills."""

VICTIMS = {"agent": "jit_render.agent", "worker": "jit_render.farm.work_main", "renderer": "jit_render.render.standin"}


class Killer(threading.Thread):
    """Kills one process of a kind drawn by lot at each random moment, until its kills are used up."""

    def __init__(self, root: Path, kills: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.done: dict[str, int] = dict.fromkeys(VICTIMS, 0)
        self.enough = threading.Event()
        self._dice = random.Random(seed)
        self._root = root
        self._kills = kills

    def run(self) -> None:
        for _ in range(self._kills):
            self.enough.wait(self._dice.uniform(0.05, 0.9))
            kind = self._dice.choice(sorted(VICTIMS))
            while not self.enough.is_set():
                victims = processes(self._root, VICTIMS[kind])
                if victims:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(self._dice.choice(victims), signal.SIGKILL)
                        self.done[kind] += 1
                    break
                self.enough.wait(0.02)
        self.enough.set()


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_kills_at_random_moments_cost_time_and_nothing_else(house: House, gcs: FakeGcs, seed: int) -> None:
    expected = house.direct()
    stock(house, gcs)
    house.environment["JIT_RENDER_STANDIN_SECONDS_PER_FRAME"] = "0.1"
    killer = Killer(house.root, KILLS // ROUNDS, seed)
    span = f"{FIRST}-{FIRST + house.frames - 1}"
    submit = [str(BIN / "jit-submit"), str(house.script), "--frames", span, "--workers", "2", "--chunk", "3"]
    killer.start()
    for _ in range(200):  # the same command goes on with the unfinished job; --force, once done, begins another
        finished = subprocess.run(submit, env=house.env, capture_output=True, text=True, cwd=house.root, timeout=240)
        if finished.returncode == 0 and killer.enough.is_set():
            break
        if finished.returncode == 0 and "--force" not in submit:
            submit.append("--force")
        elif finished.returncode != 0 and "--force" in submit:
            submit.remove("--force")
    assert finished.returncode == 0, finished.stderr
    assert sum(killer.done.values()) == KILLS // ROUNDS
    assert house.pull() == expected
    written = [version.name for version in gcs.objects_model.versions("show", old=True)]
    finals = [name for name in written if name.startswith("renders/") or "/frames/" in name]
    assert len(finals) == len(set(finals)), "a frame was committed or replaced twice"
    assert len([name for name in finals if name.startswith("renders/")]) == len(expected)
    house.stop_agent()
    checked = house.run("jit-render", "cache", "verify", "--json")
    assert checked.returncode == 0, checked.stderr + checked.stdout
    assert not [path for path in (house.cache / "spool").rglob("*") if path.is_file()]
    assert not [path for path in (house.cache / "objects").rglob("*") if path.is_file() and path.stat().st_mode & 0o222]
