"""What a job will take, before it is submitted: a range, from measured or guessed frame times.

For N frames of t seconds in K tasks on m nodes, with a start-up of s for each task, a boot of b for each node, and λ
preemptions an hour of work::

    work      = N t + K s + m b
    lost      = λ work (t/2 + s + b)        a preemption costs half a frame, a start and another machine's boot
    node time = work + lost
    wall time = node time / m + t           the last node ends a frame later than the mean, as a rule

The middle takes t and λ as they are known. Low: frames quicker by the uncertainty, and no preemption. High: frames
slower by it, and twice the preemptions.
"""

from __future__ import annotations

from dataclasses import dataclass

BOOT_SECONDS = 90.0
"""From a machine's first paid second to its worker; a common time of a VM with an image that is ready."""
MORE_PREEMPTIONS = 2.0
"""By how much their rate may be off: what is published on Spot VMs differs by this factor."""


@dataclass(frozen=True, slots=True)
class Range:
    """An expectation, and what it lies between."""

    low: float
    mid: float
    high: float

    def times(self, factor: float) -> Range:
        return Range(self.low * factor, self.mid * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Load:
    """A job, as far as its length goes. `unknown`: the share by which frames may be quicker or slower."""

    frames: int
    tasks: int
    nodes: int
    frame_seconds: float
    start_seconds: float
    unknown: float
    preemptions_per_hour: float
    boot_seconds: float = BOOT_SECONDS


@dataclass(frozen=True, slots=True)
class Length:
    """Hours of the job by the clock, and of all its nodes together."""

    wall_hours: Range
    node_hours: Range


def length_of(load: Load) -> Length:
    """How long the job takes; no frames take no time."""
    if not load.frames:
        return Length(Range(0, 0, 0), Range(0, 0, 0))
    cases = [(1 - load.unknown, 0.0), (1.0, 1.0), (1 + load.unknown, MORE_PREEMPTIONS)]
    found = [_seconds(load, max(0.0, slower), often) for slower, often in cases]
    wall, node = zip(*found, strict=True)
    return Length(Range(*(one / 3600 for one in wall)), Range(*(one / 3600 for one in node)))


def _seconds(load: Load, slower: float, often: float) -> tuple[float, float]:
    frame = load.frame_seconds * slower
    work = load.frames * frame + load.tasks * load.start_seconds + load.nodes * load.boot_seconds
    each = frame / 2 + load.start_seconds + load.boot_seconds
    node = work + load.preemptions_per_hour * often * work / 3600 * each
    return node / load.nodes + (frame if load.tasks > load.nodes else 0.0), node
