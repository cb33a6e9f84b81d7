"""One worker process of the local engine, and the node that it stands for.

The worker leads a session of its own, so the terminal's Ctrl-C reaches only the engine, which then tells the
workers. When the engine dies, the kernel sends its workers a preemption notice: they finish and go.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jit_render.agent import socket_path
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import Settings
from jit_render.render.process import die_with_parent

_READ_SECONDS = 2.0  # for the last lines of a worker that has ended


@dataclass(frozen=True, slots=True)
class Said:
    """A line of a worker (`event`), or its end (`exit_code`; negative: a signal)."""

    worker: WorkerProcess
    event: dict[str, Any] | None = None
    exit_code: int | None = None


class WorkerProcess:
    """``python -m jit_render.farm.work_main`` on one attempt. What it says goes to `inbox`."""

    def __init__(
        self,
        home: ObjectUrl,
        *,
        task: int,
        attempt: int,
        settings: Settings,
        inbox: queue.SimpleQueue[Said],
        frames: str = "",
    ) -> None:
        self.task = task
        self.attempt = attempt
        self.renderer_pid = 0
        self.begun: list[int] = []
        self.killed = False
        self.error: dict[str, Any] = {}
        self._inbox = inbox
        self._words: deque[str] = deque(maxlen=20)
        arguments = ["--job", str(home), "--task", str(task), "--attempt", str(attempt), "--settings", "-"]
        arguments += [f"--frames={frames}"] if frames else []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jit_render.farm.work_main", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one prepared C call, nothing that locks
        )
        self.pid = self._process.pid
        with contextlib.suppress(BrokenPipeError):
            assert self._process.stdin is not None
            self._process.stdin.write(settings.model_dump_json().encode())  # settings may hold what `ps` must not show
            self._process.stdin.close()
        self._threads = [
            threading.Thread(target=work, name=f"worker-{self.pid}", daemon=True)
            for work in (self._read_events, self._read_words)
        ]
        for thread in (*self._threads, threading.Thread(target=self._wait, name=f"wait-{self.pid}", daemon=True)):
            thread.start()

    def words(self) -> str:
        """The last line it wrote to standard error."""
        return next((line for line in reversed(self._words) if line.strip()), "it said nothing")

    def signal(self, number: signal.Signals) -> None:
        """Tell the worker; gone already: nothing happens."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def kill(self) -> None:
        """End worker and renderer at once, as a vanishing node does."""
        self.killed = True
        self.signal(signal.SIGKILL)
        self.kill_renderer()

    def kill_renderer(self) -> None:
        """End what the worker may have left behind."""
        if self.renderer_pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.renderer_pid, signal.SIGKILL)

    def wait(self, seconds: float) -> bool:
        """True once the process has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.poll() is not None

    def _read_events(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if event.get("event") == "renderer":
                    self.renderer_pid = int(event["pid"])
                self._inbox.put(Said(self, event))

    def _read_words(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._words.append(line.decode("utf-8", "replace").rstrip())

    def _wait(self) -> None:
        code = self._process.wait()
        for thread in self._threads:
            thread.join(_READ_SECONDS)
        self._inbox.put(Said(self, exit_code=code))


def kill_node(cache: Path) -> None:
    """Kill the agent that owns `cache` and remove its disk, as when a Spot VM goes."""
    with contextlib.suppress(OSError):
        path = socket_path(cache)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_READ_SECONDS)
            connection.connect(str(path))
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            os.kill(struct.unpack("3i", credentials)[0], signal.SIGKILL)
            connection.recv(1)  # returns when the agent is gone
    shutil.rmtree(cache, ignore_errors=True)
