"""What a script reads, told without a bucket: per node the frames wanted, what is widened and why, what is not known.

Lines fit 80 columns, reasons excepted: they are sentences and are wrapped.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from jit_render.model.frames import FrameSet, spell
from jit_render.report.words import count, cut_end, cut_start
from jit_render.script.plan import Plan, ReadPlan

WIDTH = 80
_NODE, _FRAMES = 30, 26


def script_lines(plan: Plan, name: str) -> list[str]:
    """Lines for people."""
    lines = [f"{name}: {FrameSet.of(plan.frames).echo()}", "", "writes"]
    for write in plan.writes:
        some = "" if write.frames == plan.frames else f", frames {spell(write.frames)}"
        lines.append(cut_end(f"  {write.node} ({' '.join(write.views)}{some})", WIDTH))
        lines.append(f"    {cut_start(write.pattern or 'only Nuke can tell where to', WIDTH - 4)}")
    lines += ["", *_reads(plan.reads)]
    if plan.undecided:
        lines += ["", f"could not be told from the script ({len(plan.undecided)})"]
        for one in plan.undecided:
            lines += _wrapped(one.why, "  ")
    return [*lines, "", *_sums(plan)]


def _reads(reads: Sequence[ReadPlan]) -> list[str]:
    if not reads:
        return ["reads: nothing"]
    lines = [f"{'reads':<{_NODE}}  {'file frames':<{_FRAMES}}{'job frames':>{WIDTH - _NODE - _FRAMES - 2}}"]
    for read in reads:
        knob = f"{read.node}.{read.knob}" if read.knob else read.node
        mark = "  " if read.certain else "? "
        frames = spell(read.file_frames()) if read.has_frame else "one file"
        lines.append(
            f"{mark}{cut_end(knob, _NODE - 2):<{_NODE - 2}}  {cut_end(frames, _FRAMES):<{_FRAMES}}"
            f"{len(read.wanted):>{WIDTH - _NODE - _FRAMES - 2}}"
        )
        views = f" ({' '.join(read.views)})" if any(read.views) else ""
        kind = "" if read.origin == "node" else f" [{read.origin}]"
        lines.append(f"    {cut_start(read.pattern + views + kind, WIDTH - 4)}")
        if read.why:
            lines += _wrapped(f"perhaps: {read.why}", "    ")
    return lines


def _sums(plan: Plan) -> list[str]:
    every: set[str] = set()
    doubtful: set[str] = set()
    most, least = 0, None
    for frame in plan.frames:
        names = list(plan.files(frame))
        most = max(most, len(names))
        least = len(names) if least is None else min(least, len(names))
        every.update(one.name for one in names)
        doubtful.update(one.name for one in names if not one.certain)
    perhaps = f", {len(doubtful):,} of them perhaps" if doubtful else ""
    span = count(most, "file") if least == most else f"{least:,} to {most:,} files"
    return [f"a frame  {span}", f"the shot {count(len(every), 'file')}{perhaps}"]


def _wrapped(text: str, lead: str) -> Iterable[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=lead, subsequent_indent=lead + "  ", break_long_words=False, break_on_hyphens=False
    )
