"""What a deployment costs while nobody renders: everything with its label, with dollars a month and the way to end it.

Two lists. *Leftovers* cost and are of no use once the work is done: Batch jobs that still run, VMs, disks, images,
snapshots, reserved addresses (and templates, which are free but make new VMs). *Kept* is what holds data: buckets, and
in the state bucket the folder of each finished job. ``down`` ends the first list only; nothing of the second goes
without being named.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from gcp_deploy.access import Cloud, is_off, translated
from gcp_deploy.naming import check_deployment
from gcp_deploy.prices import user_prices
from jit_render.cost import HOURS_PER_MONTH, Prices
from jit_render.model.errors import CloudDenied, CloudNotFound, ConfigError

_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Item:
    """One thing. `usd_month` None: no price is known. `command` ends it."""

    kind: str
    name: str
    place: str
    detail: str
    usd_month: float | None
    command: str


def leftovers(cloud: Cloud) -> list[Item]:
    """Everything labelled that is no bucket. Raises CloudError."""
    try:
        prices: Prices | None = user_prices(cloud.gcp.region)
    except ConfigError:
        prices = None  # the things are listed all the same, without dollars
    return [
        *_batch_jobs(cloud),
        *_machines(cloud, prices),
        *_disks(cloud, prices),
        *_stored(cloud, prices, "Images", "archive_size_bytes"),
        *_stored(cloud, prices, "Snapshots", "storage_bytes"),
        *_addresses(cloud, prices),
        *_templates(cloud),
    ]


def batch_jobs(cloud: Cloud) -> list[Any]:
    """Jobs of Google Batch with our label that are not over; Batch would start their VMs again and again."""
    from gcp_deploy.batch.service import BatchService

    if cloud.gcp.compute_endpoint and not cloud.gcp.endpoint:
        return []  # a stand-in for the other services, and none for Batch
    service = BatchService(cloud.gcp, cloud.clock)
    try:
        jobs = service.jobs(f"projects/{cloud.project}/locations/{cloud.gcp.region}")
    except CloudDenied as error:
        if is_off(error):
            return []
        raise
    finally:
        service.close()
    return [job for job in jobs if job.is_active and job.request.get("labels", {}).get("jit-render") == cloud.gcp.name]


def labelled(cloud: Cloud, kind: str) -> Iterator[Any]:
    """All things of `kind` (a client's name) in any zone or region that carry our label. Raises also ConfigError."""
    check_deployment(cloud.gcp)
    try:
        yield from _labelled(cloud, kind)
    except CloudDenied as error:
        if not is_off(error):
            raise


def _labelled(cloud: Cloud, kind: str) -> Iterator[Any]:
    request = {"project": cloud.project, "filter": f"labels.jit-render={cloud.gcp.name}"}
    with translated(kind.lower()):
        if kind in {"Images", "Snapshots"}:
            yield from cloud.compute(kind).list(request=request)
            return
        for _, scoped in cloud.compute(kind).aggregated_list(request=request):
            yield from getattr(scoped, kind.lower(), ())


def templates(cloud: Cloud) -> list[Any]:
    """Our templates; their labels are inside, where no filter looks."""
    try:
        with translated("templates"):
            every = list(cloud.compute("InstanceTemplates").list(project=cloud.project))
    except CloudDenied as error:
        if is_off(error):
            return []
        raise
    return [each for each in every if dict(each.properties.labels).get("jit-render") == cloud.gcp.name]


def _batch_jobs(cloud: Cloud) -> Iterator[Item]:
    for job in batch_jobs(cloud):
        short = job.name.rpartition("/")[2]
        command = f"gcloud batch jobs delete {short} --location={cloud.gcp.region} --project={cloud.project}"
        yield Item("Batch job", short, cloud.gcp.region, job.state.lower(), None, command)


def _machines(cloud: Cloud, prices: Prices | None) -> Iterator[Item]:
    for each in labelled(cloud, "Instances"):
        machine, zone = _last(each.machine_type), _last(each.zone)
        spot = each.scheduling.provisioning_model == "SPOT"
        runs = each.status not in {"TERMINATED", "SUSPENDED"}
        ssds = sum(1 for disk in each.disks if disk.type_ == "SCRATCH")
        hour = _hour(prices, machine, "spot" if spot else "standard", ssds) if runs else 0.0
        detail = f"{machine}, {'spot' if spot else 'on demand'}, {each.status.lower()}"
        command = f"gcloud compute instances delete {each.name} --zone={zone} --project={cloud.project}"
        yield Item("VM", each.name, zone, detail, None if hour is None else hour * HOURS_PER_MONTH, command)


def _disks(cloud: Cloud, prices: Prices | None) -> Iterator[Item]:
    for each in labelled(cloud, "Disks"):
        where, kind = _last(each.zone or each.region), _last(each.type_) or "pd-standard"
        rate = prices.rates.get(kind.replace("-", "_")) if prices else None
        scope = "zone" if each.zone else "region"
        command = f"gcloud compute disks delete {each.name} --{scope}={where} --project={cloud.project}"
        detail = f"{each.size_gb} GiB {kind}{', attached' if each.users else ''}"
        yield Item("disk", each.name, where, detail, None if rate is None else rate * each.size_gb, command)


def _stored(cloud: Cloud, prices: Prices | None, client: str, size_field: str) -> Iterator[Item]:
    words = client.lower()
    rate = prices.rates.get(words.removesuffix("s")) if prices else None
    for each in labelled(cloud, client):
        size = int(getattr(each, size_field) or each.disk_size_gb * _GIB)
        command = f"gcloud compute {words} delete {each.name} --project={cloud.project}"
        detail = f"{size / _GIB:.1f} GiB"
        yield Item(words.removesuffix("s"), each.name, "global", detail, _stored_usd(size, rate), command)


def _addresses(cloud: Cloud, prices: Prices | None) -> Iterator[Item]:
    rate = prices.rates.get("address_hour") if prices else None
    for each in labelled(cloud, "Addresses"):
        where = _last(each.region)
        scope = f"--region={where}" if where else "--global"
        costs = each.address_type != "INTERNAL"
        command = f"gcloud compute addresses delete {each.name} {scope} --project={cloud.project}"
        usd = 0.0 if not costs else None if rate is None else rate * HOURS_PER_MONTH
        yield Item("address", each.name, where or "global", each.address or "reserved", usd, command)


def _templates(cloud: Cloud) -> Iterator[Item]:
    for each in templates(cloud):
        command = f"gcloud compute instance-templates delete {each.name} --project={cloud.project}"
        yield Item("template", each.name, "global", _last(each.properties.machine_type), 0.0, command)


def kept(cloud: Cloud) -> list[Item]:
    """Our buckets and, in the state bucket, the folders of jobs, each with what it holds."""
    try:
        prices = user_prices(cloud.gcp.region)
        rate: float | None = prices.rate("storage_regional")
    except ConfigError:
        rate = None
    gcp = cloud.gcp
    items: list[Item] = []
    for name in dict.fromkeys(each for each in (gcp.assets, gcp.outputs, gcp.state) if each):
        items += _bucket(cloud, name, rate)
    return items


def _bucket(cloud: Cloud, name: str, rate: float | None) -> Iterator[Item]:
    """The bucket as a whole, then its jobs."""
    total, count = 0, 0
    jobs: dict[str, int] = {}
    prefix = cloud.settings.job.state.removeprefix(f"gs://{name}").strip("/")
    begins = f"{prefix}/jobs/" if prefix else "jobs/"
    try:
        with translated(f"gs://{name}"):
            for blob in cloud.buckets.list_blobs(name, fields="items(name,size),nextPageToken"):
                total, count = total + blob.size, count + 1
                job, slash, _ = blob.name.removeprefix(begins).partition("/")
                if name == cloud.gcp.state and blob.name.startswith(begins) and slash:
                    jobs[job] = jobs.get(job, 0) + blob.size
    except CloudNotFound:
        return
    command = f"gcloud storage rm --recursive gs://{name}"
    yield Item("bucket", f"gs://{name}", cloud.gcp.region, f"{count} objects", _stored_usd(total, rate), command)
    for job, size in sorted(_finished(cloud, f"gs://{name}/{begins.rstrip('/')}", jobs).items()):
        url = f"gs://{name}/{begins}{job}/"
        command = f"gcloud storage rm --recursive {url}"
        yield Item("job", url, "", f"finished, {size / 1e6:.1f} MB", _stored_usd(size, rate), command)


def _finished(cloud: Cloud, folder: str, jobs: dict[str, int]) -> dict[str, int]:
    """Those of `jobs` (bytes by id) that are cancelled or have all their frames."""
    from jit_render.farm.records import JobReader
    from jit_render.model.errors import JobError, StoreError
    from jit_render.model.identity import ObjectUrl
    from jit_render.store import open_store

    store = open_store(cloud.settings.store, cloud.clock)
    found: dict[str, int] = {}
    try:
        for job, size in jobs.items():
            reader = JobReader(store, ObjectUrl.parse(f"{folder}/{job}"))
            with contextlib.suppress(JobError, StoreError):  # no job of ours lies there
                if reader.is_cancelled() or not reader.missing():
                    found[job] = size
    finally:
        store.close()
    return found


def as_json(items: list[Item]) -> list[dict[str, Any]]:
    return [asdict(item) for item in items]


def unpriced(items: list[Item]) -> str:
    """A clause on those that `total` cannot count, for the end of a sentence; empty where there are none."""
    count = sum(item.usd_month is None for item in items)
    return f", and {count} whose price is unknown" if count else ""


def total(items: list[Item]) -> float:
    """USD a month of what has a price."""
    return sum(item.usd_month or 0.0 for item in items)


def _stored_usd(size: int, rate: float | None) -> float | None:
    return None if rate is None else size / _GIB * rate


def _hour(prices: Prices | None, machine: str, provisioning: Any, ssds: int) -> float | None:
    try:
        return prices.hour(machine, provisioning, ssds) if prices else None
    except ConfigError:
        return None


def _last(link: str) -> str:
    return link.rpartition("/")[2]
