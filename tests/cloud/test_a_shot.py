"""A studio's whole way in a real project, when JIT_GCP_PROJECT names one; see docs/OPERATIONS.md.

`tests/integration/test_deploy_and_submit.py` goes the same way over the fakes. The nodes need an image that holds this
package, as `jit-deploy image` makes it: JIT_GCP_IMAGE names it. The stand-in renders, so no licence is needed.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest
from house import House
from studio_way import end_studio, up_and_submit

PROJECT = os.environ.get("JIT_GCP_PROJECT", "")
IMAGE = os.environ.get("JIT_GCP_IMAGE", "")
REGION = os.environ.get("JIT_GCP_REGION", "us-central1")
A_CLOUD_SECONDS = 1800  # VMs start, and Batch schedules, in minutes
pytestmark = [
    pytest.mark.skipif(not PROJECT, reason="JIT_GCP_PROJECT names no project of Google Cloud to try this in"),
    pytest.mark.skipif(not IMAGE, reason="JIT_GCP_IMAGE names no image that jit-deploy image made"),
]


def test_up_a_shot_on_two_nodes_down_and_nothing_is_left_over(tmp_path: Path) -> None:
    name = f"jit-test-{uuid.uuid4().hex[:8]}"
    bucket = f"{PROJECT[:30]}-{name}"
    house = House(tmp_path, store_url=f"gs://{bucket}").build()
    gcp = {
        "project": PROJECT,
        "name": name,
        "region": REGION,
        "nodes": 2,
        **dict.fromkeys(("assets", "outputs", "state"), bucket),
        "network": name,
        "subnetwork": f"{name}-{REGION}",
        "account": f"{name}-node@{PROJECT}.iam.gserviceaccount.com",
        "image": IMAGE,
    }
    try:
        up_and_submit(house, gcp, frames=4, wait_seconds=A_CLOUD_SECONDS)
        bill = house.run("jit-render", "cost", "latest", "--json", timeout=A_CLOUD_SECONDS)
        assert bill.returncode == 0, bill.stderr
        end_studio(house, wait_seconds=A_CLOUD_SECONDS)
    finally:
        house.run("jit-deploy", "down", "--yes", "--buckets", "--confirm", name, timeout=A_CLOUD_SECONDS)
