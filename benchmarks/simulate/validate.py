"""Does the model know what the farm measured? It is told what one host did and must say what several do.

From the runs with one host each system's overhead is taken: what a frame cost beyond computing and bytes over the line.
Then the model predicts the runs with more hosts, of which it is told nothing but their number. Runs that kept the
cores of this machine busier than 80 % measured the cores, which the model has none of; they are shown and not judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from benchmarks.farm.values import Result, Run
from benchmarks.simulate.model import run
from benchmarks.simulate.values import Load, Node, Overheads, Service, System, World

WITHIN = 0.15
_SPREAD = 0.05
"""Hosts are not clocks: with frames of exactly one length the model's would march in step, and their shared line would
rest while all of them compute. From 0.05 to 0.3 the predictions hardly differ."""
_SEEDS = range(1, 11)
MODELLED: dict[str, System] = {
    "gluster": "gluster",
    "copy-all": "copy-all",
    "rclone": "rclone",
    "jit-demand": "jit-cold",
    "jit-prefetch": "jit",
}
"""The farm's systems that begin with nothing but what the model knows; a warm cache is not one of them."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One run and what the model said of it. Seconds of one host: copying and rendering."""

    system: str
    hosts: int
    measured: float
    predicted: float
    is_judged: bool

    @property
    def off(self) -> float:
        return self.predicted / self.measured - 1

    def to_json(self) -> dict[str, Any]:
        names = ("system", "hosts", "measured", "predicted", "off", "is_judged")
        return {name: getattr(self, name) for name in names}


def validate(farm: Result) -> list[Compared]:
    """Every run with more than one host of a system that was also run with one."""
    return [one for system in MODELLED for one in _of_system(farm, system)]


def _of_system(farm: Result, system: str) -> Iterator[Compared]:
    alone = farm.run(system, 1)
    if alone is None:
        return
    # What the lone host took, a frame, beyond what the model says without overheads.
    extra = (_measured(alone) - _predicted(farm, system, alone, 0.0)) / farm.setting.frames_per_host
    for several in farm.runs:
        if several.system == system and several.hosts > 1:
            predicted = _predicted(farm, system, several, max(0.0, extra))
            yield Compared(system, several.hosts, _measured(several), predicted, not several.cpu_bound)


def _measured(several: Run) -> float:
    return sum(host.copy_seconds + host.render_seconds for host in several.per_host) / several.hosts


def _predicted(farm: Result, system: str, several: Run, extra: float) -> float:
    """Mean seconds of one host. All begin at once, and each renders its own frames in one go."""
    setting, shot = farm.setting, farm.shot
    still = shot.frame_bytes / (setting.layers + 1)  # all files of the farm's shot are of one size
    line = setting.host_bits_per_second / 8
    load = Load(
        frames=several.frames,
        compute_seconds=setting.compute_seconds,
        frame_bytes=shot.frame_bytes - still,
        shared_bytes=still,
        show_bytes=shot.size_bytes,
        output_bytes=shot.output_bytes,
        spread=_SPREAD,
    )
    node = Node(
        bandwidth=line,
        filer_bandwidth=line,
        disk_bandwidth=float("inf"),
        boot_seconds=0.0,
        start_seconds=0.0,
        chunk=setting.frames_per_host,
        lookahead=setting.lookahead,
    )
    overheads = Overheads(gluster=extra, copy_all=extra, rclone=extra, jit=extra)
    service = Service(filer_bandwidth=setting.filer_bits_per_second / 8, bucket_requests=1e9)
    world = World(load, node, service, several.hosts, overheads=overheads)
    return fmean(run(MODELLED[system], world, seed).spent.total for seed in _SEEDS) / several.hosts
