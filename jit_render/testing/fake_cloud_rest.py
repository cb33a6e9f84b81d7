"""The fake project's small services: accounts, project policy, which APIs are on, and the price catalogue."""

from __future__ import annotations

import base64
import copy
import re
from dataclasses import dataclass, field
from typing import Any, Protocol

from jit_render.testing.gcs_buckets import check_bindings
from jit_render.testing.gcs_model import ApiError

_ACCOUNT_ID = re.compile(r"^[a-z](?:[-a-z0-9]{4,28}[a-z0-9])$")
Json = dict[str, Any]


class Served(Protocol):
    """One service of the fake."""

    def permission(self, method: str, path: str) -> str: ...
    def answer(self, method: str, path: str, query: dict[str, str], body: Json) -> Json: ...


@dataclass
class Policy:
    """An IAM policy with its etag."""

    bindings: list[Json] = field(default_factory=list)
    version: int = 1
    edition: int = 0

    @property
    def etag(self) -> str:
        return base64.b64encode(f"edition {self.edition}".encode()).decode()

    def shown(self, requested: int) -> Json:
        """Below version 3 a condition is not told, and its role gets a name that nobody should write back."""
        bindings = copy.deepcopy(self.bindings)
        if requested < 3:
            for binding in bindings:
                if binding.pop("condition", None):
                    binding["role"] += "_withcond_0123456789abcdef"
        return {"version": self.version if requested >= 3 else 1, "bindings": bindings, "etag": self.etag}

    def change(self, wish: Json) -> Json:
        if wish.get("etag") and wish["etag"] != self.etag:
            raise ApiError(409, "aborted", "There were concurrent policy changes. Please retry the whole change.")
        if any("_withcond_" in str(binding.get("role")) for binding in wish.get("bindings", [])):
            raise ApiError(400, "invalid", "Role names with _withcond_ cannot be set; read the policy as version 3.")
        check_bindings(wish)
        self.bindings, self.version = copy.deepcopy(wish.get("bindings", [])), int(wish.get("version", 1))
        self.edition += 1
        return self.shown(3)


class Services:
    """Service Usage: which APIs are on. An API that is off answers 403."""

    def __init__(self, project: str, enabled: set[str]) -> None:
        self.enabled = enabled
        self._project = project
        self._operations: dict[str, list[str]] = {}

    def permission(self, method: str, path: str) -> str:
        del path
        return "serviceusage.services.enable" if method == "POST" else "serviceusage.services.list"

    def check(self, service: str) -> None:
        name = f"{service}.googleapis.com"
        if name not in self.enabled:
            raise ApiError(
                403,
                "accessNotConfigured",
                f"{name} has not been used in project {self._project} before or it is disabled.",
            )

    def answer(self, method: str, path: str, query: dict[str, str], body: Json) -> Json:
        if path.startswith("/v1/operations/"):
            name = path.removeprefix("/v1/")
            if name not in self._operations:
                raise ApiError(404, "notFound", f"{name} not found")
            self.enabled.update(self._operations[name])
            return {"name": name, "done": True, "response": {}}
        if method == "POST" and path.endswith("services:batchEnable"):
            names = body.get("serviceIds", [])
            if not names or len(names) > 20 or not all(str(name).endswith(".googleapis.com") for name in names):
                raise ApiError(400, "invalid", "serviceIds: from 1 to 20 names of services.")
            name = f"operations/acat.p2-{len(self._operations) + 1}"
            self._operations[name] = [str(service) for service in names]
            return {"name": name}
        if method == "GET" and query.get("filter") == "state:ENABLED":
            listed = [{"config": {"name": name}, "state": "ENABLED"} for name in sorted(self.enabled)]
            return {"services": listed}
        raise ApiError(404, "notFound", f"No such method: {method} {path}")


class Accounts:
    """IAM: service accounts and who may act as them."""

    def __init__(self, project: str) -> None:
        self.accounts: dict[str, Json] = {}
        self.policies: dict[str, Policy] = {}
        self.unknown_yet: dict[str, int] = {}
        """How often a new account is still unknown to policies."""
        self.lag = 1
        self._project = project

    def permission(self, method: str, path: str) -> str:
        if ":" in path.rpartition("/")[2]:
            return f"iam.serviceAccounts.{path.rpartition(':')[2]}"
        return "iam.serviceAccounts." + {"POST": "create", "DELETE": "delete"}.get(method, "get")

    def answer(self, method: str, path: str, query: dict[str, str], body: Json) -> Json:
        _, _, name = path.partition("/serviceAccounts")
        email, _, verb = name.removeprefix("/").partition(":")
        if method == "POST" and not email:
            return self._create(body)
        account = self.accounts.get(email)
        if account is None:
            raise ApiError(404, "notFound", f"Unknown service account: {email}")
        if verb == "getIamPolicy":
            return self.policies[email].shown(int(query.get("options.requestedPolicyVersion") or 1))
        if verb == "setIamPolicy":
            return self.policies[email].change(body.get("policy", {}))
        if method == "DELETE":
            del self.accounts[email], self.policies[email]
            return {}
        return account

    def check_members(self, bindings: list[Json]) -> None:
        """Raises ApiError 400 where a service account is not known (yet)."""
        members = {member for binding in bindings for member in binding.get("members", [])}
        for member in members:
            kind, _, email = member.partition(":")
            if kind != "serviceAccount" or not email.endswith(f"@{self._project}.iam.gserviceaccount.com"):
                continue
            if self.unknown_yet.get(email, 0):
                self.unknown_yet[email] -= 1
            elif email in self.accounts:
                continue
            raise ApiError(400, "invalid", f"Service account {email} does not exist.")

    def _create(self, body: Json) -> Json:
        account_id = str(body.get("accountId", ""))
        if not _ACCOUNT_ID.match(account_id):
            raise ApiError(400, "invalid", f"Service account ID {account_id!r}: 6 to 30 of [-a-z0-9].")
        email = f"{account_id}@{self._project}.iam.gserviceaccount.com"
        if email in self.accounts:
            raise ApiError(409, "alreadyExists", f"Service account {account_id} already exists.")
        name = {"name": f"projects/{self._project}/serviceAccounts/{email}", "email": email}
        self.accounts[email] = {**name, **body.get("serviceAccount", {})}
        self.policies[email] = Policy()
        self.unknown_yet[email] = self.lag
        return self.accounts[email]


class Projects:
    """Resource Manager: the project, its policy, and what the caller may do."""

    def __init__(self, project: str, accounts: Accounts, denied: set[str]) -> None:
        self.policy = Policy()
        self._project = project
        self._accounts = accounts
        self._denied = denied

    def permission(self, method: str, path: str) -> str:
        del method
        verb = path.rpartition(":")[2]
        return f"resourcemanager.projects.{verb}" if verb in {"getIamPolicy", "setIamPolicy"} else ""

    def answer(self, method: str, path: str, query: dict[str, str], body: Json) -> Json:
        del query
        project, _, verb = path.removeprefix("/v3/projects/").partition(":")
        if project != self._project:
            raise ApiError(403, "forbidden", f"The caller does not have permission on project {project!r}.")
        if verb == "getIamPolicy":
            return self.policy.shown(int(body.get("options", {}).get("requestedPolicyVersion", 1)))
        if verb == "setIamPolicy":
            self._accounts.check_members(body.get("policy", {}).get("bindings", []))
            return self.policy.change(body.get("policy", {}))
        if verb == "testIamPermissions":
            return {"permissions": [name for name in body.get("permissions", []) if name not in self._denied]}
        if method == "GET" and not verb:
            return {"name": "projects/1234567890", "projectId": project, "state": "ACTIVE"}
        raise ApiError(404, "notFound", f"No such method: {method} {path}")


class Billing:
    """The Billing Catalog, in pages, and whether the project pays."""

    def __init__(self) -> None:
        self.skus: list[Json] = []
        self.page = 2
        self.enabled = True

    def permission(self, method: str, path: str) -> str:
        del method, path
        return ""

    def answer(self, method: str, path: str, query: dict[str, str], body: Json) -> Json:
        del body
        if method != "GET":
            raise ApiError(404, "notFound", f"No such method: {method} {path}")
        if path.endswith("/billingInfo"):
            return {"billingEnabled": self.enabled, "billingAccountName": "billingAccounts/0A-0B-0C"}
        if not path.startswith("/v1/services/6F81-5844-456A/skus"):
            raise ApiError(404, "notFound", f"No such service: {path}")
        start = int(query.get("pageToken") or 0)
        more = str(start + self.page) if start + self.page < len(self.skus) else ""
        return {"skus": self.skus[start : start + self.page], "nextPageToken": more}
