"""What the service refuses: the rules of Google Batch v1 that a request can break, each with the status it gives.

Sources are the field descriptions of google-cloud-batch and the published limits. Unknown fields and enum values
cannot reach us: the client's own protos refuse them.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from google.cloud import batch_v1

TASKS_LIMIT = 100_000  # of a task group
PARALLEL_LIMIT = 5_000  # tasks of a job at once
JOB_LIMIT_BYTES = 1024 * 1024
RETRIES_LIMIT = 10
LOCAL_SSD_GB = 375

_JOB_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
_RESERVED = ("goog-", "google-")


class Refused(Exception):
    """The call ends with this status."""

    def __init__(self, message: str, code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def check_request(request: batch_v1.CreateJobRequest, regions: Mapping[str, Sequence[str]]) -> None:
    """`regions`: the zones' letters by region. Raises Refused."""
    region = request.parent.rpartition("/")[2]
    if region not in regions:
        raise Refused(f"location {region} is unknown", grpc.StatusCode.NOT_FOUND)
    if not _JOB_ID.fullmatch(request.job_id):
        raise Refused(f"job_id {request.job_id!r} must match {_JOB_ID.pattern}")
    if request.request_id and not _is_uuid(request.request_id):
        raise Refused(f"request_id {request.request_id!r} is no UUID")
    job = request.job
    if len(batch_v1.Job.serialize(job)) > JOB_LIMIT_BYTES:
        raise Refused("the job is larger than 1 MiB")
    if len(job.task_groups) != 1:
        raise Refused(f"exactly one task group is supported, not {len(job.task_groups)}")
    if not 0 <= job.priority <= 99:
        raise Refused("priority must be 0 to 99")
    _check_group(job.task_groups[0])
    _check_allocation(job.allocation_policy, region, regions)
    _check_volumes(job)
    for labels in (job.labels, job.allocation_policy.labels):
        _check_labels(labels)


def _check_group(group: Any) -> None:
    count = group.task_count or 1
    if not 1 <= count <= TASKS_LIMIT:
        raise Refused(f"task_count must be 1 to {TASKS_LIMIT}")
    if not 0 <= group.parallelism <= PARALLEL_LIMIT:
        raise Refused(f"parallelism must be at most {PARALLEL_LIMIT}")
    spec = group.task_spec
    if not spec.runnables:
        raise Refused("a task needs a runnable")
    for runnable in spec.runnables:
        if "script" not in runnable and "container" not in runnable:
            raise Refused("a runnable needs a script or a container")
        if "script" in runnable and bool(runnable.script.text) == bool(runnable.script.path):
            raise Refused("a script has either text or a path")
    if not 0 <= spec.max_retry_count <= RETRIES_LIMIT:
        raise Refused(f"max_retry_count must be 0 to {RETRIES_LIMIT}")
    if len(spec.lifecycle_policies) > 1:
        raise Refused("only one lifecycle policy is supported")
    for policy in spec.lifecycle_policies:
        if policy.action not in {batch_v1.LifecyclePolicy.Action.RETRY_TASK, batch_v1.LifecyclePolicy.Action.FAIL_TASK}:
            raise Refused("a lifecycle policy needs an action")
        if not policy.action_condition.exit_codes:
            raise Refused("a lifecycle policy needs exit codes")


def _check_allocation(policy: Any, region: str, regions: Mapping[str, Sequence[str]]) -> None:
    known = {f"zones/{region}-{letter}" for letter in regions[region]} | {f"regions/{region}"}
    allowed = list(policy.location.allowed_locations)
    for location in allowed:
        if location not in known:
            raise Refused(f"location {location} is not in {region}")
    if any(one.startswith("regions/") for one in allowed) and len(allowed) > 1:
        raise Refused("allowed_locations is one region or several zones")
    if len(policy.instances) > 1:
        raise Refused("only one instance policy is supported")
    for instances in policy.instances:
        if "policy" in instances:
            for attached in instances.policy.disks:
                _check_disk(attached)


def _check_disk(attached: Any) -> None:
    if not attached.device_name:
        raise Refused("an attached disk needs a device_name")
    disk = attached.new_disk
    if disk.type_ == "local-ssd" and disk.size_gb % LOCAL_SSD_GB:
        raise Refused(f"a local SSD's size is a multiple of {LOCAL_SSD_GB} GB")


def _check_volumes(job: Any) -> None:
    devices = {
        disk.device_name
        for instances in job.allocation_policy.instances
        if "policy" in instances
        for disk in instances.policy.disks
    }
    for volume in job.task_groups[0].task_spec.volumes:
        if volume.device_name and volume.device_name not in devices:
            raise Refused(f"volume {volume.mount_path}: there is no disk {volume.device_name!r}")
        if not volume.mount_path.startswith("/"):
            raise Refused(f"volume: mount path {volume.mount_path!r} is not absolute")


def _check_labels(labels: Mapping[str, str]) -> None:
    if len(labels) > 64:
        raise Refused("at most 64 labels")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or key.startswith(_RESERVED) or not _LABEL_VALUE.fullmatch(value):
            raise Refused(f"label {key}={value} breaks the rules for labels")


def _is_uuid(text: str) -> bool:
    try:
        return uuid.UUID(text).int != 0
    except ValueError:
        return False
