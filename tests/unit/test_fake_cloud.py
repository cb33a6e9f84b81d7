"""The fake project refuses what Google Cloud refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from deploy_kit import cloud_for

from gcp_deploy.access import Cloud
from gcp_deploy.apis import NEEDED
from gcp_deploy.operations import insert
from jit_render.model.errors import CloudConflict, CloudDenied, CloudError, CloudNotFound
from jit_render.testing.fake_cloud import FakeCloud

PROJECT = "/v3/projects/studio-one"
CONDITION = {"title": "below a", "expression": 'resource.name.startsWith("a")'}


@pytest.fixture
def fake() -> Iterator[FakeCloud]:
    with FakeCloud("studio-one", enabled=NEEDED) as cloud:
        yield cloud


@pytest.fixture
def cloud(fake: FakeCloud) -> Cloud:
    return cloud_for(fake)


def _set(cloud: Cloud, **policy: object) -> dict[str, object]:
    return cloud.rest("cloudresourcemanager", "POST", f"{PROJECT}:setIamPolicy", {"policy": policy})


def test_an_api_that_is_off_answers_nothing() -> None:
    with FakeCloud("studio-one") as fake, pytest.raises(CloudDenied, match="has not been used"):
        cloud_for(fake).rest("iam", "GET", "/v1/projects/studio-one/serviceAccounts/a@b")


def test_an_operation_is_pending_before_it_is_done(fake: FakeCloud, cloud: Cloud) -> None:
    operation = cloud.compute("Networks").insert_unary(project="studio-one", network_resource={"name": "net"})
    assert operation.status.name == "PENDING"
    assert fake.compute.names("networks") == []
    wait = cloud.compute("GlobalOperations").wait
    assert wait(project="studio-one", operation=operation.name).status.name == "RUNNING"
    assert wait(project="studio-one", operation=operation.name).status.name == "DONE"
    assert fake.compute.names("networks") == ["net"]


def test_an_operation_that_nobody_waits_for_goes_on(fake: FakeCloud, cloud: Cloud) -> None:
    cloud.compute("Networks").insert_unary(project="studio-one", network_resource={"name": "net"})
    insert(cloud, "network net", "Networks", network_resource={"name": "net"})
    assert fake.compute.names("networks") == ["net"]


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("Networks", {"network_resource": {"name": "Bad_Name"}}, "resource.name"),
        ("Firewalls", {"firewall_resource": {"name": "f", "network": "global/networks/none"}}, "cannot be found"),
        ("InstanceTemplates", {"instance_template_resource": {"name": "t", "properties": {}}}, "machineType"),
        ("Images", {"image_resource": {"name": "i", "labels": {"a": "Upper"}}}, "Invalid label"),
    ],
)
def test_a_bad_resource_is_refused(cloud: Cloud, kind: str, fields: dict[str, object], message: str) -> None:
    with pytest.raises(CloudError, match=message):
        insert(cloud, "it", kind, **fields)


def test_a_stale_etag_is_a_conflict(cloud: Cloud) -> None:
    etag = _set(cloud, bindings=[])["etag"]
    _set(cloud, bindings=[], etag=etag)
    with pytest.raises(CloudConflict, match="concurrent"):
        _set(cloud, bindings=[], etag=etag)


def test_conditions_need_version_3(cloud: Cloud) -> None:
    binding = {"role": "roles/viewer", "members": ["user:a@b.example"], "condition": CONDITION}
    with pytest.raises(CloudError, match="version 3"):
        _set(cloud, version=1, bindings=[binding])
    _set(cloud, version=3, bindings=[binding])
    old = cloud.rest("cloudresourcemanager", "POST", f"{PROJECT}:getIamPolicy")
    with pytest.raises(CloudError, match="_withcond_"):
        _set(cloud, **old)


def test_a_new_account_is_not_known_everywhere_at_once(cloud: Cloud) -> None:
    folder = "/v1/projects/studio-one/serviceAccounts"
    cloud.rest("iam", "POST", folder, {"accountId": "nodes-of-it"})
    with pytest.raises(CloudConflict):
        cloud.rest("iam", "POST", folder, {"accountId": "nodes-of-it"})
    member = "serviceAccount:nodes-of-it@studio-one.iam.gserviceaccount.com"
    bindings = [{"role": "roles/viewer", "members": [member]}]
    with pytest.raises(CloudError, match="does not exist"):
        _set(cloud, bindings=bindings)
    _set(cloud, bindings=bindings)


def test_a_bucket_takes_soft_delete_of_none_or_a_week_and_more_and_goes_only_empty(
    fake: FakeCloud, cloud: Cloud
) -> None:
    from google.api_core.exceptions import BadRequest, Conflict

    bucket = cloud.buckets.bucket("studio-x")
    bucket.soft_delete_policy.retention_duration_seconds = 3600
    with pytest.raises(BadRequest, match="7 to 90 days"):
        cloud.buckets.create_bucket(bucket)
    bucket.soft_delete_policy.retention_duration_seconds = 0
    cloud.buckets.create_bucket(bucket)
    fake.gcs.put("studio-x", "a", b"a")
    with pytest.raises(Conflict, match="not empty"):
        bucket.delete(retry=None)


def test_a_network_in_use_stays(cloud: Cloud) -> None:
    insert(cloud, "n", "Networks", network_resource={"name": "net"})
    rule = {"name": "f", "network": "projects/studio-one/global/networks/net", "denied": [{"I_p_protocol": "all"}]}
    insert(cloud, "f", "Firewalls", firewall_resource=rule)
    from google.api_core.exceptions import BadRequest

    with pytest.raises(BadRequest, match="already being used"):
        cloud.compute("Networks").delete_unary(project="studio-one", network="net")


def test_what_is_not_there_is_not_found(cloud: Cloud) -> None:
    with pytest.raises(CloudNotFound):
        cloud.rest("iam", "GET", "/v1/projects/studio-one/serviceAccounts/nobody@studio-one.iam.gserviceaccount.com")
