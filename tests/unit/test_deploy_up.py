"""jit-deploy up and down against the fake project: made once, mended, resumed after any kill, gone in the end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy_kit import NODE, Killed, bring_all_up, cloud_for, recording, settings_for, take_down, tidy, to_do

from gcp_deploy.access import Cloud
from gcp_deploy.blueprint import blueprint
from gcp_deploy.inventory import kept, leftovers
from jit_render.model.errors import CloudDenied, CloudError, CloudUnavailable, ConfigError
from jit_render.testing.fake_clock import FakeClock
from jit_render.testing.fake_cloud import FakeCloud
from jit_render.testing.gcs_model import ApiError

GOLDEN = Path(__file__).parent / "golden" / "deploy_up.json"


@pytest.fixture
def fake() -> Iterator[FakeCloud]:
    with FakeCloud("studio-one") as cloud:
        yield cloud


def test_what_is_up_is_planned_no_more_and_after_down_nothing_is_left_over(fake: FakeCloud) -> None:
    cloud = cloud_for(fake)
    bring_all_up(cloud)
    assert to_do(cloud) == {}
    assert [item.kind for item in leftovers(cloud)] == ["template"]
    ended = take_down(cloud)
    assert leftovers(cloud) == []
    assert fake.compute.things == {}
    assert fake.accounts.accounts == {}
    assert fake.projects.policy.bindings == []
    assert len(ended) == 10
    assert [item.name for item in kept(cloud)] == ["gs://studio-assets", "gs://studio-outputs", "gs://studio-state"]
    assert take_down(cloud) == []


def test_up_twice_changes_nothing_the_second_time(fake: FakeCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = cloud_for(fake)
    bring_all_up(cloud)
    with recording(monkeypatch) as recorder:
        bring_all_up(cloud)
    assert recorder.changes == []


def test_the_requests_of_up_are_those_that_were_reviewed(fake: FakeCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """With JIT_GOLDEN=write the file is written anew, for review."""
    with recording(monkeypatch) as recorder:
        bring_all_up(cloud_for(fake))
    spelled = json.dumps(tidy(recorder.changes), indent=1, sort_keys=True) + "\n"
    if os.environ.get("JIT_GOLDEN") == "write":
        GOLDEN.write_text(spelled)
    assert spelled == GOLDEN.read_text()


def test_a_run_that_is_killed_after_any_request_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed when the service has acted and nobody heard of it: the harshest place."""
    total = len(json.loads(GOLDEN.read_text()))
    for number in range(1, total + 1):
        with FakeCloud("studio-one") as fake:
            with recording(monkeypatch, dies_after=number), pytest.raises(Killed):
                bring_all_up(cloud_for(fake))
            again = cloud_for(fake)
            bring_all_up(again)
            assert to_do(again) == {}, number
            assert len(fake.compute.things) == 4, number
            assert len(fake.accounts.accounts) == 1, number
            members = sorted(tuple(binding["members"]) for binding in fake.projects.policy.bindings)
            assert members == [("group:lighting@studio.example",), *[(NODE,)] * 3], number


def test_a_down_that_is_killed_after_any_request_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    number, ended = 0, False
    while not ended:
        number += 1
        with FakeCloud("studio-one") as fake:
            bring_all_up(cloud_for(fake))
            try:
                with recording(monkeypatch, dies_after=number):
                    take_down(cloud_for(fake))
                ended = True
            except Killed:
                take_down(cloud_for(fake))
            assert fake.compute.things == {}, number
            assert fake.accounts.accounts == {}, number
    assert number > 8


def test_nodes_have_the_least_roles_and_no_other(fake: FakeCloud) -> None:
    bring_all_up(cloud_for(fake))
    on_project = {binding["role"] for binding in fake.projects.policy.bindings if NODE in binding["members"]}
    assert on_project == {"roles/batch.agentReporter", "roles/logging.logWriter", "roles/artifactregistry.reader"}
    assert _bucket_roles(fake, "studio-assets") == {("roles/storage.objectViewer", "")}
    begin = 'resource.name.startsWith("projects/_/buckets/'
    assert _bucket_roles(fake, "studio-outputs") == {
        ("roles/storage.objectViewer", ""),
        ("roles/storage.objectUser", f'{begin}studio-outputs/objects/renders/")'),
    }
    jobs, scratch = (f'{begin}studio-state/objects/{name}/")' for name in ("jobs", "scratch"))
    assert _bucket_roles(fake, "studio-state") == {
        ("roles/storage.objectViewer", ""),
        ("roles/storage.objectUser", f"{jobs} || {scratch}"),
    }
    submitters = [each["role"] for each in fake.projects.policy.bindings if "group:" in each["members"][0]]
    assert submitters == ["roles/batch.jobsEditor"]


def test_what_somebody_granted_the_nodes_beyond_the_least_is_told_and_taken_back(fake: FakeCloud) -> None:
    cloud = cloud_for(fake)
    bring_all_up(cloud)
    policy = fake.projects.policy
    policy.bindings.append({"role": "roles/editor", "members": [NODE, "user:ann@studio.example"]})
    assert to_do(cloud) == {"roles project studio-one": ("roles/editor for the nodes is more than they need",)}
    bring_all_up(cloud)
    assert [each["members"] for each in policy.bindings if each["role"] == "roles/editor"] == [
        ["user:ann@studio.example"]
    ]


def test_a_policy_that_others_change_meanwhile_keeps_their_change(
    fake: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = cloud_for(fake)
    fake.services.enabled.update(f"{name}.googleapis.com" for name in ("compute", "iam", "batch", "logging"))
    first = True

    def meanwhile(method: str, path: str) -> ApiError | None:
        nonlocal first
        if path.endswith(":setIamPolicy") and first:
            first = False
            fake.projects.policy.bindings.append({"role": "roles/viewer", "members": ["user:bob@studio.example"]})
            fake.projects.policy.edition += 1
        return None

    fake.broken = meanwhile
    bring_all_up(cloud)
    roles = [binding["role"] for binding in fake.projects.policy.bindings]
    assert "roles/viewer" in roles
    assert "roles/batch.agentReporter" in roles


def test_what_drifted_is_shown_and_mended(fake: FakeCloud) -> None:
    cloud = cloud_for(fake)
    bring_all_up(cloud)
    fake.compute.things["subnetworks", "regions/us-central1", "jit-render-us-central1"]["privateIpGoogleAccess"] = False
    fake.compute.things["firewalls", "global", "jit-render-no-ingress"]["disabled"] = True
    fake.gcs.objects_model.bucket("studio-state").settings["softDeletePolicy"] = {"retentionDurationSeconds": "604800"}
    assert to_do(cloud) == {
        "bucket gs://studio-state": ("soft delete seconds is 604800, should be 0",),
        "subnet jit-render-us-central1": ("private_ip_google_access is false, should be true",),
        "firewall jit-render-no-ingress": ("disabled is true, should be false",),
    }
    bring_all_up(cloud)
    assert to_do(cloud) == {}


def test_another_machine_is_another_template_and_the_old_one_goes(fake: FakeCloud) -> None:
    bring_all_up(cloud_for(fake))
    before = fake.compute.names("instanceTemplates")
    bring_all_up(cloud_for(fake, machine="c2d-standard-16"))
    after = fake.compute.names("instanceTemplates")
    assert len(after) == 1
    assert after != before


def test_a_bucket_and_a_network_of_the_studios_own_are_used_and_left_as_they_are() -> None:
    with FakeCloud("studio-one", buckets=["studio-assets"], enabled=["compute.googleapis.com"]) as fake:
        fake.compute.put("networks", "global", "studio-net")
        fake.compute.put("subnetworks", "regions/us-central1", "studio-sub", network="global/networks/studio-net")
        cloud = cloud_for(fake, network="studio-net", subnetwork="studio-sub")
        bring_all_up(cloud)
        assert fake.compute.names("networks") == ["studio-net"]
        assert fake.gcs.objects_model.bucket("studio-assets").settings == {}
        ended = take_down(cloud, buckets=True)
        assert fake.gcs.objects_model.buckets() == ["studio-assets"]
        assert "bucket gs://studio-state" in ended
        assert fake.compute.names("networks") == ["studio-net"]


def test_a_network_of_our_name_that_somebody_else_made_is_neither_used_nor_removed(fake: FakeCloud) -> None:
    fake.services.enabled.add("compute.googleapis.com")
    fake.compute.put("networks", "global", "jit-render", description="the whole studio", autoCreateSubnetworks=False)
    cloud = cloud_for(fake)
    with pytest.raises(CloudError, match=r"network jit-render .*not made by us; choose another gcp\.name"):
        bring_all_up(cloud)
    take_down(cloud)
    assert fake.compute.names("networks") == ["jit-render"]


def test_a_refusal_names_the_thing_and_stops(fake: FakeCloud) -> None:
    fake.denied.add("compute.networks.create")
    cloud = cloud_for(fake)
    with pytest.raises(CloudDenied, match=r"network jit-render: .*compute.networks.create.*doctor"):
        bring_all_up(cloud)
    fake.denied.clear()
    bring_all_up(cloud)
    assert to_do(cloud) == {}


def test_a_service_that_is_down_for_a_moment_is_asked_again(fake: FakeCloud) -> None:
    failures = iter([ApiError(503, "backendError", "Try again.")] * 2)
    fake.broken = lambda method, path: next(failures, None) if method == "GET" and "/services" in path else None
    cloud = cloud_for(fake)
    assert to_do(cloud)
    fake.broken = lambda method, path: ApiError(503, "backendError", "Try again.")
    with pytest.raises(CloudUnavailable, match=r"(?i)run it again"):
        to_do(cloud)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("project", "Studio"),
        ("project", "a/../b"),
        ("name", "x" * 40),
        ("name", 'jit"render'),
        ("name", "jit render\n"),
        ("region", "us-central1/../x"),
        ("zones", ["europe-west4-a"]),
        ("assets", "gs://studio"),
        ("outputs", "google-studio"),
        ("state", ""),
        ("machine", "n2d standard"),
        ("licence", "licence.studio.example"),
        ("account", "nobody"),
        ("network", "render; rm -rf /"),
        ("subnetwork", "$(id)"),
        ("image", "family/x y"),
        ("submitters", ["allUsers"]),
        ("submitters", ["ann@studio.example"]),
        ("node_gizmo_path", ["/a:/b"]),
        ("nuke", "/tmp/nuke.tgz"),
    ],
)
def test_a_name_that_cannot_be_is_refused_before_anything_is_asked(fake: FakeCloud, key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"gcp.{key}"):
        blueprint(cloud_for(fake, **{key: value}))
    assert fake.count("GET") == fake.count("POST") == 0


def test_a_prefix_with_a_quote_stays_inside_its_condition(fake: FakeCloud) -> None:
    settings = settings_for(fake)
    paths = [{"prefix": "/mnt/out", "target": 'gs://studio-outputs/a") || true || ("b', "mode": "write"}]
    hostile = type(settings).model_validate({**settings.model_dump(), "paths": paths})
    bring_all_up(Cloud(hostile, FakeClock()))
    expressions = {expression for _, expression in _bucket_roles(fake, "studio-outputs")} - {""}
    assert expressions == {
        'resource.name.startsWith("projects/_/buckets/studio-outputs/objects/a\\") || true || (\\"b/")'
    }


def test_a_bucket_name_that_is_taken_elsewhere_is_told(fake: FakeCloud) -> None:
    fake.gcs.create_bucket("studio-state")
    fake.gcs.deny("studio-state")
    with pytest.raises(CloudError, match="gs://studio-state"):
        bring_all_up(cloud_for(fake))


def _bucket_roles(fake: FakeCloud, bucket: str) -> set[tuple[str, str]]:
    bindings = fake.gcs.objects_model.bucket(bucket).policy["bindings"]
    return {
        (binding["role"], binding.get("condition", {}).get("expression", ""))
        for binding in bindings
        if NODE in binding["members"]
    }
