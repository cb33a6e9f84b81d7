"""From seconds to USD: nodes by the hour, the filer by the hour that it stands, requests by the thousand.

A filer stands whether anybody renders or not; a job pays for its wall time divided by `Terms.filer_use`, the share of
its hours that the studio uses it. What holds the shot for a month, bucket or filer, is left out: a studio that has a
filer keeps its shows in a bucket besides. Nodes of the filer and of copy-all pay for the disks that they need as well:
copy-all and the caches of rclone and jit have local SSDs, the filer's nodes have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks.simulate.values import Outcome
from jit_render.cost import Prices, Provisioning

Place = Literal["regional", "multi-region", "rapid cache"]
"""Where the bucket is: in the nodes' region; in several; in several with Rapid Cache in the nodes' zone."""
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Terms:
    """What is paid for."""

    machine: str = "n2d-standard-8"
    provisioning: Provisioning = "spot"
    local_ssds: int = 1
    filers: float = 1
    """Servers of the filer; less than one: a smaller one, with that part of its bandwidth and of its price."""
    filer_use: float = 0.5
    place: Place = "regional"
    show_bytes: float = 0.0
    """What Rapid Cache takes in once."""


def cost(outcome: Outcome, prices: Prices, terms: Terms) -> dict[str, float]:
    """USD of the job by part."""
    on_filer = outcome.system == "gluster"
    node = prices.hour(terms.machine, terms.provisioning, 0 if on_filer else terms.local_ssds)
    parts = {name: getattr(outcome.spent, name) / 3600 * node for name in outcome.spent.__slots__}
    filer = terms.filers * prices.filer_hour() * outcome.wall_seconds / 3600 / terms.filer_use
    parts["filer"] = filer if on_filer else 0.0
    parts["requests"] = outcome.bucket_reads / 1000 * prices.rate("class_b")
    if not on_filer:
        parts["requests"] += outcome.frames / 1000 * prices.rate("class_a")
    parts["traffic"] = _traffic(outcome, prices, terms)
    return parts


def _traffic(outcome: Outcome, prices: Prices, terms: Terms) -> float:
    read = outcome.bucket_bytes / GIB
    if terms.place == "regional":
        return 0.0
    if terms.place == "multi-region":
        return read * prices.rate("transfer_na_na")
    taken_in = min(outcome.bucket_bytes, terms.show_bytes) / GIB
    hours = outcome.wall_seconds / 3600
    return (
        taken_in * (prices.rate("rapid_cache_ingest") + prices.rate("transfer_na_na"))
        + taken_in * hours * prices.rate("rapid_cache_hour")
        + read * prices.rate("rapid_cache_read")
    )


def per_frame(outcome: Outcome, prices: Prices, terms: Terms) -> float:
    return sum(cost(outcome, prices, terms).values()) / outcome.frames
