"""One system with N hosts: make them ready, start them at the same moment, and gather what it took."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from benchmarks.farm.host import Report
from benchmarks.farm.links import Counted, Host, Network, Unshaped
from benchmarks.farm.systems import Prepared, System
from benchmarks.farm.values import HostRun, Run, Setting

_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE_SECONDS = 0.2
_SERVERS = ("glusterd", "glusterfsd")

Digests = dict[int, str]


class Race:
    """Runs systems on one network; `digests` are the first system's frames, which all others must equal."""

    def __init__(self, setting: Setting, network: Network | Unshaped, server_pid: int) -> None:
        self._setting = setting
        self._network = network
        self._server_pid = server_pid
        self._digests: Digests = {}

    def run(self, system: System, count: int) -> Run:
        """Raises RuntimeError with the words of the host that failed."""
        hosts = self._network.hosts[:count]
        begun = time.monotonic()
        prepared = system.prepare(hosts)
        with _drivers(hosts, prepared) as drivers:
            for driver in drivers:
                driver.answer()
            ready = time.monotonic()
            links, cpu = self._network.count(), self._server_cpu()
            with _Load() as load:
                for driver in drivers:
                    driver.go()
                reports = [driver.report() for driver in drivers]
            spent = {name: now.since(links[name]) for name, now in self._network.count().items()}
            cpu = self._server_cpu() - cpu
        per_host = [self._host_run(host, report, prepared, spent) for host, report in zip(hosts, reports, strict=True)]
        frames = [frame for host in hosts for frame in self._frames(host)]
        return Run(
            system=system.name,
            hosts=count,
            frames=len(frames),
            wall_seconds=max(report.ended for report in reports) - min(report.started for report in reports),
            frames_per_hour=3600 * sum(host.frames_per_second for host in per_host),
            filer_bytes=spent["filer"].received + spent["filer"].sent,
            store_bytes=spent["store"].received + spent["store"].sent,
            server_cpu_seconds=cpu,
            utilisation=load.between(
                max(report.first_frame for report in reports), max(report.ended for report in reports)
            ),
            prepare_seconds=ready - begun,
            frames_equal=self._compare(prepared.outputs(frames)),
            per_host=tuple(per_host),
        )

    def _frames(self, host: Host) -> range:
        first = host.index * self._setting.frames_per_host + 1001
        return range(first, first + self._setting.frames_per_host)

    def _host_run(self, host: Host, report: Report, prepared: Prepared, spent: Mapping[str, Counted]) -> HostRun:
        facts = prepared.facts(host)
        in_all = report.renderer_cpu_seconds if facts is None else facts.renderer_cpu_seconds
        computed = (in_all or 0.0) - report.renderer_cpu_before
        frames = self._setting.frames_per_host
        seconds = report.ended - report.first_frame
        return HostRun(
            host=host.index,
            frames=frames,
            start_seconds=report.start_seconds,
            copy_seconds=report.copied - report.started,
            render_seconds=seconds,
            wait_seconds=max(0.0, seconds - computed - frames * self._setting.compute_seconds),
            fetch_wait_seconds=facts.fetch_wait_seconds if facts else None,
            renderer_cpu_seconds=computed,
            cpu_seconds=report.cpu_seconds,
            peak_disk_bytes=report.peak_disk_bytes,
            received_bytes=spent[host.name].received,
            sent_bytes=spent[host.name].sent,
            planned_bytes=facts.planned_bytes if facts else None,
            fetched_bytes=facts.fetched_bytes if facts else None,
        )

    def _compare(self, outputs: Mapping[int, bytes]) -> bool:
        digests = {frame: hashlib.sha256(data).hexdigest() for frame, data in outputs.items()}
        same = all(self._digests.setdefault(frame, digest) == digest for frame, digest in digests.items())
        return same and len(digests) == len(outputs)

    def _server_cpu(self) -> float:
        return sum(_cpu_seconds(pid) for pid in (self._server_pid, *_named(_SERVERS)))


class _Driver:
    """The process on a host (`host.py`)."""

    def __init__(self, process: subprocess.Popen[str], host: Host) -> None:
        self.process = process
        self._host = host

    def answer(self) -> dict[str, Any]:
        """Its next message. Raises RuntimeError where it failed or is gone."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        message: dict[str, Any] = json.loads(line) if line else {"error": "its process ended"}
        if "error" in message:
            raise RuntimeError(f"{self._host.name}: {message['error']}")
        return message

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def go(self) -> None:
        self.tell("go")

    def report(self) -> Report:
        return Report(**self.answer())


@contextlib.contextmanager
def _drivers(hosts: Sequence[Host], prepared: Prepared) -> Iterator[list[_Driver]]:
    started: list[_Driver] = []
    try:
        for host in hosts:
            command = [*host.enter, sys.executable, "-m", "benchmarks.farm.host"]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            started.append(_Driver(process, host))
            started[-1].tell(json.dumps(vars(prepared.tasks[host.index])))
        yield started
    finally:
        for driver in started:
            driver.process.communicate()  # its input ends, and so does it


class _Load:
    """How busy this machine's cores were, sampled, so that one can ask for any span afterwards."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, float, float]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def between(self, begin: float, end: float) -> float:
        """Busy share of all cores from `begin` to `end`."""
        inside = [sample for sample in self._samples if begin - _SAMPLE_SECONDS <= sample[0] <= end + _SAMPLE_SECONDS]
        if len(inside) < 2:
            return 0.0
        (_, busy, total), (_, busy_then, total_then) = inside[0], inside[-1]
        return (busy_then - busy) / max(1.0, total_then - total)

    def _look_on(self) -> None:
        self._look()
        while not self._over.wait(_SAMPLE_SECONDS):
            self._look()

    def _look(self) -> None:
        fields = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
        idle = fields[3] + fields[4]  # idle and iowait, proc(5)
        self._samples.append((time.monotonic(), float(sum(fields) - idle), float(sum(fields))))


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _named(names: Iterable[str]) -> Iterator[int]:
    for place in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if place.read_text().strip() in names:
                yield int(place.parent.name)
