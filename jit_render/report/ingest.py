"""What goes from the artist's disk to the bucket: while it goes, and what has become of it.

::

    ━━━━━━━━━━━━━━━╺━━━━━━━  1,204/3,000 files   read 310 MB   uploaded 112 MB   0:21
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from jit_render.farm.ingest_report import IngestProgress, IngestReport
from jit_render.farm.local_files import Left
from jit_render.model.clock import Clock
from jit_render.report.progress import PLAIN_SECONDS
from jit_render.report.words import count, duration, size

_YOUNGER = "the bucket's version is younger ('jit-render push --overwrite' replaces it)"
MOST_NAMED = 20  # of one kind; --json lists all


class IngestDisplay(AbstractContextManager["IngestDisplay"], Protocol):
    """Shows one look after another, as it likes; closes with the block."""

    def show(self, progress: IngestProgress) -> None: ...


def open_ingest_display(clock: Clock, stream: TextIO | None = None, *, quiet: bool = False) -> IngestDisplay:
    """A display on `stream` (default: standard error) as it suits it."""
    stream = sys.stderr if stream is None else stream
    if quiet:
        return _Nothing()
    return _Live(stream, clock) if stream.isatty() else _Plain(stream, clock)


class _Nothing(IngestDisplay):
    def show(self, progress: IngestProgress) -> None:
        """With --json nobody looks."""

    def __exit__(self, *error: object) -> None:
        """Nothing was opened."""


class _Plain(IngestDisplay):
    """A line now and then. Nothing at all for what is over before the first is due."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._begun = clock.monotonic()
        self._next = self._begun + PLAIN_SECONDS

    def show(self, progress: IngestProgress) -> None:
        now = self._clock.monotonic()
        if now >= self._next:
            self._next = now + PLAIN_SECONDS
            self._stream.write(f"[{duration(now - self._begun)}] {', '.join(_facts(progress))}\n")
            self._stream.flush()

    def __exit__(self, *error: object) -> None:
        """Every line is out."""


class _Live(IngestDisplay):
    """One line in place."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._clock = clock
        self._begun = clock.monotonic()
        self._last = -math.inf
        self._live = Live(console=Console(file=stream, highlight=False), refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def show(self, progress: IngestProgress) -> None:
        now = self._clock.monotonic()
        if now - self._last < 0.1 and progress.done < progress.files:
            return
        self._last = now
        line = Table.grid(padding=(0, 2), expand=True)
        line.add_column(ratio=1)
        line.add_column(no_wrap=True)
        facts = "   ".join([*_facts(progress), duration(now - self._begun)])
        line.add_row(ProgressBar(max(1, progress.files), progress.done), facts)
        self._live.update(line)

    def __exit__(self, *error: object) -> None:
        self._live.stop()


def _facts(progress: IngestProgress) -> list[str]:
    return [
        f"{progress.done:,}/{progress.files:,} files",
        f"read {size(progress.bytes_read)}",
        f"uploaded {size(progress.bytes_uploaded)}",
    ]


def ingest_lines(report: IngestReport) -> list[str]:
    """The sum in one line, and what did not go as one might think, by name."""
    new = [one for one in report.brought if not one.replaces]
    replaced = [one for one in report.brought if one.replaces]
    weight = size(sum(one.size_bytes for one in report.brought))
    verb = "would be uploaded" if report.dry_run else "uploaded"
    lines = [f"{count(report.files, 'file')}: {report.unchanged:,} there already, {len(new):,} new and"]
    lines[0] += f" {len(replaced):,} changed {verb} ({weight})"
    lines[0] += f"; {len(report.kept):,} kept back" * bool(report.kept)
    lines[0] += f"; {len(report.refused):,} not brought" * bool(report.refused)
    if report.dry_run:
        lines += _named(verb, [f"{one.path} → {one.object}" for one in new])
    lines += _named("replaces" if not report.dry_run else "would replace", [one.object for one in replaced])
    lines += _named(f"kept back: {_YOUNGER}", [printable(one.path) for one in report.kept])
    lines += _named("not brought", _reasons(report.refused))
    lines += _named("passed by", _reasons(report.skipped))
    return [*lines, *([f"note: {report.note}"] if report.note else [])]


def ingest_json(report: IngestReport) -> dict[str, Any]:
    """All of it, for programs."""
    left = {
        name: [{"path": printable(one.path), "why": one.why} for one in found]
        for name, found in (("kept", report.kept), ("refused", report.refused), ("skipped", report.skipped))
    }
    return {
        "files": report.files,
        "unchanged": report.unchanged,
        "uploaded": [
            {"path": one.path, "object": one.object, "bytes": one.size_bytes, "replaces": one.replaces}
            for one in report.brought
        ],
        **left,
        "bytes_read": report.bytes_read,
        "bytes_uploaded": report.bytes_uploaded,
        "dry_run": report.dry_run,
        "note": report.note,
    }


def printable(path: str) -> str:
    """A path as a terminal and JSON can bear it: a name may hold line breaks, or be no text at all."""
    return path if path.isprintable() else repr(path)


def _reasons(left: Sequence[Left]) -> list[str]:
    return [f"{printable(one.path)}: {one.why}" for one in left]


def _named(title: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = [f"  … and {len(names) - MOST_NAMED:,} more (--json lists all)"] if len(names) > MOST_NAMED else []
    return [f"{title} ({len(names):,}):", *(f"  {name}" for name in names[:MOST_NAMED]), *more]
