"""The nodes' image: a VM installs it from the studio's own bucket and says when it is ready; its disk is the image.

What goes in is a *recipe*: wheels of this package and all it needs (and Debian packages that Nuke wants), uploaded
to ``deploy/<digest>/`` of the state bucket with their SHA-256, and the studio's own Nuke archive. Nodes cannot write
there. The digest of recipe, Nuke, base image and start-up script names the image, so the same recipe is never built
twice, and a run that was killed goes on with the VM that it left.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcp_deploy.access import Cloud, found, translated
from gcp_deploy.accounts import node_account
from gcp_deploy.network import network_name, subnetwork_name
from gcp_deploy.operations import change, insert
from gcp_deploy.template import BOOT_DISK_GB, ROLE_KEY, metadata_items, shielded, startup_script
from jit_render.model.errors import CloudDenied, CloudError, CloudNotFound, CloudUnavailable, ConfigError
from jit_render.model.identity import ObjectUrl

BASE_IMAGE = "projects/debian-cloud/global/images/family/debian-12"  # Python 3.11
BUILDER_MACHINE = "e2-standard-4"
_PATIENCE_SECONDS = 2400.0
_LOOK_SECONDS = 10.0
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_TAKEN = {".whl", ".deb"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made of. `files`: SHA-256 by base name."""

    files: dict[str, str]
    folder: Path
    nuke: str
    base: str

    @property
    def digest(self) -> str:
        """12 hex digits that stand for all of it."""
        parts = [self.files, self.nuke, self.base, startup_script()]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def listing(self) -> str:
        """``files.txt``: one line for each file, as sha256sum writes it but with one space."""
        return "".join(f"{digest} {name}\n" for name, digest in sorted(self.files.items()))


def read_recipe(folder: Path, *, nuke: str = "", base: str = BASE_IMAGE) -> Recipe:
    """The recipe of a folder of wheels. Raises ConfigError where something needed is not there."""
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}; make it with: pip wheel -w {folder} 'jit-render[gcp]' pip")
    paths = sorted(path for path in folder.iterdir() if path.suffix in _TAKEN and path.is_file())
    for package in ("jit_render", "pip"):
        if not any(path.name.startswith(f"{package}-") for path in paths):
            raise ConfigError(
                f"{folder} holds no wheel of {package}; make it with: pip wheel -w {folder} 'jit-render[gcp]' pip"
            )
    odd = [path.name for path in paths if not all(letter.isalnum() or letter in "._+-~" for letter in path.name)]
    if odd:
        raise ConfigError(f"{folder}: {odd[0]!r} is no name of a wheel or Debian package; rename or remove it.")
    return Recipe({path.name: _sha256(path) for path in paths}, folder, nuke, base)


class ImageBuild:
    """One build, step by step; `tell` hears of each. Every step looks first, so a killed build goes on."""

    def __init__(self, cloud: Cloud, recipe: Recipe, tell: Callable[[str], None] = lambda _text: None) -> None:
        self.name = f"{cloud.gcp.name}-{recipe.digest}"
        self._cloud = cloud
        self._recipe = recipe
        self._tell = tell
        self._builder = f"{cloud.gcp.name}-build-{recipe.digest}"
        self._place = f"image {self.name}"

    def run(self) -> bool:
        """Make the image; False where it was there already. Raises CloudError."""
        made = self._image() is None
        if made:
            self._upload()
            zone = self._await_builder()
            self._tell("taking the image from its disk")
            self._take(zone)
        self._remove_builder()
        return made

    def _image(self) -> Any:
        get = self._cloud.compute("Images").get
        return found(self._place, lambda: get(project=self._cloud.project, image=self.name))

    def _upload(self) -> None:
        """Wheels first, the list of them last: a list is complete or not there."""
        bucket = self._cloud.buckets.bucket(self._cloud.gcp.state)
        home = f"deploy/{self._recipe.digest}"
        with translated(f"gs://{self._cloud.gcp.state}/{home}"):
            there = {blob.name for blob in self._cloud.buckets.list_blobs(bucket, prefix=f"{home}/")}
            for name in sorted(self._recipe.files):
                if f"{home}/{name}" not in there:
                    self._tell(f"uploading {name}")
                    bucket.blob(f"{home}/{name}").upload_from_filename(str(self._recipe.folder / name), timeout=300)
            bucket.blob(f"{home}/files.txt").upload_from_string(self._recipe.listing, timeout=60)

    def _await_builder(self) -> str:
        """Zone of a VM that has installed everything and is stopped."""
        builder = self._found_builder()
        if builder is not None and builder.status in {"TERMINATED", "STOPPED"} and not self._said(builder):
            self._remove_builder()  # it was turned off before it was done; begin again
            builder = None
        if builder is None:
            self._tell(f"starting {self._builder}")
            self._start()
            builder = self._found_builder()
        if builder is None:
            raise CloudNotFound(f"{self._place}: its VM {self._builder} vanished; run it again.")
        self._tell("installing on it")
        self._await_ready(builder)
        zone = str(builder.zone.rpartition("/")[2])
        if builder.status not in {"TERMINATED", "STOPPED"}:
            self._tell("turning it off")
            change(self._cloud, f"VM {self._builder}", "Instances", "stop", instance=self._builder, zone=zone)
        return zone

    def _found_builder(self) -> Any:
        from gcp_deploy.inventory import labelled

        return next((each for each in labelled(self._cloud, "Instances") if each.name == self._builder), None)

    def _start(self) -> None:
        zone = self._zones()[0]
        gcp = self._cloud.gcp
        boot = {"source_image": self._recipe.base, "disk_size_gb": BOOT_DISK_GB, "labels": self._cloud.labels}
        boot["disk_type"] = f"zones/{zone}/diskTypes/pd-balanced"
        metadata = {
            ROLE_KEY: "image",
            "jit-render-recipe": f"gs://{gcp.state}/deploy/{self._recipe.digest}",
            "jit-render-digest": self._recipe.digest,
            "jit-render-nuke": self._recipe.nuke.partition("#")[0],
            "enable-guest-attributes": "TRUE",
        }
        instance = {
            "name": self._builder,
            "description": f"jit-render={gcp.name}",
            "machine_type": f"zones/{zone}/machineTypes/{BUILDER_MACHINE}",
            "disks": [{"boot": True, "auto_delete": True, "initialize_params": boot}],
            "network_interfaces": [{"network": network_name(self._cloud), "subnetwork": subnetwork_name(self._cloud)}],
            "service_accounts": [{"email": node_account(self._cloud), "scopes": [_SCOPE]}],
            "shielded_instance_config": shielded(),
            "metadata": metadata_items(metadata),
            "labels": self._cloud.labels,
        }
        insert(self._cloud, f"VM {self._builder}", "Instances", zone=zone, instance_resource=instance)

    def _zones(self) -> list[str]:
        if self._cloud.gcp.zones:
            return list(self._cloud.gcp.zones)
        with translated(f"region {self._cloud.gcp.region}"):
            region = self._cloud.compute("Regions").get(project=self._cloud.project, region=self._cloud.gcp.region)
        return sorted(link.rpartition("/")[2] for link in region.zones)

    def _await_ready(self, builder: Any) -> None:
        deadline = self._cloud.clock.monotonic() + _PATIENCE_SECONDS
        while True:
            said = self._said(builder)
            if said == self._recipe.digest:
                return
            if said:
                look = f"gcloud compute instances get-serial-port-output {self._builder}"
                raise CloudError(f"{self._place}: {said} ({look} --project={self._cloud.project}).")
            if self._cloud.clock.monotonic() > deadline:
                raise CloudUnavailable(f"{self._place}: {self._builder} did not get ready; see its serial port.")
            self._cloud.clock.sleep(_LOOK_SECONDS)

    def _said(self, builder: Any) -> str:
        """What the start-up script has said of itself; "" before it has."""
        zone = builder.zone.rpartition("/")[2]
        where = {"project": self._cloud.project, "zone": zone, "instance": self._builder}
        request = {**where, "query_path": "jit-render/ready"}
        answer = found(
            f"VM {self._builder}", lambda: self._cloud.compute("Instances").get_guest_attributes(request=request)
        )
        items = answer.query_value.items if answer is not None else ()
        return next((str(item.value) for item in items), "")

    def _take(self, zone: str) -> None:
        source = f"projects/{self._cloud.project}/zones/{zone}/disks/{self._builder}"
        image = {
            "name": self.name,
            "family": self._cloud.gcp.name,
            "description": f"jit-render={self._cloud.gcp.name} from {self._recipe.base}",
            "source_disk": source,
            "labels": self._cloud.labels,
            "storage_locations": [self._cloud.gcp.region],
        }
        insert(self._cloud, self._place, "Images", image_resource=image)

    def _remove_builder(self) -> None:
        builder = self._found_builder()
        if builder is None:
            return
        self._tell(f"removing {self._builder}")
        zone = builder.zone.rpartition("/")[2]
        change(self._cloud, f"VM {self._builder}", "Instances", "delete", instance=self._builder, zone=zone)


def nuke_archive(cloud: Cloud) -> str:
    """The studio's archive with its generation, so that another one is another image. Raises ConfigError."""
    if not cloud.gcp.nuke:
        return ""
    url = ObjectUrl.parse(cloud.gcp.nuke)
    bucket = url.root.removeprefix("gs://")
    try:
        with translated(cloud.gcp.nuke):
            blob = cloud.buckets.bucket(bucket).get_blob(url.key)
    except (CloudNotFound, CloudDenied) as error:
        raise ConfigError(f"gcp.nuke: {error}") from None
    if blob is None:
        raise ConfigError(
            f"gcp.nuke: there is no {cloud.gcp.nuke}; upload an archive of an installed Nuke, or empty it."
        )
    return f"{cloud.gcp.nuke}#{blob.generation}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
