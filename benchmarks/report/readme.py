"""``python -m benchmarks readme``: the headline figures in README.md, written from what was measured, not by hand.

They stand between two marks. Each has the command that makes it, the day and the machine; a benchmark that was not run
here has no row, and what misses its target is said as what meets it. Nothing is measured, so it takes no time.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from benchmarks.report.held import rows
from benchmarks.report.page import Found
from benchmarks.simulate import told_linear, validated_hosts

BEGIN = "<!-- figures: python -m benchmarks readme -->"
END = "<!-- end of figures -->"


def refresh(readme: Path, found: Found) -> bool:
    """Put the figures between the marks; whether anything changed. Raises ValueError where the marks are not there."""
    before = readme.read_text(encoding="utf-8")
    parts = re.split(f"({re.escape(BEGIN)}|{re.escape(END)})", before)
    if [parts[at] for at in range(1, len(parts), 2)] != [BEGIN, END]:
        raise ValueError(f"{readme}: the figures have no place; put the lines {BEGIN} and {END} where they belong.")
    after = f"{parts[0]}{BEGIN}\n{block(found)}\n{END}{parts[4]}"
    if after == before:
        return False
    whole = readme.with_name(f"{readme.name}.new")
    whole.write_text(after, encoding="utf-8")
    whole.replace(readme)
    return True


def block(found: Found) -> str:
    """The lines between the marks."""
    lines = [line for name, result in found.items() for line in _of(name, result)]
    if not lines:
        return "Nothing was measured here yet: `make bench` does."
    heads = ["| figure | here | wanted or claimed | command | measured |", "|---|---|---|---|---|"]
    return "\n".join([*heads, *lines, "", _machines(found)])


def _of(name: str, result: dict[str, Any]) -> list[str]:
    figures = [*(_claim(result) if name == "simulate" else ()), *_targets(name, result)]
    command = f"`python -m benchmarks {name}{' --quick' if result.get('quick') else ''}`"
    day = str(result.get("machine", {}).get("date", ""))[:10] or "unknown day"
    return [f"| {' | '.join(_plain(cell) for cell in figure)} | {command} | {day} |" for figure in figures]


def _targets(name: str, result: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Every figure with a target, met or missed."""
    return [
        (f"{name}: {figure}", f"{value}{', missed' if verdict == 'missed' else ''}", wanted)
        for _, figure, value, wanted, verdict in rows(name, result)
        if value
    ]


def _claim(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The account's four figures as the model has them: means with 95 % intervals."""
    source, told = result.get("source", {}), []
    for shot, one in result.get("shots", {}).items():
        head = one["headline"]
        told.append((f"{shot}: more instances", told_linear(head, validated_hosts(result)), _source(source, 2)))
        for figure, number in (("cost_less", 0), ("faster", 1)):
            word = figure.replace("_", " ")
            told += [
                (f"{shot}: {word}, {name}", _spelt(value), _source(source, number))
                for name, value in head[figure].items()
            ]
        told.append((f"{shot}: node time lost to preemption", _spelt(head["lost_to_preemption"], 2), ""))
    return told


def _source(source: dict[str, float], number: int) -> str:
    value = source.get(("cost_less", "faster", "instances_more")[number])
    return "" if value is None else _share(value)


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _spelt(value: dict[str, float], digits: int = 0) -> str:
    mean, low, high = (f"{round(100 * value[end], digits) + 0.0:.{digits}f}" for end in ("mean", "low", "high"))
    return f"{mean} ({low} to {high}) %"


def _machines(found: Found) -> str:
    """On what; most often one line."""
    on = dict.fromkeys(
        f"{machine.get('cpu', 'unknown processor')}, {machine.get('cores', '?')} cores, "
        f"{machine.get('system', 'unknown system')}, Python {machine.get('python', '?')}"
        for machine in (result.get("machine", {}) for result in found.values())
    )
    return f"Measured on {'; '.join(_plain(one) for one in on)}. Simulated figures are means with 95 % intervals."


def _plain(cell: str) -> str:
    """Text that ends neither its cell nor the block."""
    return " ".join(re.sub(r"[|<>]", " ", cell).split())
