"""Names that Google Cloud takes, checked before anything is asked of it: its own refusals come late and one by one."""

from __future__ import annotations

import re

from jit_render.model.errors import ConfigError
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import GcpSettings

# It begins other names; the shortest of them is a service account's id: at most 30 letters, and `-node` is ours.
_NAME = re.compile(r"^[a-z](?:[-a-z0-9]{0,20}[a-z0-9])?$")
_PROJECT = re.compile(r"^(?:[a-z0-9.-]+:)?[a-z][-a-z0-9]{4,28}[a-z0-9]$")
_BUCKET = re.compile(r"^[a-z0-9](?:[a-z0-9._-]{1,61})[a-z0-9]$")
_REGION = re.compile(r"^[a-z]+-[a-z]+[0-9]+$")
_MACHINE = re.compile(r"^[a-z][a-z0-9]*(?:-[a-z0-9]+){1,4}$")
_LICENCE = re.compile(r"^[0-9]{1,5}@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$")
_EMAIL = re.compile(r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+$")
_NODE_FOLDER = re.compile(r"^/[^:\x00-\x1f\x7f]*$")  # they are handed on with : between
_NODE_NUKE = re.compile(r"^(?:/[^\x00-\x1f\x7f]+|[0-9]+(?:\.[0-9]+)?(?:v[0-9]+)?)$")
_LINK = re.compile(r"^[a-z][A-Za-z0-9/:._-]*$")  # a name, or projects/.../name
_MEMBER = re.compile(r"^(?:user|group|serviceAccount|domain|principal|principalSet):[^\s\x00-\x1f\x7f]+$")


def check(gcp: GcpSettings) -> None:
    """Raises ConfigError for the first name that cannot be."""
    check_deployment(gcp)
    _need(_REGION, gcp.region, "gcp.region", "like us-central1")
    for zone in gcp.zones:
        if re.fullmatch(rf"{re.escape(gcp.region)}-[a-z]", zone) is None:
            raise ConfigError(f"gcp.zones: {zone!r} is no zone of {gcp.region}; write it like {gcp.region}-a.")
    for key in ("assets", "outputs", "state"):
        name = getattr(gcp, key)
        if not name:
            raise ConfigError(f"gcp.{key} is not set; name a bucket, or write all three with jit-deploy init.")
        check_bucket(name, f"gcp.{key}")
    _need(_MACHINE, gcp.machine, "gcp.machine", "like n2d-standard-8")
    if gcp.licence:
        _need(_LICENCE, gcp.licence, "gcp.licence", "like 4101@licence.studio.example")
    for key in ("network", "subnetwork", "image"):
        if getattr(gcp, key):
            _need(
                _LINK, getattr(gcp, key), f"gcp.{key}", "a name, or a link like projects/studio/global/networks/render"
            )
    for member in gcp.submitters:  # allUsers, and a bare address, are none
        _need(
            _MEMBER, member, "gcp.submitters", "members like user:ann@studio.example or group:lighting@studio.example"
        )
    if gcp.account:
        _need(_EMAIL, gcp.account, "gcp.account", "an e-mail address of a service account")
    if gcp.nuke and (not gcp.nuke.startswith("gs://") or not ObjectUrl.parse(gcp.nuke).key):
        raise ConfigError(f"gcp.nuke: {gcp.nuke!r} is no object of a bucket; write it like gs://bucket/Nuke15.1v3.tgz.")
    if gcp.node_nuke:
        _need(_NODE_NUKE, gcp.node_nuke, "gcp.node_nuke", "a path on the node or a version, like 15.1")
    for folder in gcp.node_gizmo_path:
        _need(_NODE_FOLDER, folder, "gcp.node_gizmo_path", "folders of the image, like /opt/nuke/gizmos")


def check_deployment(gcp: GcpSettings) -> None:
    """Raises ConfigError where project or name cannot be: the name goes into filters that decide what is deleted."""
    _need(_PROJECT, gcp.project, "gcp.project", "6 to 30 of a-z, 0-9 and -, like studio-render-1")
    _need(_NAME, gcp.name, "gcp.name", "at most 22 of a-z, 0-9 and -, first a letter")


def check_bucket(name: str, where: str) -> None:
    """Raises ConfigError for what Cloud Storage takes as no bucket's name."""
    _need(_BUCKET, name, where, "3 to 63 of a-z, 0-9, -, _ and ., without gs://")
    if name.startswith("goog") or "google" in name or ".." in name:
        raise ConfigError(
            f"{where}: {name!r} is refused by Cloud Storage (it begins with goog or holds google or '..')."
        )


def _need(pattern: re.Pattern[str], text: str, where: str, how: str) -> None:
    if pattern.fullmatch(text) is None:
        raise ConfigError(f"{where}: {text!r} cannot be; write {how}.")
