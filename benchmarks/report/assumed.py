"""Everything that the model was told, so that nobody has to look for it: value, unit, and where it comes from."""

from __future__ import annotations

from typing import Any

from benchmarks.report.page import Found, Section, not_run, origin
from jit_render.report.document import grid

_TITLE = "What the model was told"
_BYTES = "MB"
_NAMES: dict[str, tuple[str, str]] = {
    "load.compute_seconds": ("computing of a frame", "s"),
    "load.frame_bytes": ("read by one frame alone", _BYTES),
    "load.shared_bytes": ("read by every frame, once a node", _BYTES),
    "load.show_bytes": ("whole shot, for copy-all", _BYTES),
    "load.output_bytes": ("written by a frame", _BYTES),
    "load.frame_objects": ("objects read by a frame", ""),
    "load.spread": ("spread of computing (deviation / mean)", ""),
    "node.bandwidth": ("bandwidth of a node's cache", "MB/s"),
    "node.filer_bandwidth": ("node's line to a filer", "MB/s"),
    "node.disk_bandwidth": ("node's disk, reading", "MB/s"),
    "node.boot_seconds": ("boot of a node", "s"),
    "node.start_seconds": ("start of the renderer, each task", "s"),
    "node.chunk": ("frames of a task", ""),
    "node.lookahead": ("frames fetched ahead", ""),
    "filer_bandwidth": ("bandwidth of a filer server", "MB/s"),
    "spot.per_day": ("nodes preempted a day (share)", ""),
    "spot.law": ("law of their lives", ""),
    "spot.replace_seconds": ("until a lost node is replaced", "s"),
    "terms.machine": ("machine of a node", ""),
    "terms.provisioning": ("how it is bought", ""),
    "terms.local_ssds": ("local SSDs of a node (not the filer's)", ""),
    "terms.filer_use": ("share of the filer's hours in use", ""),
    "terms.place": ("where the bucket is", ""),
}


def assumed(found: Found) -> Section:
    """One row for each number, one column for each shot."""
    result = found.get("simulate")
    if result is None:
        return not_run(_TITLE, "simulate")
    shots = {shot: _flat(told.get("assumed", {})) for shot, told in result["shots"].items()}
    sources = {row["name"]: row["source"] for told in result["shots"].values() for row in told["sensitivity"]}
    sources |= {"nodes preempted a day (share)": sources.get("preempted a day", "assumed")}
    body = [
        (name, *(_value(values.get(place), unit) for values in shots.values()), sources.get(name, "assumed"))
        for place, (name, unit) in _NAMES.items()
    ]
    words = (
        "A studio puts its own numbers here (benchmarks/simulate/cloud.py). Left out, to the filer's favour: its "
        "replicas, its failures, the people who run it, and bringing a show onto it. Left out, to ours: what holds the "
        "shot in the bucket for a month, and the wait for Spot machines beyond a minute."
    )
    numbers = tuple(range(1, 1 + len(shots)))
    return Section(
        _TITLE, words, below=grid(("what", *shots, "source"), body, numbers=numbers) + origin(result, "simulate")
    )


def _flat(told: dict[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in told.items():
        flat |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
    return flat


def _value(value: Any, unit: str) -> str:
    if isinstance(value, (int, float)):
        shown = f"{value / 1e6:,.0f}" if unit.startswith(_BYTES) else f"{value:g}"
        return f"{shown} {unit}".strip()
    return "" if value is None else str(value)
