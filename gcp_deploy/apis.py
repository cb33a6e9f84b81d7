"""The services that a project must have switched on."""

from __future__ import annotations

from gcp_deploy.access import Cloud
from gcp_deploy.parts import Look, Verdict
from jit_render.model.errors import CloudUnavailable

NEEDED = tuple(
    f"{name}.googleapis.com"
    for name in ("batch", "cloudbilling", "cloudresourcemanager", "compute", "iam", "logging", "storage")
)
_PATIENCE_SECONDS = 300.0


class ApisPart:
    """All that are needed, switched on in one go. They are never switched off: others may use them."""

    kind = "API"

    def __init__(self, cloud: Cloud) -> None:
        self.name = "services"
        self._cloud = cloud

    def look(self) -> Look:
        missing = self.missing()
        return Look(Verdict.MISSING if missing else Verdict.FINE, tuple(f"{name} is off" for name in missing))

    def missing(self) -> list[str]:
        """Names of the services that are off."""
        enabled: set[str] = set()
        token = ""
        while True:
            query = {"filter": "state:ENABLED", "pageSize": "200", "pageToken": token}
            page = self._cloud.rest("serviceusage", "GET", f"/v1/projects/{self._cloud.project}/services", query=query)
            enabled |= {str(service["config"]["name"]) for service in page.get("services", ())}
            token = page.get("nextPageToken", "")
            if not token:
                return [name for name in NEEDED if name not in enabled]

    def make(self) -> None:
        missing = self.missing()
        if not missing:
            return
        path = f"/v1/projects/{self._cloud.project}/services:batchEnable"
        operation = self._cloud.rest("serviceusage", "POST", path, {"serviceIds": missing})
        deadline = self._cloud.clock.monotonic() + _PATIENCE_SECONDS
        while not operation.get("done"):
            if self._cloud.clock.monotonic() > deadline:
                raise CloudUnavailable(f"{', '.join(missing)}: not on after five minutes; run it again.")
            operation = self._cloud.rest("serviceusage", "GET", f"/v1/{operation['name']}")
            if not operation.get("done"):
                self._cloud.clock.sleep(2.0)

    def remove(self) -> bool:
        return False
