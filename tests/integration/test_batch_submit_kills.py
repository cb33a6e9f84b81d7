"""`jit-submit --engine batch` killed at each request that changes something: the same command goes on, with one job.

Each write is killed when it has taken effect and its answer is under way, which is also what a kill before the next
write leaves behind. The kills come one after the other on one job, so each submit finds what the last one left. They
are forked from one process that has loaded the program already: starting it nine times would take longer than the rest.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from batch_kit import GCP, PLACES
from house import House
from studio import until

from jit_render.testing.fake_batch import FakeBatch
from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.faults import Fault

FRAMES = "1001-1002"
WRITES = ("inputs/*", "inputs.json", "script/*", "job.json", "index/*", "engine.json", "rounds/1.json")


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[FakeBatch]:
    with FakeBatch(tmp_path / "batch", places=PLACES, nodes=1) as server:
        yield server


@pytest.fixture
def asked(stocked: House, batch: FakeBatch) -> list[str]:
    section = [f"{key} = {json.dumps(value)}" for key, value in {**GCP, "endpoint": batch.endpoint}.items()]
    stocked.extra = "\n".join(["[gcp]", *section])
    stocked.configure()
    return ["jit-submit", str(stocked.script), "--frames", FRAMES, "--engine", "batch", "--yes"]


LOADED = """
import json, os, sys
import google.cloud.batch_v1, jit_render.cli.submit, jit_render.farm.planning, jit_render.farm.submit
from jit_render.cli.submit import run
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        sys.argv = json.loads(line)
        for number in range(3):
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        run()
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@dataclass
class Submits:
    """The same command again and again, each time killed."""

    commands: IO[str]
    answers: IO[str]
    asked: list[str]

    def kill_one(self, stands_still: Callable[[], object]) -> None:
        self.commands.write(json.dumps(self.asked) + "\n")
        self.commands.flush()
        pid = int(self.answers.readline())
        try:
            until(stands_still)
        finally:
            os.kill(pid, signal.SIGKILL)
        assert int(self.answers.readline()) == -signal.SIGKILL, "it was over before it could be killed"


@pytest.fixture
def submits(stocked: House, asked: list[str]) -> Iterator[Submits]:
    argv = [sys.executable, "-c", LOADED]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, env=stocked.env, cwd=stocked.root, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Submits(process.stdin, process.stdout, asked)


def test_a_submit_killed_at_each_of_its_changes_ends_with_one_job_and_its_frames(
    stocked: House, gcs: FakeGcs, batch: FakeBatch, asked: list[str], submits: Submits
) -> None:
    for count, name in enumerate(WRITES, 1):
        gcs.faults.set([Fault(kind="write", name=f"state/*{name}", action="stall", at="last")])
        submits.kill_one(lambda count=count: len(gcs.stalled) == count)
    gcs.faults.set([])
    assert batch.created == []
    for moment, made in (("before", 0), ("after", 1)):
        batch.halted.clear()
        batch.halt = moment
        submits.kill_one(batch.halted.is_set)
        assert len(batch.created) == made

    again = stocked.run(*asked)
    assert again.returncode == 0, again.stderr
    waited = stocked.run("jit-render", "wait", "latest", "--json")

    assert waited.returncode == 0, waited.stdout + waited.stderr
    assert len(batch.created) == len(batch.jobs) == 1
    assert json.loads(waited.stdout)["frames_done"] == 2
    frames = [name for name in gcs.objects("show") if name.startswith("renders/")]
    assert len(frames) == 2 * 2, "two views each"
