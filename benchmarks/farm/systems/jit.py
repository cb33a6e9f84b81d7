"""This project: the real worker, agent, callbacks and planned fetching, one cache a host."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.farm import shot
from benchmarks.farm.host import Task
from benchmarks.farm.links import Host
from benchmarks.farm.systems.port import BUCKET, Bench, JitFacts, Prepared
from jit_render.agent import socket_path
from jit_render.farm.planning import Inputs, look
from jit_render.farm.preparing import Options, prepare
from jit_render.farm.records import JobReader
from jit_render.farm.submit import submit
from jit_render.model.clock import SystemClock
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import Settings
from jit_render.store import open_store

_SHOW = "/mnt/show"  # no machine has it: the path map says where it is


class Jit:
    """`caches`: another system of this kind, whose hosts' caches are used as it left them; else they are empty."""

    def __init__(self, bench: Bench, name: str, *, lookahead: int, caches: str = "") -> None:
        self.name = name
        self._bench = bench
        self._lookahead = lookahead
        self._caches = caches or name

    def missing(self) -> str:
        return ""

    def prepare(self, hosts: Sequence[Host]) -> Prepared:
        """Submit the job; each host gets one task of it."""
        bench = self._bench
        places = {host.index: bench.place(self.name, len(hosts), host) for host in hosts}
        caches = {host.index: bench.place(self._caches, len(hosts), host) / "cache" for host in hosts}
        settings = {host.index: self._settings(caches[host.index], len(hosts)) for host in hosts}
        first = hosts[0].index
        home, inputs = self._submit(settings[first], places[first], bench.frames_of(hosts[-1])[-1])
        tasks = {}
        for number, host in enumerate(hosts):
            command = [sys.executable, "-m", "jit_render.farm.work_main", "--job", str(home), "--task", str(number)]
            tasks[host.index] = Task(
                folder=str(places[host.index]),
                render=[*command, "--settings", settings[host.index].model_dump_json()],
                is_worker=True,
                environment=bench.environment(),
                disk=[str(caches[host.index])],
                agent=str(socket_path(caches[host.index])),
            )
        is_cold = self._caches == self.name
        planned = {host.index: _bytes_of(inputs, bench.frames_of(host)) if is_cold else 0 for host in hosts}
        return _Job(bench, tasks, home, settings[first], self._key(len(hosts)), planned, tuple(hosts))

    def _key(self, hosts: int) -> str:
        return f"out-{self.name}-{hosts}"

    def _settings(self, cache: Path, hosts: int) -> Settings:
        bucket = f"gs://{BUCKET}"
        return Settings.model_validate(
            {
                "job": {"state": f"{bucket}/state", "chunk": self._bench.setting.frames_per_host},
                "paths": [
                    {"prefix": f"{_SHOW}/out", "target": f"{bucket}/{self._key(hosts)}", "mode": "write"},
                    {"prefix": _SHOW, "target": f"{bucket}/show"},
                ],
                "cache": {"root": str(cache), "limit": "10G", "free_space": 0, "lookahead": self._lookahead},
                "render": {"renderer": "standin", "threads": 1},
                "store": {"endpoint": self._bench.server.url},
            }
        )

    def _submit(self, settings: Settings, place: Path, last: int) -> tuple[ObjectUrl, Inputs]:
        script = place / f"{self.name}.nk"
        script.write_text(self._bench.script(_SHOW, f"{_SHOW}/out"), encoding="utf-8")
        clock = SystemClock()
        store = open_store(settings.store)
        with contextlib.closing(store):
            frames = f"{shot.FIRST}-{last}"
            submission = prepare(settings, script, frames=frames, clock=clock, options=Options(force=True))
            inputs = look(store, submission.plan, submission.spec)
            return submit(store, submission, clock, inputs).home, inputs


@dataclass(frozen=True)
class _Job:
    bench: Bench
    tasks: Mapping[int, Task]
    home: ObjectUrl
    settings: Settings
    key: str
    planned: Mapping[int, int]
    hosts: tuple[Host, ...]

    def outputs(self, frames: Sequence[int]) -> Mapping[int, bytes]:
        return {frame: self.bench.read(f"{self.key}/{shot.OUTPUT % frame}") for frame in frames}

    def facts(self, host: Host) -> JitFacts:
        store = open_store(self.settings.store)
        with contextlib.closing(store):
            spent = JobReader(store, self.home).attempts(self.hosts.index(host))[-1].spent
        return JitFacts(
            planned_bytes=self.planned[host.index],
            fetched_bytes=spent.bytes_fetched,
            fetch_wait_seconds=spent.fetch_wait_seconds,
            renderer_cpu_seconds=spent.cpu_seconds,
        )


def _bytes_of(inputs: Inputs, frames: range) -> int:
    """What these frames read, each object once."""
    needed = {position for frame in frames for position in inputs.frames[frame]}
    return sum(inputs.objects[position].size_bytes for position in needed)
