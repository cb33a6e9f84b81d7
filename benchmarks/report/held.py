"""All targets that the project holds itself to, met or not, and what was not run."""

from __future__ import annotations

from typing import Any

from benchmarks.report.page import Found, Section
from jit_render.report.document import grid

_ALL = (
    *("fetch", "resolve", "restart", "upload", "warm", "prefetch", "plan", "plan-bucket", "ingest", "preprocess"),
    *("farm", "simulate", "preempt"),
)


def held(found: Found) -> Section:
    body = [row for name in _ALL for row in rows(name, found.get(name))]
    missed = sum(row[4] == "missed" for row in body)
    words = (
        f"{missed} of {sum(row[4] in {'met', 'missed'} for row in body)} targets were missed by the runs shown here."
    )
    return Section(
        "Held to", words, below=grid(("benchmark", "figure", "measured", "wanted", ""), body, numbers=(2, 3))
    )


def rows(name: str, result: dict[str, Any] | None) -> list[tuple[str, str, str, str, str]]:
    """Benchmark, figure, measured, wanted, verdict; one row that says how to measure it where it was not."""
    if result is None:
        return [(name, "", "", "", f"not measured: python -m benchmarks {name}")]
    met = result.get("met")
    if not isinstance(met, dict):
        return []
    targets = result.get("targets", {})
    return [
        (
            name,
            key.replace("_", " "),
            _shown(_value(result, key)),
            _shown(targets.get(key)),
            "met" if is_met else "missed",
        )
        for key, is_met in met.items()
    ]


def _value(result: dict[str, Any], key: str) -> Any:
    """The figure of a target, where it stands under the same name."""
    ratios = result.get("ratios")
    return ratios.get(key) if isinstance(ratios, dict) and key in ratios else result.get(key)


def _shown(value: Any) -> str:
    return f"{value:,.3g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else ""
