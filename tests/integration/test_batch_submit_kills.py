"""`jit-submit --engine batch` killed at each request that changes something: the same command goes on, with one job.

Each write is killed when it has taken effect and its answer is under way, which is also what a kill before the next
write leaves behind. The kills come one after the other on one job, so each submit finds what the last one left.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from batch_kit import GCP, PLACES
from house import BIN, House
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


def killed_once(house: House, asked: list[str], stands_still: Callable[[], object]) -> None:
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([BIN / asked[0], *asked[1:]], env=house.env, cwd=house.root, stdout=quiet, stderr=quiet)
    try:
        until(lambda: stands_still() or process.poll() is not None)
        assert process.poll() is None, "it was over before it could be killed"
    finally:
        process.kill()
        process.wait()


def test_a_submit_killed_at_each_of_its_changes_ends_with_one_job_and_its_frames(
    stocked: House, gcs: FakeGcs, batch: FakeBatch, asked: list[str]
) -> None:
    for count, name in enumerate(WRITES, 1):
        gcs.faults.set([Fault(kind="write", name=f"state/*{name}", action="stall", at="last")])
        killed_once(stocked, asked, lambda count=count: len(gcs.stalled) == count)
    gcs.faults.set([])
    assert batch.created == []
    for moment, made in (("before", 0), ("after", 1)):
        batch.halted.clear()
        batch.halt = moment
        killed_once(stocked, asked, batch.halted.is_set)
        assert len(batch.created) == made

    again = stocked.run(*asked)
    assert again.returncode == 0, again.stderr
    waited = stocked.run("jit-render", "wait", "latest", "--json")

    assert waited.returncode == 0, waited.stdout + waited.stderr
    assert len(batch.created) == len(batch.jobs) == 1
    assert json.loads(waited.stdout)["frames_done"] == 2
    frames = [name for name in gcs.objects("show") if name.startswith("renders/")]
    assert len(frames) == 2 * 2, "two views each"
