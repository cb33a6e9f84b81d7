"""What Google Batch is asked for. The golden files are for people: a change of a request shows in review.

After a wanted change: ``JIT_RENDER_WRITE_GOLDEN=1 pytest tests/unit/test_batch_request.py``, and read the difference.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from batch_kit import GCP, spec
from google.cloud import batch_v1

from gcp_deploy.batch.labels import label_value
from gcp_deploy.batch.request import RETRIED, RoundPlan, batch_id, batch_request, node_environment, request_id
from gcp_deploy.batch.service import agrees, as_proto, as_request
from jit_render.cli.config import environment_layer
from jit_render.model.errors import CloudError, ConfigError
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import Settings, resolve
from jit_render.testing.fake_batch import REGIONS
from jit_render.testing.fake_batch_rules import check_request

GOLDEN = Path(__file__).parent / "golden"
HOME = ObjectUrl.parse("gs://studio-state/jit-render/jobs/sh010-comp-1f3a99c0")
KINDS: dict[str, dict[str, Any]] = {
    "spot": {},
    "on-demand": {"provisioning": "standard", "zones": [], "nodes": 100},
    "no-local-ssd": {"machine": "e2-standard-8", "local_ssds": 0, "network": "", "subnetwork": "", "account": ""},
    "included-ssds": {"machine": "c3-standard-8-lssd"},
    "striped": {"machine": "n2-highmem-16", "local_ssds": 4, "network": "projects/host/global/networks/shared"},
}


def request(*, tasks: int = 40, number: int = 1, **gcp: Any) -> dict[str, Any]:
    settings = Settings.model_validate({"gcp": {**GCP, **gcp}})
    return batch_request(settings, RoundPlan(HOME, spec(), number, tasks))


@pytest.mark.parametrize("kind", KINDS)
def test_the_request_is_the_reviewed_one(kind: str) -> None:
    text = json.dumps(request(**KINDS[kind]), indent=1) + "\n"
    path = GOLDEN / f"batch-{kind}.json"
    if os.environ.get("JIT_RENDER_WRITE_GOLDEN"):
        path.write_text(text)

    assert text == path.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_the_request_is_in_the_installed_protos_and_survives_them(kind: str) -> None:
    asked = request(**KINDS[kind])
    proto = as_proto(asked)
    again = batch_v1.Job.deserialize(batch_v1.Job.serialize(proto))

    assert agrees(asked, as_request(again))
    assert as_proto(as_request(again)) == proto


@pytest.mark.parametrize("kind", KINDS)
def test_the_service_takes_the_request(kind: str) -> None:
    check_request(
        batch_v1.CreateJobRequest(
            parent="projects/studio/locations/us-central1",
            job_id=batch_id("sh010-comp-1f3a99c0", HOME, 1),
            job=as_proto(request(**KINDS[kind])),
            request_id=request_id(HOME, 1),
        ),
        REGIONS,
    )


def test_a_field_that_the_library_does_not_know_is_an_error_and_not_left_out() -> None:
    with pytest.raises(CloudError, match="does not know"):
        as_proto({**request(), "colour": "blue"})


def test_a_job_of_a_hundred_thousand_tasks_is_as_small_as_one_of_forty() -> None:
    assert len(json.dumps(request(tasks=100_000))) - len(json.dumps(request())) < 20
    with pytest.raises(ConfigError, match="larger --chunk"):
        request(tasks=100_001)


def test_what_the_machines_fault_is_is_tried_again_and_nothing_else() -> None:
    spec_ = request()["taskGroups"][0]["taskSpec"]

    assert spec_["maxRetryCount"] == 10
    assert spec_["lifecyclePolicies"] == [{"action": "RETRY_TASK", "actionCondition": {"exitCodes": list(RETRIED)}}]
    assert set(RETRIED) == {50001, 50002, 50003, 50004, 50006, 75}


@pytest.mark.parametrize(
    ("gcp", "said"),
    [
        ({"machine": "e2-standard-8"}, "takes no local SSD"),
        ({"machine": "big one"}, "is no machine type"),
    ],
)
def test_a_machine_that_cannot_be_is_refused_with_the_way_out(gcp: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        request(**gcp)


def test_local_ssds_that_are_part_of_the_machine_are_not_asked_for_again() -> None:
    asked = request(machine="c3-standard-8-lssd", local_ssds=2)
    task = asked["taskGroups"][0]["taskSpec"]

    assert "disks" not in asked["allocationPolicy"]["instances"][0]["policy"]
    assert "volumes" not in task
    assert task["environment"]["variables"]["JIT_RENDER_CACHE_ROOT"] == "/mnt/disks/cache/jit-render"


def test_a_machine_that_takes_no_fewer_local_ssds_gets_its_least() -> None:
    asked = request(machine="n2-standard-16", local_ssds=1)

    disk = asked["allocationPolicy"]["instances"][0]["policy"]["disks"][0]["newDisk"]
    assert disk == {"type": "local-ssd", "sizeGb": "750"}


def test_nodes_have_a_nuke_and_gizmos_of_their_own_and_not_this_machines() -> None:
    here = {"nuke": "/home/ann/Nuke15.1", "gizmo_path": ["/home/ann/gizmos"]}
    there = {"node_nuke": "15.1", "node_gizmo_path": ["/opt/nuke/gizmos", "/opt/show"]}
    plan = RoundPlan(HOME, spec(), 1, 4)

    told = node_environment(Settings.model_validate({"gcp": {**GCP, **there}, "render": here}), plan)
    layer = environment_layer({key: value for key, value in told.items() if "_RENDER_" in key[4:]})
    on_node = resolve([layer]).settings.render
    assert (on_node.nuke, on_node.gizmo_path) == ("15.1", ("/opt/nuke/gizmos", "/opt/show"))
    assert "ann" not in " ".join(node_environment(Settings.model_validate({"gcp": GCP, "render": here}), plan).values())


def test_names_follow_from_the_folder_and_the_round() -> None:
    long = "a" * 63
    other = ObjectUrl.parse("gs://other/jobs/sh010-comp-1f3a99c0")

    assert batch_id("sh010", HOME, 1) == batch_id("sh010", HOME, 1)
    assert len({batch_id("sh010", home, number) for home in (HOME, other) for number in (1, 2)}) == 4
    assert len(batch_id(long, HOME, 123)) <= 63
    assert request_id(HOME, 1) == request_id(HOME, 1) != request_id(HOME, 2)


@pytest.mark.parametrize(
    ("text", "label"),
    [("Élodie R.", "lodie-r"), ("SH010_comp", "sh010_comp"), ("x" * 80, "x" * 63), ("..", "")],
)
def test_labels_are_what_google_takes(text: str, label: str) -> None:
    assert label_value(text) == label
