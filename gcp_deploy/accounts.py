"""Who may do what: one account for the nodes, and the least roles under conditions on names.

The nodes' account, by place:

* project: ``batch.agentReporter`` (Batch's agent), ``logging.logWriter``, ``artifactregistry.reader``;
* assets: ``storage.objectViewer``;
* outputs: ``objectViewer``, and ``objectUser`` below the write rules' prefixes only. ``objectCreator`` would not do:
  a frame that is rendered again replaces its name;
* state: ``objectViewer``, and ``objectUser`` below ``jobs/`` and ``scratch/``. What nodes *run* (the wheel, the recipe)
  lies in ``deploy/`` of the same bucket, so no node can change what the next one runs.

``objectViewer`` stands beside ``objectUser`` without a condition because listing is asked of the bucket, whose
name no condition on object names fits: under a condition alone every list would be refused (decision 0045).

Submitters (``gcp.submitters``) get ``batch.jobsEditor`` on the project and ``iam.serviceAccountUser`` on that account.
"""

from __future__ import annotations

from collections.abc import Iterator

from gcp_deploy.access import Cloud
from gcp_deploy.buckets import SCRATCH
from gcp_deploy.parts import Look, Verdict
from gcp_deploy.policies import Grant, Place, account_place, beyond, bucket_place, grant, project_place, revoke
from jit_render.model.errors import CloudConflict, CloudNotFound
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import GcpSettings

_NODE_ROLES = ("roles/batch.agentReporter", "roles/logging.logWriter", "roles/artifactregistry.reader")
_READ, _WRITE = "roles/storage.objectViewer", "roles/storage.objectUser"
JOBS = "jobs/"


def node_account(cloud: Cloud) -> str:
    """E-mail of the account that nodes run as."""
    return cloud.gcp.account or own_account(cloud.gcp)


def own_account(gcp: GcpSettings) -> str:
    """What ``jit-deploy`` calls the account that it makes."""
    return f"{gcp.name}-node@{gcp.project}.iam.gserviceaccount.com"


def owns_account(gcp: GcpSettings) -> bool:
    """Whether the nodes' account is ours to make, trim and remove."""
    return gcp.account in {"", own_account(gcp)}


class AccountPart:
    """The nodes' service account."""

    kind = "account"

    def __init__(self, cloud: Cloud) -> None:
        self.name = node_account(cloud)
        self._cloud = cloud
        self._folder = f"/v1/projects/{cloud.project}/serviceAccounts"

    def look(self) -> Look:
        try:
            self._cloud.rest("iam", "GET", f"{self._folder}/{self.name}")
        except CloudNotFound:
            return Look(Verdict.MISSING)
        return Look(Verdict.FINE)

    def make(self) -> None:
        if not owns_account(self._cloud.gcp):
            raise CloudNotFound(f"account {self.name} is not there; make it, or leave gcp.account empty.")
        text = {"displayName": f"Nodes of {self._cloud.gcp.name}", "description": f"jit-render={self._cloud.gcp.name}"}
        body = {"accountId": self.name.partition("@")[0], "serviceAccount": text}
        try:
            self._cloud.rest("iam", "POST", self._folder, body)
        except CloudConflict:
            return  # an earlier run made it, and its answer was lost

    def remove(self) -> bool:
        if not owns_account(self._cloud.gcp):
            return False
        try:
            self._cloud.rest("iam", "DELETE", f"{self._folder}/{self.name}")
        except CloudNotFound:
            return False
        return True


class GrantsPart:
    """Our bindings on one policy. Others' bindings are never touched."""

    kind = "roles"

    def __init__(self, cloud: Cloud, place: Place, grants: list[Grant]) -> None:
        self.name = place.name
        self.grants = grants
        self._cloud = cloud
        self._place = place

    def look(self) -> Look:
        try:
            policy = self._place.read()
        except CloudNotFound:
            return Look(Verdict.MISSING, tuple(str(each) for each in self.grants))
        missing = tuple(f"no {each}" for each in self.grants if not each.is_in(policy))
        extra = tuple(
            f"{binding['role']} for the nodes is more than they need"
            for binding in beyond(policy, self._node, self.grants)
            if owns_account(self._cloud.gcp)  # a studio's own account may have other duties
        )
        if not missing + extra:
            return Look(Verdict.FINE)
        none_there = len(missing) == len(self.grants) and not extra
        return Look(Verdict.MISSING if none_there else Verdict.DRIFTED, missing + extra)

    def make(self) -> None:
        grant(self._cloud, self._place, self.grants, alone=self._node if owns_account(self._cloud.gcp) else "")

    @property
    def _node(self) -> str:
        return f"serviceAccount:{node_account(self._cloud)}"

    def remove(self) -> bool:
        mine = {(each.role, each.member) for each in self.grants}
        try:
            return revoke(self._cloud, self._place, lambda role, member: (role, member) in mine)
        except CloudNotFound:
            return False  # the bucket or the account is gone, and its policy with it


def account_parts(cloud: Cloud) -> Iterator[AccountPart | GrantsPart]:
    """The account, then its roles place by place, then the submitters'."""
    yield AccountPart(cloud)
    node = f"serviceAccount:{node_account(cloud)}"
    on_project = [Grant(role, node) for role in _NODE_ROLES]
    on_project += [Grant("roles/batch.jobsEditor", member) for member in cloud.gcp.submitters]
    yield GrantsPart(cloud, project_place(cloud), on_project)
    if cloud.gcp.submitters:
        users = [Grant("roles/iam.serviceAccountUser", member) for member in cloud.gcp.submitters]
        yield GrantsPart(cloud, account_place(cloud, node_account(cloud)), users)
    for bucket, grants in _bucket_grants(cloud, node).items():
        yield GrantsPart(cloud, bucket_place(cloud, bucket), grants)


def _bucket_grants(cloud: Cloud, node: str) -> dict[str, list[Grant]]:
    """Per bucket what nodes may do in it; each may be read, some may be written in places."""
    gcp = cloud.gcp
    writable: dict[str, list[str]] = {name: [] for name in (gcp.assets, gcp.outputs, gcp.state) if name}
    for rule in cloud.settings.paths:
        target = ObjectUrl.parse(rule.target)
        bucket = target.root.removeprefix("gs://")
        if target.root.startswith("gs://"):
            places = writable.setdefault(bucket, [])
            if rule.mode == "write":
                places.append(f"{target.key}/" if target.key else "")
    if gcp.outputs and not writable[gcp.outputs]:
        writable[gcp.outputs].append("")
    if gcp.state:
        folder = cloud.settings.job.state.removeprefix(f"gs://{gcp.state}").strip("/")
        folder = "" if "://" in folder or not folder else f"{folder}/"
        writable[gcp.state] += [f"{folder}{JOBS}", SCRATCH]
    if gcp.nuke:
        writable.setdefault(ObjectUrl.parse(gcp.nuke).root.removeprefix("gs://"), [])
    return {
        bucket: [Grant(_READ, node), *([_writes(bucket, prefixes, node)] if prefixes else [])]
        for bucket, prefixes in writable.items()
    }


def _writes(bucket: str, prefixes: list[str], node: str) -> Grant:
    """`objectUser` below `prefixes`; "" is the whole bucket, still objects only."""
    begin = f"projects/_/buckets/{bucket}/objects/"
    shortest = [
        each
        for each in dict.fromkeys(sorted(prefixes))
        if not any(each != other and each.startswith(other) for other in prefixes)
    ]
    expression = " || ".join(f"resource.name.startsWith({_quoted(begin + prefix)})" for prefix in shortest)
    title = f"below {', '.join(prefix or 'the root' for prefix in shortest)}"
    return Grant(_WRITE, node, title[:100], expression)


def _quoted(text: str) -> str:
    """A string of the condition language: a name with a quote must not end it early."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
