"""Live progress of a job: two lines that stay in place on a terminal, a plain line now and then elsewhere.

::

    sh010-1f3a99c0  ━━━━━━━━━━━━━━━━━━━━━━━╺━━━━━━━━━━━━━━  31/48 frames   0:21 left
    2 running   0 failed   hits 83 %   fetched 512 MB   uploaded 1.1 GB   0:35

A display is shown one `JobStatus` after another and draws when it likes; it never reads anything itself.
"""

from __future__ import annotations

import math
import sys
from typing import Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jit_render.farm.status import JobStatus
from jit_render.model.clock import Clock
from jit_render.report.words import duration, share, size

PLAIN_SECONDS = 5.0  # between two plain lines: a log stays readable
NAME_WIDTH = 24


class Display(Protocol):
    """Shows one look at a job after another; `note` adds a line that stays. `close` leaves the last look standing."""

    def show(self, status: JobStatus) -> None: ...

    def note(self, text: str) -> None: ...

    def close(self) -> None: ...


def open_display(clock: Clock, stream: TextIO | None = None, *, quiet: bool = False) -> Display:
    """A display on `stream` (default: standard error) as it suits it."""
    stream = sys.stderr if stream is None else stream
    if quiet:
        return _Nothing()
    return LiveDisplay(stream, clock) if stream.isatty() else PlainDisplay(stream, clock)


class _Nothing:
    def show(self, status: JobStatus) -> None:
        """With --json nobody looks."""

    def note(self, text: str) -> None:
        """Nor reads."""

    def close(self) -> None:
        """Nothing was opened."""


class PlainDisplay:
    """Lines for logs: the first look, then at most one in `PLAIN_SECONDS`, and the last."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._begun = clock.monotonic()
        self._next = -math.inf
        self._waiting: str | None = None
        self._last = ""

    def show(self, status: JobStatus) -> None:
        now = self._clock.monotonic()
        left = "" if status.eta_seconds is None else f", {duration(status.eta_seconds)} left"
        frames = f"{status.frames_done}/{status.frames_total} frames"
        text = f"{frames}, {', '.join(_facts(status))}{left}"
        self._waiting = f"[{duration(now - self._begun)}] {text}" if text != self._last else None
        if now >= self._next or status.is_over:
            self._write()
            self._last = text
            self._next = now + PLAIN_SECONDS

    def note(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        self._write()

    def _write(self) -> None:
        if self._waiting is not None:
            self._stream.write(self._waiting + "\n")
            self._stream.flush()
            self._waiting = None


class LiveDisplay:
    """Two lines in place, as wide as the terminal."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._clock = clock
        self._begun = clock.monotonic()
        self._live = Live(console=Console(file=stream, highlight=False), refresh_per_second=8, transient=False)
        self._is_open = False

    def show(self, status: JobStatus) -> None:
        if not self._is_open:
            self._live.start()
            self._is_open = True
        self._live.update(draw(status, self._clock.monotonic() - self._begun))

    def note(self, text: str) -> None:
        self._live.console.print(Text(text), soft_wrap=True)

    def close(self) -> None:
        if self._is_open:
            self._live.stop()
            self._is_open = False


def draw(status: JobStatus, seconds: float) -> Group:
    """The two lines for `status`, `seconds` after the first look."""
    colour = "red" if status.frames_failed else "green" if status.state == "done" else "cyan"
    bar = ProgressBar(status.frames_total, status.frames_done, complete_style=colour, finished_style=colour)
    name = status.job if len(status.job) <= NAME_WIDTH else status.job[: NAME_WIDTH - 1] + "…"
    width = len(str(status.frames_total))
    left = "" if status.eta_seconds is None else f"{duration(status.eta_seconds)} left"
    first = Table.grid(padding=(0, 2), expand=True)
    first.add_column(no_wrap=True)
    first.add_column(ratio=1)
    first.add_column(no_wrap=True)
    first.add_column(no_wrap=True, justify="right", min_width=len("00.0 s left"))
    first.add_row(name, bar, f"{status.frames_done:>{width}}/{status.frames_total} frames", left)
    second = Text("   ".join([*_facts(status), duration(seconds)]), style="dim", no_wrap=True, overflow="ellipsis")
    if status.frames_failed:
        second.highlight_words([f"{status.frames_failed} failed"], "bold red")
    return Group(first, second)


def _facts(status: JobStatus) -> list[str]:
    return [
        f"{status.frames_running} running",
        f"{status.frames_failed} failed",
        f"hits {share(status.hit_rate)}",
        f"fetched {size(status.spent.bytes_fetched)}",
        f"uploaded {size(status.spent.bytes_uploaded)}",
    ]
