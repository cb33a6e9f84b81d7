"""One renderer process: started in a session of its own, read line by line, ended whole.

Three things go wrong with renderer processes, and each has its answer here.

* *They outlive their starter.* The kernel is asked (PR_SET_PDEATHSIG) to kill the renderer with the thread that
  started it, so a killed worker leaves no renderer that writes on. Start it from a thread that lives as long as
  the render.
* *They leave children.* The renderer leads its own process group; when it ends, however it ends, the rest of the
  group is killed before its number can be given to anybody else (it is still a zombie then).
* *They must be read.* A full pipe stops a renderer. The reader goes on when the log's disk is full, and when a
  listener fails (its error comes out of `wait`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from jit_render.model.errors import UsageError
from jit_render.render.port import AbsentNoted, Event, Failed, Renderer, RenderRequest, Verdict

TAIL_LINES = 200
LINE_LIMIT = 256 * 1024  # bytes after which a line without an end is cut
_PR_SET_PDEATHSIG = 1  # from linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True)  # loaded here, because nothing may be loaded between fork and exec

OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Usage:
    """What the process and its ended children used."""

    peak_memory_bytes: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a process: what the renderer's adapter says of it, what it used, whether we ended it."""

    verdict: Verdict
    usage: Usage
    failures: tuple[Failed, ...]
    terminated: bool
    absent: tuple[AbsentNoted, ...] = ()
    """What was noted as absent of the frames in hand, one entry for each Write that was not done."""


def die_with_parent(signal_number: int) -> Callable[[], None]:
    """A `preexec_fn` that has the kernel send `signal_number` when the starting thread is gone."""
    parent = os.getpid()

    def prepare() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
        if os.getppid() != parent:  # it was gone before the request
            os.kill(os.getpid(), signal_number)

    return prepare


class RunningRender:
    """A started process. `wait` from any thread; listeners are called on the reader's thread."""

    def __init__(
        self, renderer: Renderer, argv: Sequence[str], environment: Mapping[str, str], log: Path, on_event: OnEvent
    ) -> None:
        self._renderer = renderer
        self._on_event = on_event
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._failures: list[Failed] = []
        self._absent: dict[str, AbsentNoted] = {}
        self._listener_error: Exception | None = None
        self._terminated = False
        self.lines = 0
        """That it has said so far."""
        self._ended = threading.Event()
        self._exit_code = 0
        self._usage = Usage(0, 0.0)
        self._log: IO[bytes] | None = log.open("ab")
        try:
            self._process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - one prepared C call, nothing that locks
            )
        except OSError as error:
            self._log.close()
            raise UsageError(f"{argv[0]}: the renderer cannot be started: {error.strerror or error}.") from None
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, name="render-log", daemon=True)
        self._waiter = threading.Thread(target=self._reap, name="render-wait", daemon=True)
        self._reader.start()
        self._waiter.start()

    def running(self) -> bool:
        return not self._ended.is_set()

    def wait(self, timeout: float | None = None) -> Ended | None:
        """The end, once it is there and all output has been read; None when `timeout` seconds pass first."""
        if not self._ended.wait(timeout):
            return None
        self._waiter.join()
        self._reader.join()
        if self._listener_error is not None:
            raise self._listener_error
        verdict = self._renderer.verdict(self._exit_code, tuple(self._failures), "\n".join(self._tail))
        absent = tuple(self._absent.values())
        return Ended(verdict, self._usage, tuple(self._failures), self._terminated, absent)

    def terminate(self, grace: float) -> None:
        """Ask the group to end, and kill it after `grace` seconds. Returns when the process is gone."""
        self._terminated = True
        if grace > 0:
            self._signal(signal.SIGTERM)
        if grace <= 0 or not self._ended.wait(grace):
            self._signal(signal.SIGKILL)
        self._ended.wait()

    def _signal(self, number: signal.Signals) -> None:
        if not self._ended.is_set():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def _reap(self) -> None:
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        _, status, used = os.wait4(self.pid, 0)
        self._exit_code = self._process.returncode = os.waitstatus_to_exitcode(status)
        self._usage = Usage(used.ru_maxrss * 1024, used.ru_utime + used.ru_stime)  # Linux counts KiB
        self._ended.set()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while line := stream.readline(LINE_LIMIT):
            self._keep(line)
            self.lines += 1
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            self._tail.append(text)
            event = self._renderer.read_line(text)
            self._remember(event)
            if event is not None and self._listener_error is None:
                try:
                    self._on_event(event)
                except Exception as error:  # kept for whoever waits; the pipe must be read on
                    self._listener_error = error
        stream.close()
        if self._log is not None:
            self._log.close()

    def _remember(self, event: Event | None) -> None:
        if isinstance(event, Failed):
            self._failures.append(event)
        elif isinstance(event, AbsentNoted) and event.missing:
            self._absent[event.write] = event
        elif isinstance(event, AbsentNoted):
            self._absent.pop(event.write, None)

    def _keep(self, line: bytes) -> None:
        if self._log is None:
            return
        try:
            self._log.write(line)
            self._log.flush()
        except OSError:  # a full disk ends the log, not the render
            with contextlib.suppress(OSError):
                self._log.close()
            self._log = None


def run(renderer: Renderer, request: RenderRequest, log: Path, on_event: OnEvent) -> RunningRender:
    """Start `renderer` on `request`; its output goes to `log` and, as events, to `on_event`.

    Raises UsageError where the renderer is not installed or cannot be started.
    """
    request.scratch.mkdir(parents=True, exist_ok=True)
    return RunningRender(renderer, renderer.command(request), renderer.environment(request), log, on_event)
