"""``python -m benchmarks report``: one page from whatever was measured, without measuring anything.

It reads the newest results in ``.bench/`` and writes ``index.html``, which needs nothing beside it, each chart as SVG
and PNG, and ``results.csv`` and ``results.json``. What was not run is said, with the command that would; what missed
its target is said as plainly as what met it. Every figure carries its date and machine, and a quick run says so.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.report.assumed import assumed
from benchmarks.report.claim import claim
from benchmarks.report.farm import farm
from benchmarks.report.held import held
from benchmarks.report.page import Found, Section
from benchmarks.report.simulated import choices, growth, sensitivity
from benchmarks.report.spot import spot

NAMES = (
    *("farm", "simulate", "preempt", "preprocess", "fetch", "upload", "resolve", "restart", "warm"),
    *("prefetch", "plan", "plan-bucket", "ingest"),
)
_SECTIONS: tuple[Callable[[Found], Section], ...] = (claim, farm, growth, choices, sensitivity, assumed, spot, held)


def gather(folder: Path = results.FOLDER) -> Found:
    """The newest result of each benchmark that was run."""
    return {name: found for name in NAMES if (found := results.newest(name, folder)) is not None}


def write(found: Found, out: Path) -> Path:
    """All files; where the page stands."""
    from benchmarks.report.page import page
    from benchmarks.report.picture import write_png

    sections = [make(found) for make in _SECTIONS]
    out.mkdir(parents=True, exist_ok=True)
    for section in sections:
        for name, chart in section.charts.items():
            (out / f"{name}.svg").write_text(standalone(chart), encoding="utf-8")
            write_png(chart, out / f"{name}.png")
    (out / "results.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "results.csv").write_text(as_csv(found), encoding="utf-8")
    (out / "index.html").write_text(page(found, sections), encoding="utf-8")
    return out / "index.html"


def standalone(chart: str) -> str:
    """A chart of the page as an SVG file."""
    from jit_render.report.charts import CSS

    head, mark, rest = chart.partition(">")
    space = "" if "xmlns=" in head else ' xmlns="http://www.w3.org/2000/svg"'
    return f"{head}{space}{mark}<style>{CSS} text {{ font-family: sans-serif }}</style>{rest}\n"


def as_csv(found: Found) -> str:
    """Every number of every result: benchmark, where it stands in it, value, date."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("benchmark", "quick", "figure", "value", "date"))
    for name, result in found.items():
        date = result.get("machine", {}).get("date", "")
        rows.writerows((name, result.get("quick"), *figure, date) for figure in _figures(result, ""))
    return text.getvalue()


def _figures(value: Any, place: str) -> list[tuple[str, float]]:
    if isinstance(value, dict):
        return [one for key, part in value.items() for one in _figures(part, f"{place}/{key}")]
    if isinstance(value, list):
        return [one for number, part in enumerate(value) for one in _figures(part, f"{place}/{number}")]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [(place.removeprefix("/"), value)]
    return []
