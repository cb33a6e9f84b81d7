"""The farm's runs for people: one row each, narrow enough for a terminal of 80 columns."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.table import Table

from benchmarks.farm.values import Result, Run

_MEGA = 1e6


def show(document: dict[str, Any]) -> Group:
    """Rows, what was left out, and what the project holds itself to."""
    result = Result.of_json(document)
    return Group(_runs(result), _judged(document), *_notes(result))


def _runs(result: Result) -> Table:
    shown = Table(title="farm", padding=0)
    shown.add_column("system", no_wrap=True)
    for name in ("hosts", "frames/h", "a host", "wait s", "filer MB", "store MB", "CPU s", "disk MB"):
        shown.add_column(name, justify="right", no_wrap=True)
    for hosts in result.setting.hosts:
        for run in (run for run in result.runs if run.hosts == hosts):
            shown.add_row(*_row(run))
        shown.add_section()
    one, shot = result.setting, result.shot
    links = (
        f"links {one.host_bits_per_second / _MEGA:g} Mbit/s a host, {one.filer_bits_per_second / _MEGA:g} the filer's"
        if one.shaped
        else "links without limits: not root"
    )
    shown.caption = (
        f"{links}; a frame reads {shot.frame_bytes / _MEGA:.1f} of {shot.size_bytes / _MEGA:.0f} MB "
        f"({shot.frame_share:.1%}) and computes {one.compute_seconds:g} s; * cores busy"
    )
    return shown


def _row(run: Run) -> list[str]:
    return [
        run.system + ("" if run.frames_equal else " (differs!)"),
        f"{run.hosts}{'*' if run.cpu_bound else ''}",
        f"{run.frames_per_hour:,.0f}",
        f"{run.per_host_rate:,.0f}",
        f"{run.wait_seconds:.1f}",
        f"{run.filer_bytes / _MEGA:.0f}",
        f"{run.store_bytes / _MEGA:.0f}",
        f"{run.cpu_seconds:.1f}",
        f"{run.peak_disk_bytes / _MEGA:.0f}",
    ]


def _judged(document: dict[str, Any]) -> Table:
    shown = Table("held to", "measured", "wanted", "")
    for name, met in document["met"].items():
        ratio, target = document["ratios"].get(name), document["targets"].get(name)
        shown.add_row(
            name.replace("_", " "),
            "" if ratio is None else f"{ratio:.2f}",
            "" if target is None else f"≥ {target:g}",
            "met" if met else "not met",
        )
    return shown


def _notes(result: Result) -> list[str]:
    return [f"{system} left out: {why}" for system, why in result.skipped.items()]
