"""IAM policies: adding and taking away single bindings without losing what others changed meanwhile.

A policy is read and written as a whole. Its etag guards the change: where somebody else wrote first (409, from
buckets 412) it is read again. Version 3 is asked for always: below it conditions are hidden, and writing such a policy
back would lose them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gcp_deploy.access import Cloud, error_of, translated
from jit_render.model.errors import CloudConflict, CloudError

_TRIES = 8
_LAG_SECONDS = 60.0
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Grant:
    """One role for one member, perhaps under a condition."""

    role: str
    member: str
    title: str = ""
    expression: str = ""

    def binding(self) -> Json:
        condition = {"condition": {"title": self.title, "expression": self.expression}} if self.expression else {}
        return {"role": self.role, "members": [self.member], **condition}

    def is_in(self, policy: Mapping[str, Any]) -> bool:
        return any(self.fits(binding) and self.member in binding["members"] for binding in policy.get("bindings", ()))

    def fits(self, binding: Mapping[str, Any]) -> bool:
        """Whether `binding` is of this role under this very condition."""
        condition = binding.get("condition") or {}
        return bool(binding["role"] == self.role and condition.get("expression", "") == self.expression)

    def __str__(self) -> str:
        who = self.member.partition(":")[2]
        short = who.partition("@")[0] if self.member.startswith("serviceAccount:") else who
        return f"{self.role} for {short}" + (f", {self.title}" if self.title else "")


@dataclass(frozen=True, slots=True)
class Place:
    """Something that has a policy: how it is read, and how it is written."""

    name: str
    read: Callable[[], Json]
    write: Callable[[Json], None]


def project_place(cloud: Cloud) -> Place:
    path = f"/v3/projects/{cloud.project}"
    options = {"options": {"requestedPolicyVersion": 3}}
    return Place(
        f"project {cloud.project}",
        lambda: cloud.rest("cloudresourcemanager", "POST", f"{path}:getIamPolicy", options),
        lambda policy: _ignore(cloud.rest("cloudresourcemanager", "POST", f"{path}:setIamPolicy", {"policy": policy})),
    )


def account_place(cloud: Cloud, email: str) -> Place:
    path = f"/v1/projects/{cloud.project}/serviceAccounts/{email}"
    query = {"options.requestedPolicyVersion": "3"}
    return Place(
        f"account {email}",
        lambda: cloud.rest("iam", "POST", f"{path}:getIamPolicy", query=query),
        lambda policy: _ignore(cloud.rest("iam", "POST", f"{path}:setIamPolicy", {"policy": policy})),
    )


def bucket_place(cloud: Cloud, name: str) -> Place:
    def read() -> Json:
        with translated(f"gs://{name}"):
            policy: Json = cloud.buckets.bucket(name).get_iam_policy(requested_policy_version=3).to_api_repr()
            return policy

    def write(policy: Json) -> None:
        from google.api_core.iam import Policy

        with translated(f"gs://{name}"):
            spelled = Policy.from_api_repr(policy)  # type: ignore[no-untyped-call]  # google-api-core is typed in part
            cloud.buckets.bucket(name).set_iam_policy(spelled, retry=None)

    return Place(f"gs://{name}", read, write)


def grant(cloud: Cloud, place: Place, grants: Iterable[Grant], *, alone: str = "") -> None:
    """Add what is missing of `grants`; the member `alone` loses whatever else it has there. Raises CloudError."""
    wanted = list(grants)

    def add(policy: Json) -> bool:
        more = bool(alone) and _trim(policy, alone, wanted)
        missing = [each for each in wanted if not each.is_in(policy)]
        for each in missing:
            fitting = next((binding for binding in policy["bindings"] if each.fits(binding)), None)
            if fitting is None:
                policy["bindings"].append(each.binding())
            else:
                fitting["members"] = [*fitting["members"], each.member]
        return more or bool(missing)

    _change(cloud, place, add)


def beyond(policy: Mapping[str, Any], member: str, wanted: Iterable[Grant]) -> list[Json]:
    """Bindings that `member` has and `wanted` does not list."""
    mine = [each for each in wanted if each.member == member]
    return [
        binding
        for binding in policy.get("bindings", ())
        if member in binding["members"] and not any(each.fits(binding) for each in mine)
    ]


def _trim(policy: Json, member: str, wanted: list[Grant]) -> bool:
    extra = beyond(policy, member, wanted)
    for binding in extra:
        binding["members"] = [each for each in binding["members"] if each != member]
    policy["bindings"] = [binding for binding in policy["bindings"] if binding["members"]]
    return bool(extra)


def revoke(cloud: Cloud, place: Place, is_meant: Callable[[str, str], bool]) -> bool:
    """Take away every binding whose (role, member) `is_meant`; whether there was one."""

    def drop(policy: Json) -> bool:
        before = sum(len(binding["members"]) for binding in policy["bindings"])
        for binding in policy["bindings"]:
            binding["members"] = [each for each in binding["members"] if not is_meant(binding["role"], each)]
        policy["bindings"] = [binding for binding in policy["bindings"] if binding["members"]]
        return sum(len(binding["members"]) for binding in policy["bindings"]) < before

    return _change(cloud, place, drop)


def _change(cloud: Cloud, place: Place, edit: Callable[[Json], bool]) -> bool:
    deadline = cloud.clock.monotonic() + _LAG_SECONDS
    conflicts = 0
    while True:
        policy = place.read()
        policy.setdefault("bindings", [])
        if not edit(policy):
            return False
        policy["version"] = 3
        try:
            place.write(policy)
        except CloudConflict:
            conflicts += 1
            if conflicts == _TRIES:
                raise error_of(
                    409, place.name, "its policy keeps being changed by somebody else; run it again"
                ) from None
        except CloudError as error:
            # A service account that was just made is not known everywhere at once.
            if "does not exist" not in str(error) or cloud.clock.monotonic() > deadline:
                raise
            cloud.clock.sleep(2.0)
        else:
            return True


def _ignore(_answer: Json) -> None:
    """Policies are read again rather than trusted from the answer."""
