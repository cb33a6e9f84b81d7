"""``python -m benchmarks.farm.host``: what one render host does in one run, told on standard input, reported in JSON.

It makes its mounts ready, says ``ready``, waits for ``go`` with all other hosts, copies, renders, brings the outputs
home and reports what that took (`Report`). Everything that a host runs is a child of this process, detached daemons
too, so its own accounting knows the host's CPU seconds, and nothing is left when it ends.

Only the standard library is imported: eight of these start at once on two cores.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_SET_PDEATHSIG = 1
_MOUNT_SECONDS = 20.0
_SETTLE_SECONDS = 120.0
_POLL_SECONDS = 0.05
_END_SECONDS = 10.0
_DISK_SECONDS = 1.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Task:
    """What to do. Commands are argument lists; empty ones are left out."""

    folder: str
    """The host's own: logs are written there."""
    render: list[str]
    is_worker: bool = False
    """`render` is jit-render's worker, which tells its progress in JSON; else the stand-in itself."""
    environment: dict[str, str] = field(default_factory=dict)
    daemon: list[str] = field(default_factory=list)
    """A mount that stays in the foreground."""
    mount: str = ""
    """Where it appears."""
    copy: list[str] = field(default_factory=list)
    bring_home: list[str] = field(default_factory=list)
    """Copies the outputs to storage."""
    settled: list[str] = field(default_factory=list)
    """URLs that answer once all outputs are in storage."""
    disk: list[str] = field(default_factory=list)
    """Folders whose size is the disk that the host needs."""
    agent: str = ""
    """Socket of the agent that the worker starts."""


@dataclass(frozen=True)
class Report:
    """What that took; times are of the monotonic clock, which all hosts share."""

    started: float
    copied: float
    first_frame: float
    ended: float
    renderer_cpu_before: float
    """Of the renderer's CPU seconds, those before its first frame,"""
    renderer_cpu_seconds: float | None
    """of those in all; None for a worker, whose attempt record has it."""
    cpu_seconds: float
    peak_disk_bytes: int
    start_seconds: float
    finish_seconds: float


class HostFailed(RuntimeError):
    """A program of the host failed; says which, and its last words."""


def main() -> int:
    prctl = ctypes.CDLL(None).prctl
    prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    prctl(_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    task = Task(**json.loads(sys.stdin.readline()))
    try:
        with _daemon(task):
            _tell({"ready": True})
            if sys.stdin.readline().strip() != "go":
                return 1
            report = _Run(task).go()
            _end_agent(task.agent)
    except (OSError, HostFailed) as error:
        _tell({"error": f"{error}"})
        return 1
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    _tell({**asdict(report), "cpu_seconds": usage.ru_utime + usage.ru_stime})
    return 0


class _Run:
    def __init__(self, task: Task) -> None:
        self._task = task
        self._log = Path(task.folder) / "host.log"
        self._environment = {**os.environ, **task.environment}
        self._begun = 0.0
        self._cpu_before = 0.0
        self._disk = _Disk(task.disk)

    def go(self) -> Report:
        task = self._task
        started = time.monotonic()
        with self._disk:
            if task.copy:
                self._call(task.copy)
            copied = time.monotonic()
            cpu = self._render()
            rendered = time.monotonic()
            if task.bring_home:
                self._call(task.bring_home)
            _settle(task.settled)
            ended = time.monotonic()
        return Report(
            started=started,
            copied=copied,
            first_frame=self._begun,
            ended=ended,
            renderer_cpu_before=self._cpu_before,
            renderer_cpu_seconds=None if task.is_worker else cpu,
            cpu_seconds=0.0,
            peak_disk_bytes=self._disk.most,
            start_seconds=self._begun - copied,
            finish_seconds=ended - rendered,
        )

    def _call(self, command: list[str]) -> None:
        with self._log.open("ab") as log:
            done = subprocess.run(command, stdout=log, stderr=log, env=self._environment, check=False)
        if done.returncode != 0:
            raise HostFailed(f"{' '.join(command[:3])} ended with {done.returncode}: {_tail(self._log)}")

    def _render(self) -> float:
        """Run the renderer or the worker to its end; its CPU seconds."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._task.render, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment
            )
            assert process.stdout is not None
            words = self._watch_worker(process.stdout) if self._task.is_worker else self._watch(process)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0 or not self._begun:
            raise HostFailed(f"the renderer ended with {process.returncode}: {words} {_tail(self._log)}")
        return usage.ru_utime + usage.ru_stime

    def _watch(self, process: subprocess.Popen[str]) -> str:
        line = ""
        for line in process.stdout or ():
            if line.startswith("Frame "):
                self._begin(process.pid)
        return line.strip()

    def _watch_worker(self, lines: IO[str]) -> str:
        pid = 0
        line = ""
        for line in lines:
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                pid = event.get("pid", pid)
                if event.get("event") == "frame":
                    self._begin(pid)
        return line.strip()

    def _begin(self, pid: int) -> None:
        if not self._begun:
            self._begun = time.monotonic()
            self._cpu_before = _cpu_seconds(pid)


class _Disk:
    """The most that some folders held, looked at now and then and at the end."""

    def __init__(self, folders: list[str]) -> None:
        self._folders = folders
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)
        self.most = 0

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def _look_on(self) -> None:
        while not self._over.wait(_DISK_SECONDS):
            self._look()

    def _look(self) -> None:
        self.most = max(self.most, sum(_size(folder) for folder in self._folders))


def _size(folder: str) -> int:
    """Bytes that a folder takes up; sparse files by what is in them."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # it may have gone meanwhile
                total += (Path(place) / name).lstat().st_blocks * 512
    return total


@contextlib.contextmanager
def _daemon(task: Task) -> Iterator[None]:
    """The host's mount, ready, and gone again."""
    if not task.daemon:
        yield
        return
    log_path = Path(task.folder) / "mount.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            task.daemon, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **task.environment}
        )
    try:
        _wait_for_mount(process, task, log_path)
        yield
    finally:
        for command in (["umount", task.mount], ["fusermount3", "-u", task.mount]):
            with contextlib.suppress(OSError):
                if not Path(task.mount).is_mount() or _succeeds(command):
                    break
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
        process.kill()
        process.wait()


def _wait_for_mount(process: subprocess.Popen[bytes], task: Task, log: Path) -> None:
    end = time.monotonic() + _MOUNT_SECONDS
    while not Path(task.mount).is_mount():
        if process.poll() is not None or time.monotonic() > end:
            raise HostFailed(f"{task.daemon[0]} did not mount {task.mount}: {_tail(log)}")
        time.sleep(_POLL_SECONDS)


def _settle(urls: list[str]) -> None:
    """Wait until every one of these answers."""
    end = time.monotonic() + _SETTLE_SECONDS
    for url in urls:
        while not _answers(url):
            if time.monotonic() > end:
                raise HostFailed(f"{url} did not appear within {_SETTLE_SECONDS:g} seconds")
            time.sleep(_POLL_SECONDS)


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=_END_SECONDS):
            return True
    except urllib.error.URLError:
        return False


def _end_agent(socket: str) -> None:
    """End the agent that the worker left running, and wait for it: its CPU seconds are the host's."""
    if not socket:
        return
    from nuke_callbacks.client import Client

    client = Client(socket)
    pid = int(client.stats()["agent"]["pid"])
    client.close()
    os.kill(pid, signal.SIGTERM)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS  # utime and stime, proc(5)


def _tail(path: Path) -> str:
    with contextlib.suppress(OSError):
        return " ".join(path.read_text(errors="replace")[-600:].split())
    return ""


def _tell(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
