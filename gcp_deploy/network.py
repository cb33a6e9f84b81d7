"""A network of the nodes' own: no way in, no address outside, Google's services by the private way.

Nodes answer nobody (one rule denies all that comes in, below everything a studio may add for itself) and have no
external address; Private Google Access lets them reach buckets, Batch and Logging. A licence server is reached
by the studio's own peering or VPN, which we do not touch. Where ``gcp.network`` or ``gcp.subnetwork`` names another
than ours, it is the studio's, and nothing here is made.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from typing import Any

from gcp_deploy.access import Cloud, found
from gcp_deploy.operations import change, insert
from gcp_deploy.parts import Look, Verdict, differences
from jit_render.model.errors import CloudConflict, CloudNotFound
from jit_render.model.settings import GcpSettings

_RANGE = str(ipaddress.ip_network("10.128.0.0/20"))  # 4,092 nodes: Batch has 4,000 at most
_LOWEST_PRIORITY = 65534  # the service's implied rules have 65535; anything a studio adds goes before ours


class ComputePart:
    """A thing of Compute Engine that is described by one message."""

    def __init__(
        self,
        cloud: Cloud,
        *,
        kind: str,
        name: str,
        client: str,
        key: str,
        wanted: dict[str, Any],
        region: str = "",
        mend: Callable[[Any], None] | None = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self.wanted = wanted
        self._cloud = cloud
        self._client = client
        self._key = key
        self._where = {"region": region} if region else {}
        self._mend = mend

    def look(self) -> Look:
        there = self.there()
        if there is None:
            return Look(Verdict.MISSING)
        told = differences(self.wanted, there)
        return Look(Verdict.DRIFTED if told else Verdict.FINE, told)

    def there(self) -> dict[str, Any] | None:
        """What is there, as the message's fields."""
        get = self._cloud.compute(self._client).get
        message = found(self._place, lambda: get(project=self._cloud.project, **{self._key: self.name}, **self._where))
        if message is None:
            return None
        shown: dict[str, Any] = type(message).to_dict(message, use_integers_for_enums=False)
        return shown

    def make(self) -> None:
        resource = {f"{self._key}_resource": {"name": self.name, **self.wanted}}
        if self.there() is None:
            insert(self._cloud, self._place, self._client, **resource, **self._where)
        if self._mend is not None and self.look().verdict is Verdict.DRIFTED:
            self._mend(resource)
        if not self._is_ours(self.there() or self.wanted):
            raise CloudConflict(f"{self._place} is there and was not made by us; choose another gcp.name.")

    def remove(self) -> bool:
        there = self.there()
        if there is None or not self._is_ours(there):
            return False
        try:
            change(self._cloud, self._place, self._client, "delete", **{self._key: self.name}, **self._where)
        except CloudNotFound:
            return False  # an earlier run's operation got there first
        return True

    def _is_ours(self, there: dict[str, Any]) -> bool:
        """By what we write on it: a name alone may be somebody else's choice too."""
        return bool(there.get("description") == self.wanted["description"])

    @property
    def _place(self) -> str:
        return f"{self.kind} {self.name}"


def owns_network(gcp: GcpSettings) -> bool:
    """Whether network and subnet are ours to make, by their names."""
    return gcp.network in {"", gcp.name} and gcp.subnetwork in {"", f"{gcp.name}-{gcp.region}"}


def network_name(cloud: Cloud) -> str:
    """Link of the nodes' network, theirs or ours."""
    return _link(cloud, cloud.gcp.network or cloud.gcp.name, "global/networks")


def subnetwork_name(cloud: Cloud) -> str:
    """Link of the nodes' subnet."""
    region = cloud.gcp.region
    return _link(cloud, cloud.gcp.subnetwork or f"{cloud.gcp.name}-{region}", f"regions/{region}/subnetworks")


def _link(cloud: Cloud, name: str, folder: str) -> str:
    return name if "/" in name else f"projects/{cloud.project}/{folder}/{name}"


def network_parts(cloud: Cloud) -> Iterator[ComputePart]:
    """Network, subnet and firewall, in the order in which they can be made."""
    gcp = cloud.gcp
    if not owns_network(gcp):
        return
    mark = f"jit-render={gcp.name}"  # networks have no labels
    wanted = {"description": mark, "auto_create_subnetworks": False}
    yield ComputePart(cloud, kind="network", name=gcp.name, client="Networks", key="network", wanted=wanted)
    network = f"projects/{cloud.project}/global/networks/{gcp.name}"
    yield _subnet(cloud, mark, network)
    yield _firewall(cloud, mark, network)


def _subnet(cloud: Cloud, mark: str, network: str) -> ComputePart:
    name = f"{cloud.gcp.name}-{cloud.gcp.region}"
    return ComputePart(
        cloud,
        kind="subnet",
        name=name,
        client="Subnetworks",
        key="subnetwork",
        region=cloud.gcp.region,
        wanted={
            "description": mark,
            "network": network,
            "ip_cidr_range": _RANGE,
            "private_ip_google_access": True,
        },
        mend=lambda _resource: _open_private_access(cloud, name),
    )


def _firewall(cloud: Cloud, mark: str, network: str) -> ComputePart:
    name = f"{cloud.gcp.name}-no-ingress"
    return ComputePart(
        cloud,
        kind="firewall",
        name=name,
        client="Firewalls",
        key="firewall",
        wanted={
            "description": mark,
            "network": network,
            "direction": "INGRESS",
            "priority": _LOWEST_PRIORITY,
            "denied": [{"I_p_protocol": "all"}],
            "source_ranges": ["0.0.0.0/0"],
            "disabled": False,
        },
        mend=lambda resource: change(cloud, f"firewall {name}", "Firewalls", "patch", firewall=name, **resource),
    )


def _open_private_access(cloud: Cloud, subnet: str) -> None:
    request = {"private_ip_google_access": True}
    change(
        cloud,
        f"subnet {subnet}",
        "Subnetworks",
        "set_private_ip_google_access",
        region=cloud.gcp.region,
        subnetwork=subnet,
        subnetworks_set_private_ip_google_access_request_resource=request,
    )
