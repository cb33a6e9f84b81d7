"""A round of a job as a Google Batch request. Pure: the same arguments, the same request.

One task group, one script, one task per node. What each task renders is not in the request: the node looks its index up
in the round's record, so a job of 100,000 tasks fits the service's 1 MB. Everything that a node must know beside that
stands in the task's environment as settings (``JIT_RENDER_<SECTION>_<KEY>``), where the console shows it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from gcp_deploy.accounts import own_account
from gcp_deploy.batch.labels import job_labels
from gcp_deploy.batch.machines import added_ssds, cores_of, has_included_ssds
from gcp_deploy.scripts import script
from jit_render.farm.outcome import TRY_AGAIN
from jit_render.model.errors import ConfigError
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import JobSpec
from jit_render.model.settings import GcpSettings, Settings

CACHE_MOUNT = "/mnt/disks/cache"
BOOT_CACHE = "/var/lib/jit-render/cache"
"""Without local SSDs."""
LOCAL_SSD_GB = 375
CACHE_SHARE = 0.9
"""Of the local SSDs; what a file system takes, and outputs waiting for upload, need the rest. The node itself looks at
what is mounted and takes this share of that (node.sh)."""
BOOT_DISK_GB = 50
TASKS_LIMIT = 100_000
PARALLEL_LIMIT = 5_000
RETRIED = (50001, 50002, 50003, 50004, 50006, TRY_AGAIN)
"""Preempted, no report, rebooted, unresponsive, recreated, and the worker's "try again". 50005 is "over its time"."""
SPOT_GRACE_SECONDS = 30
"""What a Spot VM surely has between notice and end. More is for an instance template to ask (preemptionNoticeDuration);
whether Batch passes that on is open, so a node does not count on it."""
_OF_THIS_MACHINE = {
    "cache": {"root", "limit"},
    "store": set[str](),
    "farm": {"workers", "grace"},
    "render": {"renderer", "nuke", "gizmo_path", "environment"},  # the job's spec, and gcp.node_*, say
}
"""Sections whose settings a node shares where they are not the default, but for those that a node has its own way."""


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """What one round runs, and on what."""

    home: ObjectUrl
    spec: JobSpec
    number: int
    tasks: int


def batch_id(job_id: str, home: ObjectUrl, number: int) -> str:
    """``sh010-1f3a99c0-5b1c22d0-r1``: at most 63 of a-z, 0-9 and -; the second digits are the folder's own."""
    tail = f"-{uuid.uuid5(uuid.NAMESPACE_URL, str(home)).hex[:8]}-r{number}"
    return job_id[: 63 - len(tail)].rstrip("-") + tail


def request_id(home: ObjectUrl, number: int) -> str:
    """The same for the same round of the same job, whoever asks and however often."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{home}#round-{number}"))


def parent_of(gcp: GcpSettings) -> str:
    """Raises ConfigError where no project is set."""
    if not gcp.project:
        raise ConfigError("no Google Cloud project: set gcp.project, or let 'jit-deploy init' write jit-render.toml.")
    return f"projects/{gcp.project}/locations/{gcp.region}"


def batch_request(settings: Settings, plan: RoundPlan) -> dict[str, Any]:
    """The job, as JSON has it (enums by name). Raises ConfigError for what no machine can be."""
    gcp, spec = settings.gcp, plan.spec
    if not 1 <= plan.tasks <= TASKS_LIMIT:
        raise ConfigError(f"{plan.tasks} tasks; Google Batch takes {TASKS_LIMIT} a job: submit with a larger --chunk.")
    labels = job_labels(name=gcp.name, job=spec.id, shot=spec.shot, show=spec.show, user=spec.user)
    return {
        "taskGroups": [
            {
                "taskSpec": _task_spec(settings, plan),
                "taskCount": str(plan.tasks),
                "parallelism": str(min(plan.tasks, gcp.nodes, PARALLEL_LIMIT)),
                "taskCountPerNode": "1",
            }
        ],
        "allocationPolicy": _allocation(gcp, labels),
        "labels": labels,
        "logsPolicy": {"destination": "CLOUD_LOGGING"},
    }


def _task_spec(settings: Settings, plan: RoundPlan) -> dict[str, Any]:
    gcp = settings.gcp
    spec: dict[str, Any] = {
        "runnables": [{"script": {"text": script("node.sh")}, "displayName": "jit-render work"}],
        "computeResource": {"cpuMilli": str(cores_of(gcp.machine) * 1000)},
        "maxRetryCount": gcp.retries,
        "lifecyclePolicies": [{"action": "RETRY_TASK", "actionCondition": {"exitCodes": list(RETRIED)}}],
        "environment": {"variables": node_environment(settings, plan)},
    }
    if added_ssds(gcp.machine, gcp.local_ssds):
        spec["volumes"] = [{"deviceName": "cache", "mountPath": CACHE_MOUNT}]
    return spec


def node_environment(settings: Settings, plan: RoundPlan) -> dict[str, str]:
    """What a node is told beside its task's number."""
    gcp = settings.gcp
    added = added_ssds(gcp.machine, gcp.local_ssds)
    on_ssd = added or has_included_ssds(gcp.machine)
    limit = int(added * LOCAL_SSD_GB * 1000**3 * CACHE_SHARE) if added else settings.cache.limit
    values = {
        "JIT_RENDER_HOME": str(plan.home),
        "JIT_RENDER_ROUND": plan.number,
        "JIT_RENDER_MACHINE": gcp.machine,
        "JIT_RENDER_PROVISIONING": gcp.provisioning,
        "JIT_RENDER_CACHE_ROOT": f"{CACHE_MOUNT}/jit-render" if on_ssd else BOOT_CACHE,
        "JIT_RENDER_CACHE_LIMIT": limit,
        "JIT_RENDER_FARM_GRACE": min(gcp.notice, SPOT_GRACE_SECONDS),
        "JIT_RENDER_STORE_PROJECT": gcp.project,
        "JIT_RENDER_RENDER_NUKE": gcp.node_nuke,
        "JIT_RENDER_RENDER_GIZMO_PATH": ":".join(gcp.node_gizmo_path),
        "foundry_LICENSE": gcp.licence,
        **{
            f"JIT_RENDER_{section}_{key}".upper(): value
            for section, here in _OF_THIS_MACHINE.items()
            for key, value in getattr(settings, section).model_dump(exclude_defaults=True).items()
            if key not in here
        },
    }
    return {name: str(value) for name, value in values.items() if value != ""}


def _allocation(gcp: GcpSettings, labels: dict[str, str]) -> dict[str, Any]:
    policy: dict[str, Any] = {
        "machineType": gcp.machine,
        "provisioningModel": "SPOT" if gcp.provisioning == "spot" else "STANDARD",
        "bootDisk": {
            "type": "pd-balanced",
            "sizeGb": str(BOOT_DISK_GB),
            "image": _full(gcp.image or f"family/{gcp.name}", f"projects/{gcp.project}/global/images"),
        },
    }
    added = added_ssds(gcp.machine, gcp.local_ssds)
    if added:
        disk = {"type": "local-ssd", "sizeGb": str(added * LOCAL_SSD_GB)}
        policy["disks"] = [{"newDisk": disk, "deviceName": "cache"}]
    zones = [f"zones/{zone}" for zone in gcp.zones]
    return {
        "location": {"allowedLocations": zones or [f"regions/{gcp.region}"]},
        "instances": [{"policy": policy}],
        "labels": labels,
        "network": {"networkInterfaces": [_interface(gcp)]},
        "serviceAccount": {"email": gcp.account or own_account(gcp)},
    }


def _interface(gcp: GcpSettings) -> dict[str, Any]:
    """The studio's own network, or the one that `jit-deploy up` makes."""
    subnetwork = gcp.subnetwork or f"{gcp.name}-{gcp.region}"
    return {
        "network": _full(gcp.network or gcp.name, f"projects/{gcp.project}/global/networks"),
        "subnetwork": _full(subnetwork, f"projects/{gcp.project}/regions/{gcp.region}/subnetworks"),
        "noExternalIpAddress": True,
    }


def _full(name: str, collection: str) -> str:
    """A link; a name (or ``family/name``) is one of this project's."""
    return name if name.removeprefix("family/").count("/") else f"{collection}/{name}"
