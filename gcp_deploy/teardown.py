"""Ending a deployment: first what makes VMs, then VMs, then what they leave, then what ``up`` made, backwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from gcp_deploy.access import Cloud, is_off
from gcp_deploy.batch.service import BatchService
from gcp_deploy.blueprint import blueprint
from gcp_deploy.inventory import batch_jobs, labelled
from gcp_deploy.operations import change
from gcp_deploy.parts import Part
from jit_render.model.errors import CloudDenied, CloudNotFound


@dataclass(frozen=True, slots=True)
class Ending:
    """One thing to end; `end` says whether there was something."""

    kind: str
    name: str
    end: Callable[[], bool]


def endings(cloud: Cloud, *, buckets: bool = False) -> Iterator[Ending]:
    """In order, each found when its turn comes: deleting a VM takes its disks with it."""
    for job in batch_jobs(cloud):
        yield Ending("Batch job", job.name.rpartition("/")[2], partial(_cancel, cloud, job.name))
    for client, key, kind in (("Instances", "instance", "VM"), ("Disks", "disk", "disk")):
        for each in list(labelled(cloud, client)):
            yield Ending(kind, each.name, partial(_delete, cloud, kind, *_placed(client, key, each)))
    for client, key in (("Images", "image"), ("Snapshots", "snapshot")):
        for each in list(labelled(cloud, client)):
            yield Ending(key, each.name, partial(_delete, cloud, key, client, {key: each.name}))
    for each in list(labelled(cloud, "Addresses")):
        yield Ending("address", each.name, partial(_delete, cloud, "address", *_placed("Addresses", "address", each)))
    for part in reversed(blueprint(cloud)):
        if part.kind != "API" and (part.kind != "bucket" or buckets):
            yield Ending(part.kind, part.name, partial(_remove, part))


def _placed(client: str, key: str, thing: Any) -> tuple[str, dict[str, str]]:
    """The client that deletes `thing` and where it lies: regional disks and global addresses have clients of theirs."""
    for scope in ("zone", "region"):
        link = str(getattr(thing, scope, ""))
        if link:
            of_region = scope == "region" and client == "Disks"
            return f"Region{client}" if of_region else client, {key: thing.name, scope: link.rpartition("/")[2]}
    return f"Global{client}", {key: thing.name}


def _cancel(cloud: Cloud, name: str) -> bool:
    service = BatchService(cloud.gcp, cloud.clock)
    try:
        service.cancel(name)
    finally:
        service.close()
    return True


def _delete(cloud: Cloud, kind: str, client: str, where: dict[str, str]) -> bool:
    place = f"{kind} {next(iter(where.values()))}"
    try:
        change(cloud, place, client, "delete", **where)
    except CloudNotFound:
        return False  # it went with its VM, or an earlier run's operation is through
    return True


def _remove(part: Part) -> bool:
    try:
        return part.remove()
    except CloudDenied as error:
        if is_off(error):
            return False
        raise
