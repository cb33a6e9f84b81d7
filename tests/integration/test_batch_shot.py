"""A shot on Google Batch, by the commands a user types, against a fake service that runs it on nodes that vanish."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_kit import GCP, PLACES
from house import FIRST, House

from jit_render.testing.fake_batch import FakeBatch, Preemption

FRAMES = 8


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[FakeBatch]:
    hits = Preemption(rate=0.3, seed=3, window=0.8, grace=1.5, silent=0.5)
    with FakeBatch(tmp_path / "batch", places=PLACES, preemption=hits) as server:
        yield server


def section(batch: FakeBatch) -> str:
    return "[gcp]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in GCP.items()) + (
        f'\nendpoint = "{batch.endpoint}"\n'
    )


def test_four_nodes_of_which_three_in_ten_vanish_render_what_one_machine_renders(
    stocked: House, batch: FakeBatch
) -> None:
    stocked.environment["JIT_RENDER_STANDIN_SECONDS_PER_FRAME"] = "0.1"
    stocked.extra = section(batch)
    stocked.configure()
    span = f"{FIRST}-{FIRST + FRAMES - 1}"
    asked = ["jit-submit", str(stocked.script), "--frames", span, "--chunk", "2", "--engine", "batch", "--yes"]

    submitted = stocked.run(*asked)
    assert submitted.returncode == 0, submitted.stderr
    again = stocked.run(*asked)
    assert again.returncode == 0, again.stderr
    waited = stocked.run("jit-render", "wait", "latest")

    assert waited.returncode == 0, waited.stdout + waited.stderr
    assert len(batch.created) == 1
    status = stocked.json("jit-render", "status", "latest")
    assert status["frames_done"] == FRAMES
    assert status["failures"]["preempted"] >= 1
    assert status["frames_lost"] <= status["failures"]["preempted"]
    on_batch = stocked.pull()
    local = stocked.submit("--force", "--workers", "2", frames=span)
    assert local.returncode == 0, local.stderr
    assert stocked.pull("latest") == on_batch
