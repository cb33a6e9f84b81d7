"""Whether a deployment could work: one finding per thing that has to be right, each with the command that mends it.

Nothing is changed. A check that cannot be made because another one failed says so instead of guessing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from gcp_deploy.access import Cloud, translated
from gcp_deploy.accounts import account_parts
from gcp_deploy.apis import ApisPart
from gcp_deploy.batch.machines import added_ssds, cores_of, has_included_ssds
from gcp_deploy.buckets import bucket_parts
from gcp_deploy.naming import check as check_names
from gcp_deploy.network import network_parts, subnetwork_name
from gcp_deploy.parts import Part, Verdict
from gcp_deploy.template import TemplatePart, image_family
from jit_render.model.errors import CloudDenied, CloudError, CloudNotFound, ConfigError, JitRenderError
from jit_render.model.settings import GcpSettings

_NEEDED = (
    "batch.jobs.create",
    "compute.firewalls.create",
    "compute.images.create",
    "compute.instanceTemplates.create",
    "compute.instances.create",
    "compute.networks.create",
    "compute.subnetworks.create",
    "iam.serviceAccounts.create",
    "resourcemanager.projects.setIamPolicy",
    "serviceusage.services.enable",
    "storage.buckets.create",
)
_LOCAL_SSD_GB = 375
_LICENCE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """`mend`: the command (or the one step) that puts it right; empty where all is well."""

    topic: str
    verdict: Literal["ok", "problem", "unknown"]
    text: str
    mend: str = ""


def examine(cloud: Cloud) -> Iterator[Finding]:
    """All findings, in the order in which they are best mended."""
    names = list(_guarded(lambda: _names(cloud), "names"))
    yield from names
    project = list(_guarded(lambda: _project(cloud), "project"))
    yield from project
    if any(finding.verdict == "problem" for finding in [*names, *project]):
        yield Finding("the rest", "unknown", "not looked at before that is mended")
        return
    apis = list(_guarded(lambda: _apis(cloud), "APIs"))
    yield from apis
    yield from _guarded(lambda: _permissions(cloud), "IAM")
    if any(finding.verdict == "problem" and finding.topic == "APIs" for finding in apis):
        yield Finding("quotas, roles, network, image", "unknown", "not looked at before the APIs are on")
    else:
        yield from _guarded(lambda: _quotas(cloud), "quotas")
        yield from _parts([*account_parts(cloud), *network_parts(cloud), TemplatePart(cloud)])
        yield from _guarded(lambda: _own_subnet(cloud), "network")
        yield from _guarded(lambda: _image(cloud), "image")
    yield from _parts(list(bucket_parts(cloud)))
    yield from _guarded(lambda: _regions(cloud), "buckets")
    yield from _guarded(lambda: _licence(cloud), "licence server")


def _guarded(examine_one: Callable[[], Iterator[Finding]], topic: str) -> Iterator[Finding]:
    try:
        yield from examine_one()
    except CloudDenied as error:
        yield Finding(topic, "problem", str(error), "gcloud auth application-default login, or ask for the permission")
    except JitRenderError as error:
        yield Finding(topic, "problem", str(error), "jit-deploy init" if isinstance(error, ConfigError) else "")


def _names(cloud: Cloud) -> Iterator[Finding]:
    check_names(cloud.gcp)
    cores_of(cloud.gcp.machine)
    yield Finding("names", "ok", f"deployment {cloud.gcp.name}, {cloud.gcp.machine} in {cloud.gcp.region}")
    yield _local_ssds(cloud.gcp)


def _local_ssds(gcp: GcpSettings) -> Finding:
    """Whether the machine takes what is asked for: told before a job waits for nodes that never come."""
    asked = gcp.local_ssds
    try:
        added = added_ssds(gcp.machine, asked)
    except ConfigError as error:
        return Finding("local SSDs", "problem", str(error), "jit-deploy init --yes --force --local-ssds 0")
    if has_included_ssds(gcp.machine):
        text = f"{gcp.machine} brings its own" + (f"; gcp.local_ssds = {asked} adds none" if asked else "")
    elif added > asked:
        text = f"nodes get {added}: {gcp.machine} takes no fewer, and gcp.local_ssds is {asked}"
    else:
        text = f"nodes get {added} of {_LOCAL_SSD_GB} GB" if added else "none; the cache is on the boot disk"
    return Finding("local SSDs", "ok", text)


def _project(cloud: Cloud) -> Iterator[Finding]:
    assert cloud.credentials is not None
    yield Finding("credentials", "ok", _who(cloud))
    try:
        project = cloud.rest("cloudresourcemanager", "GET", f"/v3/projects/{cloud.project}")
    except (CloudDenied, CloudNotFound) as error:
        yield Finding("project", "problem", str(error), f"gcloud projects describe {cloud.project}")
        return
    yield Finding("project", "ok", f"{cloud.project} is {str(project.get('state', 'there')).lower()}")


def _who(cloud: Cloud) -> str:
    email = getattr(cloud.credentials, "service_account_email", "") or getattr(cloud.credentials, "account", "")
    return f"of {email}" if email else "found"


def _apis(cloud: Cloud) -> Iterator[Finding]:
    missing = ApisPart(cloud).missing()
    if missing:
        yield Finding(
            "APIs",
            "problem",
            f"off: {', '.join(name.removesuffix('.googleapis.com') for name in missing)}",
            f"gcloud services enable {' '.join(missing)} --project={cloud.project}",
        )
        return
    yield Finding("APIs", "ok", "all needed are on")
    billing = cloud.rest("cloudbilling", "GET", f"/v1/projects/{cloud.project}/billingInfo")
    if billing.get("billingEnabled"):
        yield Finding("billing", "ok", "the project pays")
    else:
        mend = f"gcloud billing projects link {cloud.project} --billing-account=ACCOUNT"
        yield Finding("billing", "problem", "no billing account is linked", mend)


def _permissions(cloud: Cloud) -> Iterator[Finding]:
    path = f"/v3/projects/{cloud.project}:testIamPermissions"
    has = set(cloud.rest("cloudresourcemanager", "POST", path, {"permissions": list(_NEEDED)}).get("permissions", ()))
    missing = [name for name in _NEEDED if name not in has]
    if not missing:
        yield Finding("IAM", "ok", "you may make all of it")
        return
    roles = sorted({_ROLE_OF[name.partition(".")[0]] for name in missing})
    member = f"gcloud projects add-iam-policy-binding {cloud.project} --member=user:YOUR_EMAIL"
    for role in roles:
        lacking = [name for name in missing if _ROLE_OF[name.partition(".")[0]] == role]
        yield Finding("IAM", "problem", f"you lack {', '.join(lacking)}", f"{member} --role={role}")


_ROLE_OF = {
    "batch": "roles/batch.jobsEditor",
    "compute": "roles/compute.admin",
    "iam": "roles/iam.serviceAccountAdmin",
    "resourcemanager": "roles/resourcemanager.projectIamAdmin",
    "serviceusage": "roles/serviceusage.serviceUsageAdmin",
    "storage": "roles/storage.admin",
}


def _quotas(cloud: Cloud) -> Iterator[Finding]:
    gcp = cloud.gcp
    with translated(f"region {gcp.region}"):
        region = cloud.compute("Regions").get(project=cloud.project, region=gcp.region)
    quotas = {quota.metric: quota.limit - quota.usage for quota in region.quotas}
    spot = gcp.provisioning == "spot"
    family = gcp.machine.partition("-")[0].upper()
    # Spot VMs spend their own quota where there is one, else that of their family.
    cpus = [name for name in (["PREEMPTIBLE_CPUS"] if spot else []) + [f"{family}_CPUS", "CPUS"] if quotas.get(name)]
    ssds = ["PREEMPTIBLE_LOCAL_SSD_GB"] if spot else []
    wanted = [(cpus[:1], gcp.nodes * cores_of(gcp.machine), "CPUs"), (["INSTANCES"], gcp.nodes, "VMs")]
    added = added_ssds(gcp.machine, gcp.local_ssds)
    if added:
        wanted.append(([*ssds, "LOCAL_SSD_TOTAL_GB"], gcp.nodes * added * _LOCAL_SSD_GB, "GB of local SSD"))
    for metrics, need, words in wanted:
        metric = next((name for name in metrics if name in quotas), "")
        if not metric:
            yield Finding("quotas", "unknown", f"no quota of {words} is told for {gcp.region}")
        elif quotas[metric] >= need:
            yield Finding("quotas", "ok", f"{metric}: {quotas[metric]:.0f} free, {gcp.nodes} nodes need {need:.0f}")
        else:
            fewer = int(quotas[metric] // (need / gcp.nodes))
            text = f"{metric}: {quotas[metric]:.0f} free, {gcp.nodes} nodes need {need:.0f}"
            page = f"https://console.cloud.google.com/iam-admin/quotas?project={cloud.project}"
            yield Finding("quotas", "problem", text, f"ask for more at {page}, or set gcp.nodes = {max(fewer, 1)}")


def _parts(parts: list[Part]) -> Iterator[Finding]:
    for part in parts:
        yield from _guarded(lambda part=part: _part(part), part.kind)  # type: ignore[misc]  # the part of this turn


def _part(part: Part) -> Iterator[Finding]:
    look = part.look()
    told = f"{part.name}{': ' + '; '.join(look.differences) if look.differences else ''}"
    if look.verdict is Verdict.FINE:
        yield Finding(part.kind, "ok", told)
        if any("uniform access is false" in each for each in look.differences):
            mend = f"gcloud storage buckets update {part.name} --uniform-bucket-level-access"
            yield Finding(part.kind, "problem", f"{part.name}: conditions on names need uniform access", mend)
    elif look.verdict is Verdict.MISSING:
        yield Finding(part.kind, "problem", f"{part.name} is not there", "jit-deploy up")
    else:
        yield Finding(part.kind, "problem", told, "jit-deploy up")


def _own_subnet(cloud: Cloud) -> Iterator[Finding]:
    """A subnet of the studio's own is not ours to change, only to look at."""
    if any(part.kind == "subnet" for part in network_parts(cloud)):
        return
    name = subnetwork_name(cloud).rpartition("/")[2]
    with translated(f"subnet {name}"):
        subnet = cloud.compute("Subnetworks").get(project=cloud.project, region=cloud.gcp.region, subnetwork=name)
    if subnet.private_ip_google_access:
        yield Finding("subnet", "ok", f"{name} has Private Google Access")
        return
    mend = (
        f"gcloud compute networks subnets update {name} --region={cloud.gcp.region} --enable-private-ip-google-access"
    )
    yield Finding("subnet", "problem", f"{name} has no Private Google Access", f"{mend} --project={cloud.project}")


def _image(cloud: Cloud) -> Iterator[Finding]:
    link = image_family(cloud)
    project, _, rest = link.removeprefix("projects/").partition("/global/images/")
    try:
        image = _get_image(cloud, project, rest)
    except CloudNotFound:
        yield Finding("image", "problem", f"there is no {rest} yet", "jit-deploy image --wheels FOLDER")
        return
    yield Finding("image", "ok", f"{image.name} is {str(image.status).lower()}")


def _get_image(cloud: Cloud, project: str, name: str) -> Any:
    client = cloud.compute("Images")
    with translated(f"image {name}"):
        if name.startswith("family/"):
            return client.get_from_family(project=project, family=name.removeprefix("family/"))
        return client.get(project=project, image=name)


def _regions(cloud: Cloud) -> Iterator[Finding]:
    """A bucket elsewhere works, and costs with every miss."""
    for name in dict.fromkeys((cloud.gcp.assets, cloud.gcp.outputs, cloud.gcp.state)):
        try:
            with translated(f"gs://{name}"):
                location = cloud.buckets.get_bucket(name).location
        except CloudError:
            continue  # told above
        if location and location.lower() != cloud.gcp.region:
            text = f"gs://{name} lies in {location.lower()}, nodes in {cloud.gcp.region}: each fetched GiB costs"
            yield Finding("bucket", "problem", text, f"move it, or set gcp.region where gs://{name} is")


def _licence(cloud: Cloud) -> Iterator[Finding]:
    """Reached from here; whether nodes reach it is the network's business and cannot be told from here."""
    port, _, host = cloud.gcp.licence.partition("@")
    if not host:
        yield Finding("licence server", "unknown", "gcp.licence is not set; the stand-in renderer needs none")
        return
    try:
        socket.create_connection((host, int(port)), timeout=_LICENCE_SECONDS).close()
    except (OSError, OverflowError) as error:
        text = f"{cloud.gcp.licence} does not answer from here ({error})"
        yield Finding("licence server", "problem", text, f"nc -vz {host} {port}, on a machine in the nodes' network")
        return
    yield Finding("licence server", "ok", f"{cloud.gcp.licence} answers here; nodes need a route to it")
