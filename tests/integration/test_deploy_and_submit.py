"""A studio's whole way by its commands: up, a shot, leftovers, down, nothing left."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_kit import PLACES
from conftest import stock
from deploy_kit import cloud_for, take_down
from house import FIRST, House

from gcp_deploy.access import Cloud
from gcp_deploy.batch.service import BatchService
from gcp_deploy.inventory import kept, leftovers
from jit_render.model.clock import SystemClock
from jit_render.model.settings import GcpSettings, Settings
from jit_render.testing.fake_batch import FakeBatch, Preemption
from jit_render.testing.fake_cloud import FakeCloud
from jit_render.testing.fake_gcs import FakeGcs

FRAMES = 4


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
    with FakeBatch(tmp_path / "batch", places=PLACES, nodes=4, preemption=Preemption(0.3, seed=3)) as server:
        yield server


def test_up_a_shot_on_batch_down_and_nothing_is_left_over(
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
    house.extra = "[gcp]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in own.items())
    house.configure()
    up = house.run("jit-deploy", "up", "--yes")
    assert up.returncode == 0, up.stderr
    stock(house, gcs)

    span = f"{FIRST}-{FIRST + FRAMES - 1}"
    asked = ["jit-submit", str(house.script), "--frames", span, "--chunk", "2", "--engine", "batch", "--yes"]
    submitted = house.run(*asked)
    assert submitted.returncode == 0, submitted.stderr
    waited = house.run("jit-render", "wait", "latest", "--json")
    assert waited.returncode == 0, waited.stdout + waited.stderr
    assert json.loads(waited.stdout)["frames_done"] == FRAMES
    bill = house.run("jit-render", "cost", "latest", "--json")
    assert bill.returncode == 0, bill.stderr
    assert "n2d-standard-8" in bill.stdout

    opened = Cloud(Settings.model_validate(tomllib.loads((house.root / "jit-render.toml").read_text())))
    assert [item.kind for item in leftovers(opened)] == ["template"]
    data = [(item.kind, item.detail.partition(",")[0]) for item in kept(opened)]
    assert data[1:] == [("job", "finished")]
    down = house.run("jit-deploy", "down", "--yes")
    assert down.returncode == 0, down.stderr
    assert leftovers(opened) == []
    opened.close()
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
