"""What is assumed of the cloud, each with its source, so that anybody can put other numbers in.

Two shots stand for the two ends of what studios render. *compositing*: a feature film's comp, a few layers of 4K
plates. *light field*: each frame reads what hundreds of cameras saw. What decides between a filer and everything
else is neither bytes nor seconds alone but bytes read per second of computing, which `choices` goes through.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from benchmarks.simulate.money import Terms
from benchmarks.simulate.values import Load, Node, Service, Spot, World

MB, GB = 1e6, 1e9
FRAMES_PER_NODE = 24
FILER_BANDWIDTH = 1.2 * GB
SMALLEST_FILER = 0.1
"""Of that server: a tenth of its bandwidth, its 4 TiB and its price, a small studio's own; to be replaced too."""
MOST_NODES = 4_000
"""VMs of one Batch job over several zones: where the search for the largest farm ends, not a limit that was met."""

SHOTS = {
    "compositing": Load(
        frames=1,
        compute_seconds=300,
        frame_bytes=0.4 * GB,
        shared_bytes=0.1 * GB,
        show_bytes=400 * GB,
        output_bytes=0.1 * GB,
    ),
    "light field": Load(
        frames=1,
        compute_seconds=300,
        frame_bytes=5 * GB,
        shared_bytes=0.5 * GB,
        show_bytes=5_000 * GB,
        output_bytes=0.2 * GB,
        frame_objects=200,
    ),
}
"""Assumptions, to be replaced by a studio's own; a farm's size sets `frames`."""

NODE = Node(
    bandwidth=350 * MB,  # what one NVMe local SSD takes, less than the line
    filer_bandwidth=2 * GB,  # the line of n2d-standard-8, 16 Gbit/s
    disk_bandwidth=660 * MB,
    boot_seconds=90,
    start_seconds=30,
    chunk=4,
)
SPOT = Spot(per_day=0.15, law="bathtub")
TERMS = Terms()


@dataclass(frozen=True, slots=True)
class Cloud:
    """One farm in the cloud: what it renders, on what, and what is paid."""

    shot: str
    load: Load
    node: Node = NODE
    filer_bandwidth: float = FILER_BANDWIDTH
    """Of one server."""
    spot: Spot = SPOT
    terms: Terms = TERMS

    def world(self, nodes: int, frames_per_node: int) -> World:
        load = replace(self.load, frames=nodes * frames_per_node)
        return World(load, self.node, Service(self.terms.filers * self.filer_bandwidth), nodes, self.spot)

    def with_filers(self, filers: float) -> Cloud:
        return replace(self, terms=replace(self.terms, filers=filers))


def cloud(shot: str) -> Cloud:
    """The assumptions for that shot."""
    return Cloud(shot, SHOTS[shot])


@dataclass(frozen=True, slots=True)
class Assumption:
    """One number of the model, what else it may be, and where it comes from. `part` and `field`: where it stands."""

    name: str
    unit: str
    part: str
    field: str
    low: float
    high: float
    source: str

    def value(self, of: Cloud) -> float:
        return float(getattr(getattr(of, self.part) if self.part else of, self.field))

    def put(self, of: Cloud, value: float) -> Cloud:
        """`of` with another value there."""
        change: dict[str, Any] = {self.field: value}
        if self.part:
            change = {self.part: replace(getattr(of, self.part), **change)}
        return replace(of, **change)


_HALF_TO_TWICE = (
    ("computing of a frame", "s", "load", "compute_seconds", "assumed"),
    ("bytes read by a frame", "B", "load", "frame_bytes", "assumed"),
    ("bandwidth of a node's cache", "B/s", "node", "bandwidth", "one NVMe local SSD writes about 350 MiB/s"),
    ("bandwidth of a filer server", "B/s", "", "filer_bandwidth", "assumed for 4 TiB of pd-ssd"),
    ("boot of a node", "s", "node", "boot_seconds", "assumed"),
    ("start of the renderer", "s", "node", "start_seconds", "assumed"),
    ("written by a frame", "B", "load", "output_bytes", "assumed"),
    ("read by every frame, once a node", "B", "load", "shared_bytes", "assumed"),
    ("objects read by a frame", "", "load", "frame_objects", "assumed"),
    ("spread of computing", "", "load", "spread", "assumed"),
    ("node's line to a filer", "B/s", "node", "filer_bandwidth", "16 Gbit/s of n2d-standard-8"),
    ("frames of a task", "", "node", "chunk", "assumed"),
    ("frames fetched ahead", "", "node", "lookahead", "the default of cache.lookahead"),
    ("until a lost node is replaced", "s", "spot", "replace_seconds", "assumed"),
)


def assumptions(of: Cloud) -> tuple[Assumption, ...]:
    """Those that the sensitivity chart goes through: halved and doubled where nothing better is known."""
    wide = []
    for name, unit, part, field, source in _HALF_TO_TWICE:
        here = float(getattr(getattr(of, part) if part else of, field))
        wide.append(Assumption(name, unit, part, field, here / 2, here * 2, source))
    return (
        *wide,
        Assumption("use of the filer's hours", "", "terms", "filer_use", 0.25, 1.0, "assumed"),
        Assumption("preempted a day", "", "spot", "per_day", 0.05, 0.5, "15 % in the account that is followed"),
        Assumption("local SSDs of a node", "", "terms", "local_ssds", 0, 2, "list price"),
    )
