"""``python -m benchmarks NAME --json FILE [--quick]``: measure, write the numbers down, print a table.

The newest result of each is kept in ``.bench/`` (`results`), where ``simulate`` and ``report`` find it.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import compare, leftovers, machine, results

NAMES = (
    "resolve",
    "restart",
    "fetch",
    "upload",
    "warm",
    "plan",
    "plan-bucket",
    "prefetch",
    "ingest",
    "preprocess",
    "farm",
    "simulate",
    "preempt",
)
"""Modules of this package with ``measure(*, quick) -> dict`` and ``table(result) -> rich.Table``."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=[*NAMES, "all", "report", "readme"])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    parser.add_argument("--quick", action="store_true", help="fewer samples")
    parser.add_argument("--compare", action="store_true", help="fail where a ratio became worse since the last time")
    parser.add_argument("--out", type=Path, metavar="DIR", default=results.FOLDER / "report", help="of report")
    asked = parser.parse_args(arguments)
    leftovers.stop_as_asked()
    console = Console()
    if asked.name == "report":
        from benchmarks import report

        console.print(f"written to {report.write(report.gather(), asked.out)}")
        return 0
    if asked.name == "readme":
        return _refreshed(console, Path("README.md"))
    measured: dict[str, Any] = {}
    for name in NAMES if asked.name == "all" else [asked.name]:
        module = importlib.import_module(f"benchmarks.{name.replace('-', '_')}")
        on = machine.describe()
        result = {"benchmark": name, "quick": asked.quick, **module.measure(quick=asked.quick), "machine": on}
        console.print(module.table(result))
        measured[name] = result
        results.keep(result)
    console.print(" · ".join(f"{key} {value}" for key, value in machine.describe().items()), style="dim")
    if asked.json:
        results.write(asked.json, measured if asked.name == "all" else measured[asked.name])
        console.print(f"written to {asked.json}")
    return _compared(console, measured) if asked.compare else 0


def _refreshed(console: Console, readme: Path) -> int:
    """2 where there is no place for the figures."""
    from benchmarks.report import gather
    from benchmarks.report.readme import refresh

    try:
        changed = refresh(readme, gather())
    except (OSError, ValueError) as error:
        console.print(str(error), highlight=False, markup=False)
        return 2
    console.print(f"{readme}: {'figures refreshed' if changed else 'nothing new'}", highlight=False)
    return 0


def _compared(console: Console, measured: dict[str, Any]) -> int:
    """1 where a ratio worsened by more than a fifth."""
    compared = compare.compare(measured, machine.describe())
    *ratios, verdict = compared.lines()
    for line in ratios:
        console.print(line, style="dim", highlight=False)
    console.print(verdict, style="bold", highlight=False)
    return 1 if compared.worse else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("Interrupted; what was measured before is in .bench.")
