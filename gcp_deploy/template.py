"""The instance template: what a node is, for everything that starts nodes.

One image and one start-up script serve every role; the role is an entry of the VM's metadata (`ROLE_KEY`). A template
cannot be changed once it is made, so its name ends in a digest of its content: another content is another template,
and those of before are removed when the new one is there.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from gcp_deploy.access import Cloud, translated
from gcp_deploy.accounts import node_account
from gcp_deploy.batch.machines import added_ssds
from gcp_deploy.network import ComputePart, network_name, subnetwork_name
from gcp_deploy.operations import change
from gcp_deploy.parts import Look, Verdict
from gcp_deploy.scripts import script
from jit_render.model.errors import CloudError, CloudNotFound

ROLE_KEY = "jit-render-role"
BOOT_DISK_GB = 50
_LOCAL_SSD_GB = 375
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"  # what is allowed is IAM's business, not the scope's


def startup_script() -> str:
    """The start-up script that template and image builder share."""
    return script("startup.sh")


def image_family(cloud: Cloud) -> str:
    """Link of the image that nodes boot."""
    image = cloud.gcp.image or f"family/{cloud.gcp.name}"
    return image if image.startswith("projects/") else f"projects/{cloud.project}/global/images/{image}"


def properties(cloud: Cloud) -> dict[str, Any]:
    """A node, as Compute's message InstanceProperties has it."""
    gcp = cloud.gcp
    boot = {
        "boot": True,
        "auto_delete": True,
        "initialize_params": {
            "source_image": image_family(cloud),
            "disk_size_gb": BOOT_DISK_GB,
            "disk_type": "pd-balanced",
            "labels": cloud.labels,
        },
    }
    ssds = added_ssds(gcp.machine, gcp.local_ssds)
    metadata = {ROLE_KEY: "node", "jit-render-idle-minutes": f"{gcp.idle:g}"}
    return {
        "description": f"A node of {gcp.name}",
        "machine_type": gcp.machine,
        "disks": [boot, *[local_ssd() for _ in range(ssds)]],
        "network_interfaces": [{"network": network_name(cloud), "subnetwork": subnetwork_name(cloud)}],
        "service_accounts": [{"email": node_account(cloud), "scopes": [_SCOPE]}],
        "scheduling": _scheduling(cloud),
        "shielded_instance_config": shielded(),
        "metadata": metadata_items(metadata),
        "labels": cloud.labels,
    }


def local_ssd() -> dict[str, Any]:
    params = {"disk_type": "local-ssd", "disk_size_gb": _LOCAL_SSD_GB}
    return {"type_": "SCRATCH", "interface": "NVME", "auto_delete": True, "initialize_params": params}


def shielded() -> dict[str, bool]:
    return {"enable_secure_boot": True, "enable_vtpm": True, "enable_integrity_monitoring": True}


def metadata_items(values: dict[str, str]) -> dict[str, Any]:
    """Metadata with what every VM of ours has: the start-up script, OS Login, no keys of the whole project."""
    every = {"startup-script": startup_script(), "enable-oslogin": "TRUE", "block-project-ssh-keys": "TRUE", **values}
    return {"items": [{"key": key, "value": value} for key, value in sorted(every.items())]}


def _scheduling(cloud: Cloud) -> dict[str, Any]:
    if cloud.gcp.provisioning != "spot":
        return {"provisioning_model": "STANDARD", "automatic_restart": True, "on_host_maintenance": "TERMINATE"}
    return {
        "provisioning_model": "SPOT",
        "automatic_restart": False,
        "on_host_maintenance": "TERMINATE",
        "instance_termination_action": "DELETE",
        "preemption_notice_duration": {"seconds": cloud.gcp.notice},
    }


class TemplatePart(ComputePart):
    """The template of today's settings."""

    def __init__(self, cloud: Cloud) -> None:
        wanted = {"description": f"jit-render={cloud.gcp.name}", "properties": properties(cloud)}
        digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:10]
        name = f"{cloud.gcp.name}-node-{digest}"
        super().__init__(
            cloud, kind="template", name=name, client="InstanceTemplates", key="instance_template", wanted=wanted
        )

    def look(self) -> Look:
        if self.there() is None:
            return Look(Verdict.MISSING, tuple(f"replaces {name}" for name in self._others()))
        others = self._others()
        told = tuple(f"{name} is of other settings, to be removed" for name in others)
        return Look(Verdict.DRIFTED if others else Verdict.FINE, told)

    def make(self) -> None:
        try:
            super().make()
        except CloudError as error:
            if "image" not in str(error) or self.there() is not None:
                raise
            hint = "its image is not there yet: jit-deploy image, then jit-deploy up again"
            raise CloudNotFound(f"template {self.name}: {hint} ({error})") from None
        for name in self._others():
            change(self._cloud, f"template {name}", "InstanceTemplates", "delete", instance_template=name)

    def remove(self) -> bool:
        removed = super().remove()
        others = self._others()
        for name in others:
            change(self._cloud, f"template {name}", "InstanceTemplates", "delete", instance_template=name)
        return removed or bool(others)

    def _others(self) -> list[str]:
        """Templates of other settings that this deployment made, by name and label."""
        pattern = re.compile(rf"{re.escape(self._cloud.gcp.name)}-node-[0-9a-f]{{10}}")
        with translated("templates"):
            every = list(self._cloud.compute("InstanceTemplates").list(project=self._cloud.project))
        mine = [each for each in every if dict(each.properties.labels).get("jit-render") == self._cloud.gcp.name]
        return sorted(each.name for each in mine if pattern.fullmatch(each.name) and each.name != self.name)
