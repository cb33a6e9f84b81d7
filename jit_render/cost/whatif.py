"""What the same job would have cost otherwise: on machines that nobody takes away, and from a shared filer.

*On demand*: the same work at the machines' on-demand prices, without what preemptions have lost.

*GlusterFS*: the same work on the same machines without local SSDs, reading from and writing to a filer that is large
enough: as many servers (a machine on demand and its pd-ssd, see the price table) as hold what the job read and wrote,
and as deliver its bytes in its time over their network at `FILER_SHARE` of the nominal speed; times `REPLICAS`. It is
kind to the filer: nodes wait for it no longer than they did for the cache, and it is paid for only while the job runs.
A filer cannot be turned off between jobs, so what it costs a month stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from jit_render.cost.bill import GIB, Bill, Terms
from jit_render.cost.prices import HOURS_PER_MONTH, Prices
from jit_render.cost.tables import Provisioning

REPLICAS = 2
"""Each file on two servers: the least with which a filer outlives one of them."""
FILER_SHARE = 0.7
"""Of its network's nominal speed that a FUSE-mounted replicated volume delivers at best."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a job did. `wall_hours`: while any of its nodes ran; `bytes_kept`: what a filer would have had to hold."""

    seconds: Mapping[str, float]
    hours: Mapping[tuple[str, Provisioning], float]
    wall_hours: float
    bytes_read: int
    bytes_written: int
    bytes_kept: int


@dataclass(frozen=True, slots=True)
class Alternatives:
    """USD; None where a price is missing. `gbps`: what the filer had to deliver."""

    on_demand: float
    glusterfs: float | None
    filer_servers: int
    filer_usd: float | None
    filer_month: float | None
    gbps: float


def alternatives(work: Work, actual: Bill, *, prices: Prices, terms: Terms) -> Alternatives:
    """The job otherwise. Raises ConfigError where one of its own machines has no price."""
    whole = sum(work.seconds.values())
    kept = 1 - work.seconds["lost"] / whole if whole else 1.0
    other = actual.total.storage + actual.total.operations + actual.total.egress
    demand = sum(hours * terms.hour(prices, machine, "standard") for (machine, _), hours in work.hours.items())
    gbps = (work.bytes_read + work.bytes_written) * 8 / 1e9 / (work.wall_hours * 3600) if work.wall_hours else 0.0
    server = prices.machines.get(prices.glusterfs.machine)
    if server is None or "pd_ssd" not in prices.rates:
        return Alternatives(demand * kept + other, None, 0, None, None, gbps)
    needed = [work.bytes_kept / (prices.glusterfs.disk_gib * GIB), gbps / ((server.network_gbps or 10) * FILER_SHARE)]
    servers = max(1, *(math.ceil(one) for one in needed)) * REPLICAS
    bare = replace(terms, local_ssds=0)
    nodes = sum(hours * bare.hour(prices, machine, how) for (machine, how), hours in work.hours.items())
    filer = servers * prices.filer_hour()
    return Alternatives(
        on_demand=demand * kept + other,
        glusterfs=nodes + filer * work.wall_hours,
        filer_servers=servers,
        filer_usd=filer * work.wall_hours,
        filer_month=filer * HOURS_PER_MONTH,
        gbps=gbps,
    )
