"""What Compute Engine refuses: unknown fields, bad labels, missing references, things that others still use."""

from __future__ import annotations

import json
import re
from typing import Any

from jit_render.testing.gcs_model import ApiError

Json = dict[str, Any]
Things = dict[tuple[str, str, str], Json]
_LABEL = re.compile(r"^[a-z0-9_-]{0,63}$")
MESSAGES = {
    "networks": "Network",
    "subnetworks": "Subnetwork",
    "firewalls": "Firewall",
    "instanceTemplates": "InstanceTemplate",
    "images": "Image",
    "disks": "Disk",
    "instances": "Instance",
    "addresses": "Address",
    "snapshots": "Snapshot",
}


def check_thing(things: Things, regions: list[str], kind: str, place: str, body: Json) -> None:
    """Raises ApiError 400 for a new thing that lacks a field or refers to what is not there."""
    if kind in {"subnetworks", "firewalls"}:
        _need(things, body.get("network"), "networks")
    if kind == "subnetworks" and (not body.get("ipCidrRange") or place.partition("/")[2] not in regions):
        raise ApiError(400, "invalid", "Invalid value for field 'resource.ipCidrRange' or unknown region.")
    if kind == "firewalls" and bool(body.get("allowed")) == bool(body.get("denied")):
        raise ApiError(400, "invalid", "A firewall has either allowed or denied.")
    properties = body.get("properties", {}) if kind == "instanceTemplates" else body
    if kind in {"instanceTemplates", "instances"}:
        for need in ("machineType", "disks", "networkInterfaces"):
            if not properties.get(need):
                raise ApiError(400, "required", f"Required field '{need}' not specified")
        for card in properties["networkInterfaces"]:
            _need(things, card.get("subnetwork"), "subnetworks")
        model = properties.get("scheduling", {})
        if model.get("provisioningModel") == "SPOT" and model.get("automaticRestart", True):
            raise ApiError(400, "invalid", "Scheduling must have automaticRestart false for Spot VMs.")
        if model.get("preemptionNoticeDuration") and model.get("provisioningModel") != "SPOT":
            raise ApiError(400, "invalid", "preemptionNoticeDuration is for Spot VMs only.")
    if kind == "images" and body.get("sourceDisk"):
        disk = _need(things, body["sourceDisk"], "disks")
        users = [user.rpartition("/")[2] for user in disk.get("users", [])]
        if any(
            thing.get("status") == "RUNNING"
            for (of, _, name), thing in things.items()
            if of == "instances" and name in users
        ):
            raise ApiError(
                400, "resourceInUseByAnotherResource", f"The disk {disk['name']} is being used by a running VM"
            )


def _need(things: Things, link: object, kind: str) -> Json:
    name = str(link or "").rpartition("/")[2]
    found = next((thing for (of, _, key), thing in things.items() if of == kind and key == name), None)
    if found is None:
        raise ApiError(400, "invalid", f"The referenced {kind} resource {link!r} cannot be found.")
    return found


def check_unused(things: Things, kind: str, thing: Json) -> None:
    """Raises ApiError 400 where others need it."""
    users = {"networks": ("subnetworks", "firewalls"), "subnetworks": ("instanceTemplates", "instances")}
    ends = f"/{kind}/{thing['name']}"
    for (of, _, name), other in things.items():
        text = str(other)
        if of in users.get(kind, ()) and of != "instanceTemplates" and (f"{ends}'" in text):
            raise ApiError(
                400, "resourceInUseByAnotherResource", f"{thing['name']} is already being used by {of}/{name}"
            )
    if kind == "disks" and thing.get("users"):
        raise ApiError(400, "resourceInUseByAnotherResource", f"{thing['name']} is attached to {thing['users'][0]}")


def check_message(kind: str, body: Json) -> None:
    """Raises ApiError 400 for what the published message does not have, and for bad labels."""
    from google.cloud import compute_v1
    from google.protobuf.json_format import ParseError

    try:
        getattr(compute_v1, MESSAGES[kind]).from_json(json.dumps(body), ignore_unknown_fields=False)
    except ParseError as error:
        raise ApiError(400, "invalid", f"Invalid JSON payload received: {error}") from None
    for key, value in (body.get("labels") or {}).items():
        if not _LABEL.match(str(value)) or not _LABEL.match(str(key)):
            raise ApiError(400, "invalid", f"Invalid label: {key}={value}")
