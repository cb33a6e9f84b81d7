"""What a run of the farm is and what came of it: dataclasses, and JSON of the same names.

``python -m benchmarks farm --json FILE`` writes `Result` (with ``benchmark``, ``quick`` and ``machine`` beside its
fields); `load` reads it. Sizes are bytes, times seconds, rates bits per second as networks count them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

BUSY = 0.8
"""Share of the cores above which a run measured the cores and not its storage."""


@dataclass(frozen=True)
class Setting:
    """What all runs have in common."""

    hosts: tuple[int, ...]
    frames_per_host: int
    shot_frames: int
    layers: int
    width: int
    height: int
    compute_seconds: float
    """Simulated computing of one frame."""
    host_bits_per_second: float
    """Each host's link, either way; also the object store's link to each host."""
    filer_bits_per_second: float
    """The one link of the filer, shared by all hosts."""
    scale: float
    """What real rates are divided by: `host_bits_per_second` stands for so many times as much."""
    lookahead: int
    copy_all_hosts: tuple[int, ...]
    """For how many hosts copy-all is run: it reads the whole shot every time."""
    shaped: bool = True


@dataclass(frozen=True)
class Shot:
    """The shot as it was made."""

    files: int
    size_bytes: int
    frame_bytes: int
    """What one frame reads."""
    output_bytes: int
    """What one frame writes."""

    @property
    def frame_share(self) -> float:
        return self.frame_bytes / self.size_bytes


@dataclass(frozen=True)
class HostRun:
    """One host of one run."""

    host: int
    frames: int
    start_seconds: float
    """Programs starting, until the first frame begins (and nothing else: copying is not in it)."""
    copy_seconds: float
    render_seconds: float
    """From the beginning of the first frame until the last output is in storage."""
    wait_seconds: float
    """Of these, what the renderer neither computed nor slept: it waited for input, or for its output to be taken."""
    fetch_wait_seconds: float | None
    """jit only: what the agent says of that wait for input."""
    renderer_cpu_seconds: float
    cpu_seconds: float
    """All processes of the host, with mounts and agent; beginning with the run (a mount's own start is in it)."""
    peak_disk_bytes: int
    """Most that the host's own disk held of the shot: cache, copy or spool."""
    received_bytes: int
    sent_bytes: int
    """Over all links of the host, from the interfaces' counters."""
    planned_bytes: int | None = None
    """jit only: what the plan says that this host's frames read, each object once (0 where its cache has all);"""
    fetched_bytes: int | None = None
    """and what its agent fetched."""

    @property
    def frames_per_second(self) -> float:
        return self.frames / (self.copy_seconds + self.render_seconds)


@dataclass(frozen=True)
class Run:
    """One system with so many hosts."""

    system: str
    hosts: int
    frames: int
    wall_seconds: float
    """From the common start to the last host's end, programs' starting included."""
    frames_per_hour: float
    """Sum over the hosts, each from its copying or first frame to its last output in storage."""
    filer_bytes: int
    """Out of and into the filer, over its one link."""
    store_bytes: int
    """Out of and into the object store, over all its links."""
    server_cpu_seconds: float
    utilisation: float
    """Busy share of this machine's cores while hosts rendered, all processes."""
    prepare_seconds: float
    """Before the common start: mounts and, for jit, the submit."""
    frames_equal: bool
    """Every output has the bytes that the first system's has."""
    per_host: tuple[HostRun, ...]

    @property
    def cpu_bound(self) -> bool:
        return self.utilisation > BUSY

    @property
    def per_host_rate(self) -> float:
        """Frames an hour of one host."""
        return self.frames_per_hour / self.hosts

    @property
    def wait_seconds(self) -> float:
        return sum(host.wait_seconds for host in self.per_host)

    @property
    def cpu_seconds(self) -> float:
        return sum(host.cpu_seconds for host in self.per_host)

    @property
    def peak_disk_bytes(self) -> int:
        return max(host.peak_disk_bytes for host in self.per_host)

    @property
    def plan_held(self) -> bool | None:
        """Whether every host fetched what was planned, byte for byte; None where there is no plan to hold."""
        if any(host.planned_bytes is None for host in self.per_host):
            return None
        return all(host.planned_bytes == host.fetched_bytes for host in self.per_host)


@dataclass(frozen=True)
class Result:
    """All runs of one call."""

    setting: Setting
    shot: Shot
    runs: tuple[Run, ...]
    programs: dict[str, str] = field(default_factory=dict)
    """Versions of what was measured."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Systems that were not measured, and why."""

    def run(self, system: str, hosts: int) -> Run | None:
        return next((run for run in self.runs if (run.system, run.hosts) == (system, hosts)), None)

    def ratio(self, system: str, other: str, hosts: int) -> float | None:
        """How many times as many frames an hour `system` renders."""
        one, two = self.run(system, hosts), self.run(other, hosts)
        return one.frames_per_hour / two.frames_per_hour if one and two else None

    def to_json(self) -> dict[str, Any]:
        """Plain values; what follows from others is added for those who read the file by eye."""
        document = asdict(self)
        for run, plain in zip(self.runs, document["runs"], strict=True):
            for name in ("cpu_bound", "per_host_rate", "wait_seconds", "cpu_seconds", "peak_disk_bytes", "plan_held"):
                plain[name] = getattr(run, name)
        return document

    @classmethod
    def of_json(cls, document: dict[str, Any]) -> Result:
        return cls(
            setting=_made(Setting, document["setting"], tuples=("hosts", "copy_all_hosts")),
            shot=_made(Shot, document["shot"]),
            runs=tuple(
                _made(Run, {**run, "per_host": tuple(_made(HostRun, host) for host in run["per_host"])})
                for run in document["runs"]
            ),
            programs=document["programs"],
            skipped=document["skipped"],
        )


def load(path: Path) -> Result:
    """A result from its file, written by ``farm`` or ``all``."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return Result.of_json(document.get("farm", document))


def _made(kind: type[Any], plain: dict[str, Any], tuples: tuple[str, ...] = ()) -> Any:
    known = {name: value for name, value in plain.items() if name in kind.__dataclass_fields__}
    return kind(**{name: tuple(value) if name in tuples else value for name, value in known.items()})
