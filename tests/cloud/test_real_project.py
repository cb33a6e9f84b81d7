"""Up, plan, leftovers and down in a real project, when JIT_GCP_PROJECT names one; see docs/OPERATIONS.md.

All it makes has a name and buckets of its own, and goes in the end, also after a failure.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from gcp_deploy.access import Cloud
from gcp_deploy.blueprint import blueprint
from gcp_deploy.inventory import kept, leftovers
from gcp_deploy.parts import Verdict, bring_up, survey
from gcp_deploy.teardown import endings
from jit_render.model.settings import Settings

PROJECT = os.environ.get("JIT_GCP_PROJECT", "")
pytestmark = pytest.mark.skipif(not PROJECT, reason="JIT_GCP_PROJECT names no project of Google Cloud to try this in")


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    name = f"jit-test-{uuid.uuid4().hex[:8]}"
    buckets = {key: f"{PROJECT[:30]}-{name}-{key}" for key in ("assets", "outputs", "state")}
    region = os.environ.get("JIT_GCP_REGION", "us-central1")
    # A public image: the template needs one, and building ours takes longer than all the rest.
    image = "projects/debian-cloud/global/images/family/debian-12"
    gcp = {"project": PROJECT, "name": name, "region": region, "image": image, **buckets}
    opened = Cloud(Settings.model_validate({"gcp": gcp}))
    try:
        yield opened
    finally:
        for ending in endings(opened, buckets=True):
            ending.end()
        opened.close()


def test_up_plan_leftovers_down(cloud: Cloud) -> None:
    for _ in bring_up(blueprint(cloud)):
        pass
    assert [part.name for part, look in survey(blueprint(cloud)) if look.verdict is not Verdict.FINE] == []
    assert [item.kind for item in leftovers(cloud)] == ["template"]
    for ending in endings(cloud, buckets=True):
        ending.end()
    assert leftovers(cloud) == []
    assert kept(cloud) == []
