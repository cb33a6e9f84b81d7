"""What a scout has found, for people."""

from __future__ import annotations

from jit_render.farm.scouting import Estimate, Findings
from jit_render.report.words import count, duration, size


def scout_lines(job: str, found: Findings) -> list[str]:
    """A line per frame, and what is to be expected."""
    lines = [f"{job}: {count(len(found.frames), 'frame')} scouted, {found.frames_left:,} left"]
    for one in found.frames:
        read = "" if one.bytes_read is None else f", reads {size(one.bytes_read)}"
        lines.append(f"  frame {one.frame}  {one.seconds:.2f} s{read}, writes {size(one.bytes_written)}")
    if not found.frames_left or not found.frames:
        return lines
    tasks = f"{count(found.tasks_left, 'start')} of {duration(found.start_seconds)}"
    return [
        *lines,
        f"  expected  {_span(found.seconds)} in a renderer, with {tasks}",
        f"            {_span(found.wall)} on {count(found.workers, 'worker')}",
        f"            {size(found.bytes_written.expected)} to write",
        f"  go on     jit-render resume {job}",
    ]


def _span(one: Estimate) -> str:
    return f"{duration(one.expected)} ({duration(one.least)} to {duration(one.most)})"
