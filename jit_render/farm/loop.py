"""The worker's one loop while a renderer runs: its lines, signals and news come through one inbox.

When to stop. A preemption notice lets the frame in hand finish if that fits the grace (see `pace.py`); a second
notice, or an interruption, ends the renderer at once. A cancelled job, or an attempt that was taken away, stops
when the next frame starts. A frame that starts after the stop is not begun: nothing of it is lost.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jit_render.farm.outcome import Outcome
from jit_render.farm.overtime import Overtime
from jit_render.farm.pace import Pace, reserve_seconds
from jit_render.farm.watch import Stop
from jit_render.model.clock import Clock
from jit_render.render.port import Event, FrameStarted, FrameWritten, Moved, Renderer, RenderRequest
from jit_render.render.process import Ended, RunningRender, run

POLL_SECONDS = 0.1
TERMINATE_SECONDS = 2.0  # between asking a renderer to end and killing it
LAST_FRAME_SECONDS = 600.0  # a cancelled job waits so long for the frame in hand; a hung renderer never ends it

Message = Event | Stop
Inbox = queue.SimpleQueue[Message]
Tell = Callable[[dict[str, Any]], None]

_SIGNALS = {signal.SIGTERM: Stop.PREEMPTED, signal.SIGINT: Stop.INTERRUPTED, signal.SIGUSR1: Stop.CANCELLED}


@contextlib.contextmanager
def signals_into(inbox: Inbox) -> Iterator[None]:
    """SIGTERM, SIGINT and SIGUSR1 (cancelled) become messages, where this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda n, _: inbox.put(_SIGNALS[signal.Signals(n)])) for number in _SIGNALS
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class RenderLoop:
    """State of one attempt's rendering; used by one thread (`pace.in_hand` may be read by others)."""

    def __init__(
        self, inbox: Inbox, clock: Clock, grace_seconds: float, tell: Tell, overtime: Overtime | None = None
    ) -> None:
        self.inbox = inbox
        self.pace = Pace()
        self.overdue: Outcome | None = None
        """Why the renderer was ended though nobody had asked to stop."""
        self.stop: Stop | None = None
        self.peak_memory_bytes = 0
        self.cpu_seconds = 0.0
        self.bytes_fetched = self.bytes_uploaded = self.bytes_same = 0
        self._clock = clock
        self._grace_seconds = grace_seconds
        self._tell = tell
        self._overtime = overtime or Overtime()
        self._deadline = float("inf")
        self._halt_at = float("inf")

    def seconds_left(self) -> float:
        """Until the node is gone; infinite while nobody preempts us."""
        return max(0.0, self._deadline - self._clock.monotonic())

    def render(self, renderer: Renderer, request: RenderRequest, log: Path) -> Ended:
        """Run one renderer process to its end, or to ours."""
        render = run(renderer, request, log, self.inbox.put)
        self._tell({"event": "renderer", "pid": render.pid})
        self._overtime.begin()
        try:
            while render.running():
                self.listen(POLL_SECONDS, render)
                if self._clock.monotonic() >= min(self._cut(), self._halt_at):
                    self._halt(render)
                self.overdue = self.overdue or self._overtime.look(render, self.pace, self._clock.monotonic())
                if self.overdue is not None:
                    self._halt(render)
        finally:
            if render.running():
                render.terminate(0)
        ended = render.wait()
        assert ended is not None
        self.listen()
        if ended.verdict.failure is None:
            self.pace.finish(self._clock.monotonic())
        self.peak_memory_bytes = max(self.peak_memory_bytes, ended.usage.peak_memory_bytes)
        self.cpu_seconds += ended.usage.cpu_seconds
        return ended

    def pause(self, seconds: float) -> None:
        """Wait, but not past a stop."""
        end = self._clock.monotonic() + seconds
        while self.stop is None and (left := end - self._clock.monotonic()) > 0:
            self.listen(left)

    def listen(self, wait: float = 0.0, render: RunningRender | None = None) -> None:
        """Act on all that has come, waiting up to `wait` seconds for the first."""
        with contextlib.suppress(queue.Empty):
            message = self.inbox.get(timeout=wait) if wait else self.inbox.get_nowait()
            while True:
                self._take(message, render)
                message = self.inbox.get_nowait()

    def _take(self, message: Message, render: RunningRender | None) -> None:
        if isinstance(message, Stop):
            self._begin_stop(message, render)
        elif isinstance(message, FrameStarted):
            self._begin_frame(message.frame, render)
        elif isinstance(message, FrameWritten):
            self._tell({"event": "written", "path": message.path, "seconds": message.seconds})
        elif isinstance(message, Moved):
            self.bytes_fetched += message.bytes_fetched
            self.bytes_uploaded += message.bytes_uploaded
            self.bytes_same += message.bytes_same

    def _begin_frame(self, frame: int, render: RunningRender | None) -> None:
        if self.stop is not None and frame != self.pace.in_hand:
            self.pace.finish(self._clock.monotonic())
            self._halt(render)
            return
        self.pace.start(frame, self._clock.monotonic())
        self._tell({"event": "frame", "frame": frame})

    def _begin_stop(self, stop: Stop, render: RunningRender | None) -> None:
        again = stop is self.stop
        self.stop = self.stop or stop
        now = self._clock.monotonic()
        if stop is Stop.PREEMPTED and not again:
            self._deadline = now + self._grace_seconds
            self._tell({"event": "notice", "frame": self.pace.in_hand})
            if self.pace.in_hand is None or self.pace.is_hopeless(now, self._cut()):
                self._halt(render)
        elif stop is Stop.INTERRUPTED or again:
            self._halt(render)
        else:
            self._halt_at = now + LAST_FRAME_SECONDS

    def _cut(self) -> float:
        return self._deadline - reserve_seconds(self._grace_seconds)

    @staticmethod
    def _halt(render: RunningRender | None) -> None:
        if render is not None and render.running():
            render.terminate(TERMINATE_SECONDS)
