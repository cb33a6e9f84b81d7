"""A studio's whole way by its commands: up, a shot, leftovers, down, nothing left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_kit import PLACES
from deploy_kit import cloud_for, take_down
from house import House
from studio_way import end_studio, up_and_submit

from gcp_deploy.batch.service import BatchService
from gcp_deploy.inventory import leftovers
from jit_render.model.clock import SystemClock
from jit_render.model.settings import GcpSettings
from jit_render.testing.fake_batch import FakeBatch, Preemption
from jit_render.testing.fake_cloud import FakeCloud
from jit_render.testing.fake_gcs import FakeGcs

FRAMES = 8


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    with FakeCloud("studio-one") as fake:
        fake.accounts.lag = 0  # the commands wait for real here
        yield fake


@pytest.fixture
def gcs(cloud: FakeCloud) -> FakeGcs:
    """The project's own Cloud Storage; its one bucket is made by jit-deploy up."""
    return cloud.gcs


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[FakeBatch]:
    hits = Preemption(rate=0.3, seed=3, window=0.8, grace=1.5, silent=0.5)
    slowly = {"JIT_RENDER_STANDIN_SECONDS_PER_FRAME": "0.05"}
    with FakeBatch(tmp_path / "batch", places=PLACES, nodes=4, variables=slowly, preemption=hits) as server:
        yield server


def test_up_a_shot_on_nodes_of_which_three_in_ten_vanish_down_and_nothing_is_left_over(
    house: House, gcs: FakeGcs, cloud: FakeCloud, batch: FakeBatch
) -> None:
    own = {
        "project": "studio-one",
        "zones": ["us-central1-a"],
        "nodes": 4,
        "notice": 5,
        **dict.fromkeys(("assets", "outputs", "state"), "show"),
        "network": "jit-render",
        "subnetwork": "jit-render-us-central1",
        "account": "jit-render-node@studio-one.iam.gserviceaccount.com",
        "image": "projects/studio-one/global/images/family/jit-render",
        "endpoint": batch.endpoint,
        "compute_endpoint": cloud.url,
    }
    made, status = up_and_submit(house, own, frames=FRAMES)
    assert len(made) == 2 * FRAMES, "two views each"
    assert len(batch.created) == 1, "the same shot submitted twice is one job"
    assert status["failures"]["preempted"] >= 1
    assert status["frames_lost"] <= status["failures"]["preempted"]
    bill = house.run("jit-render", "cost", "latest", "--json")
    assert bill.returncode == 0, bill.stderr
    assert "n2d-standard-8" in bill.stdout
    end_studio(house)
    assert cloud.compute.things == {}


def test_a_job_that_batch_still_has_is_left_over_and_down_cancels_it(
    house: House, gcs: FakeGcs, cloud: FakeCloud, tmp_path: Path
) -> None:
    with FakeBatch(tmp_path / "queue", nodes=0) as batch:
        cloud.services.enabled.add("compute.googleapis.com")
        _queue(batch, "jit-render")
        _queue(batch, "another")
        opened = cloud_for(cloud, endpoint=batch.endpoint)
        assert [(item.kind, item.detail) for item in leftovers(opened)] == [("Batch job", "queued")]
        take_down(opened)
        assert leftovers(opened) == []
        assert sum(job.state.name == "QUEUED" for job in batch.jobs.values()) == 1


def _queue(batch: FakeBatch, name: str) -> None:
    service = BatchService(GcpSettings(endpoint=batch.endpoint), SystemClock())
    spec = {"runnables": [{"script": {"text": "true"}}]}
    request = {"taskGroups": [{"taskSpec": spec, "taskCount": "1"}], "labels": {"jit-render": name}}
    service.create("projects/studio-one/locations/us-central1", f"job-{name}", request, "")
    service.close()
