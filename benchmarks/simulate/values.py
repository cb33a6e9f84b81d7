"""What the model is told and what it answers. Seconds, bytes, bytes a second, USD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks.simulate.spot import Law

System = Literal["gluster", "copy-all", "rclone", "jit-cold", "jit"]
SYSTEMS: tuple[System, ...] = ("gluster", "copy-all", "rclone", "jit-cold", "jit")
"""``jit-cold`` fetches when it is asked, ``jit`` ahead as well; both begin with an empty cache."""


@dataclass(frozen=True, slots=True)
class Load:
    """A shot."""

    frames: int
    compute_seconds: float
    """Of one frame on one node: everything but reading and writing."""
    frame_bytes: float
    """What one frame reads and no other does."""
    shared_bytes: float
    """What every frame reads: a node needs it once."""
    show_bytes: float
    """The whole shot's folders, as copy-all copies them."""
    output_bytes: float
    frame_objects: float = 10.0
    spread: float = 0.15
    """Of a frame's computing: the standard deviation over the mean (log-normal)."""


@dataclass(frozen=True, slots=True)
class Node:
    """One instance."""

    bandwidth: float
    """To and from the object store; the disk that takes what comes is part of it."""
    filer_bandwidth: float
    """Most that it takes from a filer, which passes no disk."""
    disk_bandwidth: float
    boot_seconds: float
    """From asking for an instance until its worker begins."""
    start_seconds: float
    """The renderer's start, once a task."""
    chunk: int = 8
    lookahead: int = 4


@dataclass(frozen=True, slots=True)
class Overheads:
    """Seconds a frame that are neither computing nor bytes over a line: what a real run adds, by system."""

    gluster: float = 0.0
    copy_all: float = 0.0
    rclone: float = 0.0
    jit: float = 0.0

    def of(self, system: System) -> float:
        return {"gluster": self.gluster, "copy-all": self.copy_all, "rclone": self.rclone}.get(system, self.jit)


@dataclass(frozen=True, slots=True)
class Service:
    """What all nodes share."""

    filer_bandwidth: float
    """Of all filer servers together."""
    bucket_requests: float = 5_000.0
    """Reads a second that a bucket bears at first,"""
    bucket_doubling_seconds: float = 20 * 60.0
    """and how long it takes at most to bear twice as many."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Preemption. A lost node is replaced after `replace_seconds` and a boot."""

    per_day: float = 0.0
    law: Law = "exponential"
    replace_seconds: float = 60.0
    faster: float = 1.0
    """Lifetimes are divided by this: a day in a minute, for comparison with runs in small."""


@dataclass(frozen=True, slots=True)
class World:
    """One farm with one job."""

    load: Load
    node: Node
    service: Service
    nodes: int
    spot: Spot = Spot()
    overheads: Overheads = Overheads()


@dataclass(slots=True)
class Spent:
    """Seconds of all nodes, by what they went to."""

    boot: float = 0.0
    start: float = 0.0
    copy: float = 0.0
    compute: float = 0.0
    wait: float = 0.0
    """For input, for output to be taken, and the overhead of both."""
    lost: float = 0.0
    """Frames in hand, starts and copies when a node was taken."""

    @property
    def total(self) -> float:
        return self.boot + self.start + self.copy + self.compute + self.wait + self.lost


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    system: System
    nodes: int
    frames: int
    wall_seconds: float
    spent: Spent
    preemptions: int
    frames_lost: int
    filer_bytes: float
    bucket_bytes: float
    bucket_reads: float
    longest_frame: float = 0.0
    """Seconds of computing of the frame that took longest."""

    @property
    def frames_per_hour(self) -> float:
        return self.frames / self.wall_seconds * 3600

    @property
    def utilisation(self) -> float:
        """Share of the nodes' seconds that computed frames that count."""
        return self.spent.compute / self.spent.total if self.spent.total else 0.0
