"""What a job is expected to take, in three lines, before anybody agrees to it."""

from __future__ import annotations

from collections.abc import Callable

from jit_render.cost.bill import usd
from jit_render.model.job import EstimateRecord, RangeRecord
from jit_render.report.words import count, duration


def estimate_lines(expected: EstimateRecord, *, budget: float = 0.0) -> list[str]:
    """Nodes, hours and dollars with their range, and what they were reckoned from."""
    cost = expected.usd
    lines = [
        f"  time       {_range(expected.hours, _hours)}",
        f"  node time  {_range(expected.node_hours, _hours)}, on {count(expected.nodes, 'node')}",
        f"  cost       {_range(cost, usd)} at list prices",
        f"  from       {expected.basis}",
    ]
    if budget and cost.high > budget:
        sure = "will" if cost.low > budget else "may"
        lines.append(f"  budget     {usd(budget)}: the job {sure} be held before it is done; --budget raises it.")
    return lines


def _range(of: RangeRecord, spell: Callable[[float], str]) -> str:
    return f"{spell(of.mid)} ({spell(of.low)} to {spell(of.high)})"


def _hours(hours: float) -> str:
    return duration(hours * 3600)
