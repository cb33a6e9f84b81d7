"""A shot on Google Batch, by the commands a user types, against a fake service that runs it on nodes that vanish."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_kit import GCP, PLACES
from house import FIRST, House

from jit_render.testing.fake_batch import FakeBatch, Preemption
from jit_render.testing.fake_gcs import FakeGcs

FRAMES = 8


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[FakeBatch]:
    hits = Preemption(rate=0.3, seed=3, window=0.8, grace=1.5, silent=0.5)
    slowly = {"JIT_RENDER_STANDIN_SECONDS_PER_FRAME": "0.05"}
    with FakeBatch(tmp_path / "batch", places=PLACES, variables=slowly, preemption=hits) as server:
        yield server


def section(batch: FakeBatch) -> str:
    return "[gcp]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in GCP.items()) + (
        f'\nendpoint = "{batch.endpoint}"\n'
    )


def frames_in(gcs: FakeGcs) -> dict[str, bytes]:
    """The rendered frames in the bucket."""
    return {name: gcs.get("show", name) for name in gcs.objects("show") if name.startswith("renders/")}


def test_four_nodes_of_which_three_in_ten_vanish_render_what_one_machine_renders(
    stocked: House, gcs: FakeGcs, batch: FakeBatch
) -> None:
    stocked.extra = section(batch)
    stocked.configure()
    span = f"{FIRST}-{FIRST + FRAMES - 1}"
    asked = ["jit-submit", str(stocked.script), "--frames", span, "--chunk", "2", "--engine", "batch", "--yes"]

    submitted = stocked.run(*asked)
    assert submitted.returncode == 0, submitted.stderr
    again = stocked.run(*asked)
    assert again.returncode == 0, again.stderr
    waited = stocked.run("jit-render", "wait", "latest", "--json")

    assert waited.returncode == 0, waited.stdout + waited.stderr
    assert len(batch.created) == 1
    status = json.loads(waited.stdout)
    assert status["frames_done"] == FRAMES
    assert status["failures"]["preempted"] >= 1
    assert status["frames_lost"] <= status["failures"]["preempted"]
    on_batch = frames_in(gcs)
    assert len(on_batch) == 2 * FRAMES
    for name in on_batch:
        gcs.remove("show", name)
    local = stocked.submit("--force", "--workers", "1", "--chunk", str(FRAMES), frames=span)
    assert local.returncode == 0, local.stderr
    assert frames_in(gcs) == on_batch
