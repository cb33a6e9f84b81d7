"""What preemption costs, measured in small and simulated."""

from __future__ import annotations

from html import escape
from typing import Any

from benchmarks.report.page import Found, Section, not_run, origin
from jit_render.report.charts import Axis, Chart, Line, lines
from jit_render.report.document import grid

_TITLE = "What Spot costs"


def spot(found: Found) -> Section:
    result = found.get("preempt")
    if result is None:
        return not_run(_TITLE, "preempt")
    laws = dict.fromkeys(row["law"] for row in result["simulated"])
    charts = {f"preempt-{law}": _wasted(law, [row for row in result["simulated"] if row["law"] == law]) for law in laws}
    words = (
        "Simulated: work of the nodes beyond the same job without preemption, 50 nodes and 2,000 frames of 300 s, by "
        "what share is taken a day. The bound is the most that restarting by the frame may add: for each node that is "
        "taken the longest frame, a boot, a start and the first frame's files. Measured in small, with a day "
        "compressed to seconds: below; overhead has each task's start in it, wasted is what preemption added, "
        "and may not be more than the bound, a frame in hand, a start and the notice for each."
    )
    return Section(_TITLE, words, charts, _measured(result["measured"]) + origin(result, "preempt"))


def _wasted(law: str, told: list[dict[str, Any]]) -> str:
    chart = Chart(f"Wasted work, {law} lives", Axis("preempted a day", "%"), Axis("of the work", "%"))
    given = []
    for chunk in dict.fromkeys(row["chunk"] for row in told):
        own = [row for row in told if row["chunk"] == chunk]
        label = "chunk auto" if chunk == "auto" else f"chunk {chunk}"
        given.append(_line(label, own, "wasted"))
    given.append(_line("bound", [row for row in told if row["chunk"] == "auto"], "bound"))
    return lines(chart, given)


def _line(name: str, told: list[dict[str, Any]], figure: str) -> Line:
    points = tuple((100 * row["per_day"], 100 * row[figure]["mean"]) for row in told)
    return Line(name, points)


def _measured(told: list[dict[str, Any]]) -> str:
    """One table for each law: eight columns are too many for a phone."""
    heads = ("a day", "chunk", "taken", "overhead", "wasted", "bound", "lost")
    laws = dict.fromkeys(row["law"] for row in told)
    return "".join(
        f"<h3>Measured, {escape(law)} lives</h3>"
        + grid(heads, [_row(row) for row in told if row["law"] == law], numbers=(0, 1, 2, 3, 4, 5, 6))
        for law in laws
    )


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{100 * row['per_day']:.0f} %",
        row["label"],
        str(row["preemptions"]),
        f"{100 * row['overhead']:.0f} %",
        f"{100 * row['wasted']:.0f} %" if "wasted" in row else "",
        f"{100 * row['bound']:.0f} %",
        str(row["frames_lost"]),
    )
