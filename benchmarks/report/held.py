"""All targets that the project holds itself to, met or not, and what was not run."""

from __future__ import annotations

from typing import Any

from benchmarks.report.page import Found, Section
from jit_render.report.document import grid

_ALL = (
    *("fetch", "resolve", "restart", "upload", "warm", "prefetch", "plan", "plan-bucket", "ingest", "preprocess"),
    *("farm", "simulate", "preempt"),
)
_MB = 10**6
_ELSEWHERE: dict[tuple[str, str], tuple[str, str | float]] = {
    ("upload", "rate"): ("ratios/rate_to_curl", "targets/rate_to_curl"),
    ("upload", "reply"): ("raw/reply_ms/median", "targets/reply_ms"),
    ("upload", "reply_p99"): ("raw/reply_ms/p99", "targets/reply_ms"),
    ("restart", "answer"): ("raw/answer_seconds", "targets/answer_seconds"),
    ("restart", "memory"): ("raw/memory_bytes", "targets/memory_bytes"),
    ("resolve", "held"): ("raw/held_us/*/median", "targets/held_us"),
    ("resolve", "held_p99"): ("raw/held_us/*/p99", "targets/held_p99_us"),
    ("resolve", "socket"): ("raw/socket_us/*/median", "targets/socket_us"),
    ("resolve", "clients"): ("ratios/clients_16_to_1", "targets/clients_16_to_1"),
    ("warm", "after_frame_median"): ("raw/after_frame_ms/median", "targets/after_frame_ms"),
    ("warm", "after_frame_longest"): ("raw/after_frame_ms/longest", "targets/after_frame_ms"),
    ("plan", "seconds"): ("raw/*/plan_seconds", "targets/plan_seconds"),
    ("plan", "parse"): ("large_parse/seconds", "targets/parse_seconds"),
    ("plan", "memory"): ("raw/*/peak_bytes", "targets/peak_bytes"),
    ("preprocess", "large_peak_bytes"): ("large/peak_bytes", "targets/large_peak_bytes"),
}
"""What was measured and what was wanted, where a target has another name than its figure; a number is the want.

``*`` is the last of what there is: the largest size that was measured.
"""


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
    return [
        (
            name,
            key.replace("_", " "),
            _shown(key, _value(name, result, key)),
            _shown(key, _wanted(name, result, key)),
            "met" if is_met else "missed",
        )
        for key, is_met in met.items()
    ]


def _value(name: str, result: dict[str, Any], key: str) -> Any:
    """The figure of a target, where it stands under the same name or where `_ELSEWHERE` says."""
    if (name, key) in _ELSEWHERE:
        return _at(result, _ELSEWHERE[name, key][0])
    ratios = result.get("ratios")
    found = ratios.get(key) if isinstance(ratios, dict) and key in ratios else result.get(key)
    return found if isinstance(found, (int, float)) else result["met"][key]


def _wanted(name: str, result: dict[str, Any], key: str) -> Any:
    if (name, key) in _ELSEWHERE:
        wanted = _ELSEWHERE[name, key][1]
        return _at(result, wanted) if isinstance(wanted, str) else wanted
    found = result.get("targets", {}).get(key)
    return True if found is None and isinstance(_value(name, result, key), bool) else found


def _at(result: dict[str, Any], path: str) -> Any:
    value: Any = result
    for part in path.split("/"):
        inner = value if isinstance(value, dict) else {}
        value = next(reversed(inner.values()), None) if part == "*" else inner.get(part)
    return value


def _shown(key: str, value: Any) -> str:
    """With its unit where the target's name tells one."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, (int, float)):
        return ""
    if key.endswith(("bytes", "memory")) and value > _MB:
        return f"{value / _MB:,.0f} MB"
    return f"{value:,.3g}"
