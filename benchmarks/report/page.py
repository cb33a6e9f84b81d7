"""What a section of the page is, and the page around them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any

from jit_render.report.document import document, grid

Found = dict[str, dict[str, Any]]
"""Results by benchmark; a benchmark that was not run is not there."""


@dataclass(frozen=True)
class Section:
    """A part of the page. `charts`: SVG by the name of its file, in the order of the page; `below`: HTML after them."""

    title: str
    words: str = ""
    charts: dict[str, str] = field(default_factory=dict)
    below: str = ""


def not_run(title: str, *names: str) -> Section:
    """Nothing to show, and how to have it."""
    commands = " and ".join(f"python -m benchmarks {name}" for name in names)
    return Section(title, f"Not measured here. Run: {commands}.")


def origin(result: dict[str, Any], name: str) -> str:
    """Where a figure comes from and how to have it again; HTML."""
    machine = result.get("machine", {})
    how = "a quick run" if result.get("quick") else "a full run"
    where = f"{machine.get('cpu', 'unknown processor')}, {machine.get('cores', '?')} cores"
    command = f"python -m benchmarks {name}" + (" --quick" if result.get("quick") else "")
    words = f"{how} of {machine.get('date', 'unknown date')[:10]} on {where}. Again:"
    return f'<p class="quiet">{escape(words)} <code>{escape(command)}</code></p>'


def page(found: Found, sections: list[Section]) -> str:
    """The whole document."""
    title = "Just in time beside what else a studio would use"
    return document(title, [f"<h1>{escape(title)}</h1>{_method()}", *map(_html, sections), _machines(found)])


def _method() -> str:
    words = (
        "Measured figures come from real programs run side by side, in turn, on one machine; ratios count, not "
        "seconds. Simulated figures come from a model that is held against the measured ones, with what is assumed "
        "of the cloud in the result's JSON under its name. Both are marked. What missed its target is at the end."
    )
    return f"<p>{escape(words)}</p>"


def _html(section: Section) -> str:
    words = f"<p>{escape(section.words)}</p>" if section.words else ""
    return f"<h2>{escape(section.title)}</h2>{words}{''.join(section.charts.values())}{section.below}"


def _machines(found: Found) -> str:
    rows = []
    for name, result in found.items():
        machine = result.get("machine", {})
        kind = "quick" if result.get("quick") else "full"
        rows.append(
            (name, kind, str(machine.get("date", ""))[:16], str(machine.get("load", "")), str(machine.get("cpu")))
        )
    return "<h2>Runs</h2>" + grid(("benchmark", "run", "date (UTC)", "load", "processor"), rows)
