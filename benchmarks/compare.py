"""Did anything become worse? This run's ratios beside the last stored ones of the same class of machine.

Only ratios are compared: they were measured side by side, so a busy machine spoils them less than any time. A class is
processor, cores and Python's minor version. What worsened by more than a fifth is named; the stored values then stay,
so that a second look compares with the same. Otherwise this run's become the stored ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.results import FOLDER, write

WORSE = 0.20
Better = Literal["more", "less"]

WATCHED: dict[str, dict[str, Better]] = {
    "resolve": {"ratios.held_growth": "less", "ratios.clients_16_to_1": "more"},
    "restart": {"ratios.answer_to_target": "less", "ratios.memory_to_target": "less"},
    "fetch": {
        "ratios.large_to_curl": "more",
        "ratios.large_to_google-cloud-storage": "more",
        "ratios.small_to_curl": "more",
        "ratios.small_to_google-cloud-storage": "more",
    },
    "upload": {"ratios.rate_to_curl": "more"},
    "warm": {"ratios.large": "less"},
    "plan": {"growth_per_node": "less"},
    "prefetch": {"ratio_to_bound": "less"},
    "preprocess": {"speed_up": "more", "bytes_ratio": "less"},
    "farm": {"ratios.jit_to_gluster_1": "more", "ratios.jit_to_gluster_4": "more"},
}
"""The ratios that are compared, and which way is better."""


@dataclass(frozen=True, slots=True)
class Change:
    """One ratio, before and now. `worse` is the share by which it worsened; negative: it became better."""

    name: str
    before: float
    now: float
    worse: float

    def __str__(self) -> str:
        return f"{self.name}: {self.before:.3f} before, {self.now:.3f} now ({self.worse:+.0%} worse)"


def compare(
    measured: Mapping[str, Mapping[str, Any]], machine: Mapping[str, Any], folder: Path = FOLDER
) -> list[Change]:
    """What became worse by more than a fifth, the worst first; stores this run's ratios where nothing did."""
    place = folder / "last" / f"{machine_class(machine)}.json"
    before = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
    now = ratios(measured)
    changes = [_change(name, before[name], value) for name, value in now.items() if name in before]
    worse = sorted((change for change in changes if change.worse > WORSE), key=lambda change: -change.worse)
    if not worse:
        write(place, {**before, **now})
    return worse


def ratios(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The watched ratios of these results, by ``benchmark/path``; what was not measured is left out."""
    found = {}
    for benchmark, watched in WATCHED.items():
        for path in watched:
            value: Any = measured.get(benchmark)
            for part in path.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            if isinstance(value, (int, float)) and value > 0:
                found[f"{benchmark}/{path}"] = float(value)
    return found


def machine_class(machine: Mapping[str, Any]) -> str:
    """A short name for machines whose ratios may be compared."""
    minor = ".".join(str(machine["python"]).split(".")[:2])
    return hashlib.sha256(f"{machine['cpu']}/{machine['cores']}/{minor}".encode()).hexdigest()[:12]


def _change(name: str, before: float, now: float) -> Change:
    benchmark, path = name.split("/")
    worse = before / now - 1 if WATCHED[benchmark][path] == "more" else now / before - 1
    return Change(name, before, now, worse)
