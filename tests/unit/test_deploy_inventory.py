"""What still costs, and its end: VMs, disks, images, snapshots, addresses, templates; buckets are kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy_kit import bring_all_up, cloud_for, take_down

from gcp_deploy.inventory import kept, leftovers, unpriced
from jit_render.model.errors import CloudDenied, ConfigError
from jit_render.testing.fake_cloud import FakeCloud

ZONE = "zones/us-central1-b"
MINE = {"jit-render": "jit-render"}


@pytest.fixture
def fake(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCloud]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with FakeCloud("studio-one", enabled=["compute.googleapis.com"]) as cloud:
        yield cloud


def litter(fake: FakeCloud, labels: dict[str, str]) -> None:
    """What a project looks like after a bad week."""
    put = fake.compute.put
    tail = labels["jit-render"]
    scratch = [{"type": "SCRATCH", "interface": "NVME"}]
    machine = f"projects/studio-one/{ZONE}/machineTypes/n2d-standard-8"
    spot = {"provisioningModel": "SPOT"}
    put(
        "instances",
        ZONE,
        f"vm-{tail}",
        labels=labels,
        status="RUNNING",
        machineType=machine,
        scheduling=spot,
        disks=scratch,
    )
    put("instances", ZONE, f"off-{tail}", labels=labels, status="TERMINATED", machineType=machine)
    put("disks", ZONE, f"disk-{tail}", labels=labels, sizeGb="500", type="zones/x/diskTypes/pd-ssd")
    put("images", "global", f"image-{tail}", labels=labels, archiveSizeBytes=str(20 * 1024**3))
    put("snapshots", "global", f"snap-{tail}", labels=labels, storageBytes=str(40 * 1024**3))
    put("addresses", "regions/us-central1", f"ip-{tail}", labels=labels, addressType="EXTERNAL", address="203.0.113.7")


def test_everything_with_our_label_is_listed_with_dollars_and_the_command_that_ends_it(fake: FakeCloud) -> None:
    litter(fake, MINE)
    litter(fake, {"jit-render": "another"})
    items = {item.name: item for item in leftovers(cloud_for(fake))}
    ours = ["disk", "image", "ip", "off", "snap", "vm"]
    assert sorted(items) == sorted(f"{name}-jit-render" for name in ours)
    dollars = {name: items[f"{name}-jit-render"].usd_month for name in ours}
    spot_with_ssd = pytest.approx(0.0978 * 730 + 375 * 0.0428)
    no_price = {"image": None, "ip": None, "snap": None}  # the package's table has no source for them
    assert dollars == {"disk": pytest.approx(85.0), "off": 0.0, "vm": spot_with_ssd, **no_price}
    assert unpriced(list(items.values())) == ", and 3 whose price is unknown"
    assert items["vm-jit-render"].command == (
        "gcloud compute instances delete vm-jit-render --zone=us-central1-b --project=studio-one"
    )


def test_a_table_of_the_studios_own_prices_images_snapshots_and_addresses(fake: FakeCloud, tmp_path: Path) -> None:
    folder = tmp_path / "jit-render" / "prices"
    folder.mkdir(parents=True)
    rates = "[rates]\nimage = 0.5\nsnapshot = 0.25\naddress_hour = 1\n"
    text = f'region = "us-central1"\ndate = 2026-11-01\nsource = "the price page of the day"\n{rates}'
    (folder / "us-central1-2026-11-01.toml").write_text(text)
    litter(fake, MINE)
    dollars = {item.kind: item.usd_month for item in leftovers(cloud_for(fake))}
    assert (dollars["image"], dollars["snapshot"], dollars["address"]) == (10.0, 10.0, 730.0)


def test_down_ends_it_all_and_nothing_of_others(fake: FakeCloud) -> None:
    cloud = cloud_for(fake)
    bring_all_up(cloud)
    litter(fake, MINE)
    litter(fake, {"jit-render": "another"})
    take_down(cloud)
    assert leftovers(cloud) == []
    assert {name.rpartition("-")[2] for _, _, name in fake.compute.things} == {"another"}


def test_disks_of_a_region_and_global_addresses_end_too(fake: FakeCloud) -> None:
    fake.compute.put("disks", "regions/us-central1", "mirror", labels=MINE, sizeGb="10", type="x/diskTypes/pd-ssd")
    fake.compute.put("addresses", "global", "anycast", labels=MINE, addressType="EXTERNAL", address="203.0.113.8")
    commands = {item.name: item.command for item in leftovers(cloud_for(fake))}
    assert "disks delete mirror --region=us-central1 " in commands["mirror"]
    assert "addresses delete anycast --global " in commands["anycast"]
    take_down(cloud_for(fake))
    assert fake.compute.things == {}


def test_a_name_that_would_widen_the_filter_of_what_is_deleted_is_refused_first(fake: FakeCloud) -> None:
    litter(fake, {"jit-render": "another"})
    there = dict(fake.compute.things)
    cloud = cloud_for(fake, name="x OR labels.jit-render=another")
    for act in (leftovers, take_down):
        with pytest.raises(ConfigError, match=r"gcp\.name"):
            act(cloud)
    assert fake.compute.things == there


def test_things_in_a_region_without_prices_are_listed_all_the_same() -> None:
    with FakeCloud("studio-one", enabled=["compute.googleapis.com"], regions=["europe-west4"]) as fake:
        litter(fake, MINE)
        found = {item.kind: item.usd_month for item in leftovers(cloud_for(fake, region="europe-west4"))}
    assert found["disk"] is None
    assert found["image"] is None


def test_buckets_are_told_with_what_they_hold_and_what_it_costs(fake: FakeCloud) -> None:
    cloud = cloud_for(fake)
    bring_all_up(cloud)
    fake.gcs.put("studio-outputs", "renders/a.exr", bytes(1 << 20))
    fake.gcs.put("studio-state", "jobs/no-job/rest", b"x")
    items = kept(cloud)
    assert [(item.name, item.detail) for item in items] == [
        ("gs://studio-assets", "0 objects"),
        ("gs://studio-outputs", "1 objects"),
        ("gs://studio-state", "1 objects"),
    ]
    assert items[1].usd_month == pytest.approx(0.02 / 1024)


def test_down_with_buckets_ends_those_that_we_made(fake: FakeCloud) -> None:
    cloud = cloud_for(fake)
    bring_all_up(cloud)
    fake.gcs.put("studio-outputs", "renders/a.exr", b"x")
    take_down(cloud, buckets=True)
    assert fake.gcs.objects_model.buckets() == []
    assert kept(cloud) == []


def test_a_project_where_nothing_was_ever_switched_on_has_nothing_left_over() -> None:
    with FakeCloud("studio-one") as fake:
        cloud = cloud_for(fake)
        assert leftovers(cloud) == kept(cloud) == []
        assert take_down(cloud) == []


def test_a_refusal_is_no_empty_list(fake: FakeCloud) -> None:
    fake.denied.add("compute.instances.list")
    with pytest.raises(CloudDenied, match=r"compute\.instances\.list"):
        leftovers(cloud_for(fake))
