"""One VM of the fake Batch: its local disk, its metadata server, the processes on it, and how it goes away.

A node's processes are told by a variable in their environment, so that a preemption takes all of them: the script,
the worker, the renderer and the agent, whatever sessions and groups they have made for themselves. Paths of the
real node (the mount of the local SSD, the place of the installed package) are written anew in the script and its
environment; nothing else of the task is changed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jit_render.testing.fake_metadata import FakeMetadata

MARK = "FAKE_BATCH_NODE"

PREEMPTED, UNRESPONSIVE = 50001, 50004  # the service's own exit codes


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to a node during one attempt: the notice so many seconds after the worker began to watch for it
    and `is_due` says so, the end `grace` later; without a notice, the end at once."""

    after: float
    grace: float
    has_notice: bool = True
    is_due: Callable[[], bool] = lambda: True


class FakeNode:
    """Exists until `destroy`. One task at a time."""

    def __init__(self, folder: Path, name: str, *, project: str, zone: str, machine: str) -> None:
        self.name = name
        self.disk = folder / name
        self.disk.mkdir(parents=True)
        self._born = int(time.time())
        self.is_lost = threading.Event()
        self._leaving = threading.Event()
        self.metadata = FakeMetadata(project=project).start()
        self.metadata.set("instance/name", name)
        self.metadata.set("instance/zone", f"projects/1234567890/zones/{zone}")
        self.metadata.set("instance/machine-type", f"projects/1234567890/machineTypes/{machine}")

    def run(
        self, text: str, variables: Mapping[str, str], places: Mapping[str, str], *, log: Path, fate: Fate | None
    ) -> int:
        """Run one script to its end; its exit code, or the service's for a node that was lost."""
        for real, here in places.items():
            text = text.replace(real, here)
            variables = {name: value.replace(real, here) for name, value in variables.items()}
        node = {MARK: self._mark, "JIT_RENDER_BOOTED": str(self._born)}  # this machine is up for longer than the node
        environment = {**_clean(), **variables, **self.metadata.environment, **node}
        with log.open("wb") as file:
            process = subprocess.Popen(
                ["/bin/sh", "-c", text],
                cwd=self.disk,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        if fate is not None:
            threading.Thread(target=self._play, args=(process, fate), daemon=True).start()
        code = process.wait()
        if self.is_lost.is_set():
            return PREEMPTED
        return code if code >= 0 else 128 - code

    @property
    def _mark(self) -> str:
        return f"{self.disk}"

    def _play(self, process: subprocess.Popen[bytes], fate: Fate) -> None:
        """The node's fate. The notice is kept even when the task ends first: a node that is to go, goes."""
        while process.poll() is None and not self.metadata.wait_for_readers(1, 0.1):
            pass
        while process.poll() is None and not fate.is_due():
            time.sleep(0.02)
        if process.poll() is not None or self._leaving.wait(fate.after) or process.poll() is not None:
            return
        if fate.has_notice:
            self.metadata.preempt()
            end = time.monotonic() + fate.grace
            while process.poll() is None and time.monotonic() < end:
                time.sleep(0.02)
        self.is_lost.set()
        self.kill()

    def kill(self) -> None:
        """SIGKILL for everything that runs here, until nothing does."""
        while pids := processes_of(self._mark):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def destroy(self) -> None:
        """The VM and its local disk are gone."""
        self._leaving.set()
        self.kill()
        self.metadata.stop()
        shutil.rmtree(self.disk, ignore_errors=True)


def processes_of(mark: str) -> list[int]:
    """Living processes whose environment has that mark."""
    line = os.fsencode(f"{MARK}={mark}")
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if line in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
    return found


def _clean() -> dict[str, str]:
    """The environment of a fresh VM: nothing of ours but where programs are."""
    kept = {"PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH"}
    return {name: value for name, value in os.environ.items() if name in kept}
