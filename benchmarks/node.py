"""A node for measurements: a job in a bucket on this disk, and the real agent in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jit_render.agent import socket_path
from jit_render.agent.launch import answers
from jit_render.model.clock import SystemClock
from jit_render.model.errors import AgentLost
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.job import JobPaths, JobSpec, WriteTarget
from jit_render.model.manifest import Manifest
from jit_render.model.pathmap import PathMap, PathRule
from jit_render.model.settings import Settings

_START_SECONDS = 60.0
_LOOK_SECONDS = 0.5
_IDLE_SHARE = 0.04  # two ticks of 10 ms
_SETTLE_SECONDS = 300.0
_TICKS = os.sysconf("SC_CLK_TCK")
SHOW = "/mnt/show"
OUT = "/mnt/out"


@dataclass(frozen=True)
class Agent:
    """A running agent, seen from outside."""

    process: subprocess.Popen[bytes]
    socket: Path

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        return cpu_seconds_of(self.process.pid)

    def settle(self) -> None:
        """Wait until it does nothing any more."""
        clock, before = SystemClock(), -1.0
        end = clock.monotonic() + _SETTLE_SECONDS
        while (used := self.cpu_seconds()) - before > _IDLE_SHARE * _LOOK_SECONDS:
            if clock.monotonic() >= end:
                raise AgentLost(f"the agent at {self.socket} is still at work after {_SETTLE_SECONDS:g} s.")
            before = used
            clock.sleep(_LOOK_SECONDS)

    def memory_bytes(self, kind: str = "VmRSS") -> int:
        """``VmRSS`` now, ``VmHWM`` at its highest."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(kind + ":"):
                return int(line.split()[1]) * 1024
        raise AgentLost(f"process {self.process.pid} says nothing of {kind}.")


def cpu_seconds_of(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def running_agent(cache: Path, settings: Mapping[str, Mapping[str, Any]] | None = None) -> Iterator[Agent]:
    """The agent of the folder `cache`; `settings` are sections that differ from the default."""
    path = socket_path(cache)
    cache.mkdir(parents=True, exist_ok=True)
    sections = Settings().model_dump(mode="json", include={"cache", "store"})
    sections["cache"].update(free_space=0)
    for name, changes in (settings or {}).items():
        sections[name].update(changes)
    command = [sys.executable, "-m", "jit_render.agent", "--cache", str(cache), "--socket", str(path)]
    with (cache / "agent.log").open("wb") as log:
        process = subprocess.Popen([*command, "--settings", json.dumps(sections)], stdout=log, stderr=log)
    try:
        _wait(process, path, cache / "agent.log")
        yield Agent(process, path)
    finally:
        process.terminate()
        process.wait()


def submit(folder: Path, target: str, out: str = "", *, planned: Sequence[ObjectInfo] = ()) -> str:
    """URL of a job, with its records in `folder`, that reads `SHOW` from `target` and writes `OUT` to `out`.

    Its one frame reads what is `planned`, if anything is.
    """
    paths = JobPaths.of(ObjectUrl.parse((folder / "state").as_uri()), "bench")
    rules = [PathRule(prefix=(SHOW,), target=target)]
    rules += [PathRule(prefix=(OUT,), target=out, mode="write")] if out else []
    spec = JobSpec(
        id=paths.job_id,
        shot="bench",
        created=0.0,
        script_name="bench.nk",
        script_source=f"{SHOW}/bench.nk",
        script_sha256="",
        fingerprint="",
        frames="1",
        writes=(WriteTarget(name="Write1", file=f"{OUT}/o.%04d.exr"),),
        path_map=PathMap(rules=tuple(rules)),
        inputs="inputs.json" if planned else "",
    )
    place = Path("/" + paths.spec.key)
    place.parent.mkdir(parents=True)
    place.write_text(spec.model_dump_json())
    if planned:
        encoded = Manifest(planned, {1: range(len(planned))}).encode([[1]])
        for name, data in {"inputs.json": encoded.index, **encoded.parts}.items():
            (place.parent / name).parent.mkdir(parents=True, exist_ok=True)
            (place.parent / name).write_bytes(data)
    return str(paths.home)


def _wait(process: subprocess.Popen[bytes], path: Path, log: Path) -> None:
    clock = SystemClock()
    end = clock.monotonic() + _START_SECONDS
    while not answers(path):
        if process.poll() is not None or clock.monotonic() >= end:
            raise AgentLost(f"the agent did not start: {log.read_text()[-500:]}")
        clock.sleep(0.005)
