"""Renderers that would never end: hung ones, and frames that take longer than anybody wants to pay for.

A renderer is taken for hung once it and all its children have used next to no processor time, and said nothing, for
`farm.hang_limit` seconds. (Threads that only keep a licence alive wake now and then; hence "next to".) The default is
more than the hour for which a callback may wait for bytes, or for room in the spool. What hung is tried again on the
budget of the nodes: drivers, licences and mounts hang, and a second try mostly passes. A frame over `farm.frame_limit`
is the shot's own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from jit_render.farm.outcome import Outcome, failed
from jit_render.farm.pace import Pace
from jit_render.model.job import FailureClass
from jit_render.render.process import RunningRender

IDLE_SHARE = 0.01  # of one processor over the whole limit
LOOK_SECONDS = 5.0
_LOOKS = 20  # in the shorter of the limits, at least
_TICKS = os.sysconf("SC_CLK_TCK")


def group_cpu_seconds(group: int) -> float | None:
    """Processor time of the living processes of a group and of what they have waited for; None where nobody tells."""
    total, found = 0, False
    with contextlib.suppress(OSError):
        for entry in os.scandir("/proc"):
            if entry.name.isdecimal():
                with contextlib.suppress(OSError, ValueError, IndexError):  # it has just ended
                    told = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                    if int(told[2]) == group:
                        found = True
                        total += sum(map(int, told[11:15]))
    return total / _TICKS if found else None


@dataclass
class Overtime:
    """Looks at a running renderer now and then. Limits in seconds; 0: none."""

    hang_seconds: float = 0.0
    frame_seconds: float = 0.0
    cpu_seconds: Callable[[int], float | None] = group_cpu_seconds
    _next: float = field(default=0.0, init=False)
    _since: tuple[float, float, int] | None = field(default=None, init=False)
    """When it was last seen at work, its processor time and its lines then."""

    def begin(self) -> None:
        """Another renderer starts."""
        self._since, self._next = None, 0.0

    def look(self, render: RunningRender, pace: Pace, now: float) -> Outcome | None:
        """What the attempt comes to where the renderer has to be ended."""
        if now < self._next:
            return None
        limits = [limit for limit in (self.hang_seconds, self.frame_seconds) if limit]
        self._next = now + (min(LOOK_SECONDS, min(limits) / _LOOKS) if limits else float("inf"))
        held = "before its first frame" if pace.in_hand is None else f"at frame {pace.in_hand}"
        taken = pace.seconds_in_hand(now)
        if self.frame_seconds and taken > self.frame_seconds:
            told = f"frame {pace.in_hand} takes over {self.frame_seconds:g} s (farm.frame_limit)"
            return failed(FailureClass.RENDER_ERROR, f"{told}; raise the limit, or look at the log for why.")
        if self.hang_seconds and self._idle_seconds(render, now) > self.hang_seconds:
            told = f"the renderer hangs {held}: for {self.hang_seconds:g} s (farm.hang_limit) it did and said nothing"
            return failed(FailureClass.NODE, f"{told}; it was ended. Look at its log and at the agent's.")
        return None

    def _idle_seconds(self, render: RunningRender, now: float) -> float:
        used, said = self.cpu_seconds(render.pid), render.lines
        if self._since is None or used is None:
            self._since = (now, used or 0.0, said)
        since, used_then, said_then = self._since
        idle = IDLE_SHARE * self.hang_seconds
        if used is not None and (said != said_then or not 0 <= used - used_then <= idle):
            self._since = (now, used, said)
            return 0.0
        return now - since
