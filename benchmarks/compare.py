"""Did anything become worse? This run's ratios beside the last stored ones of the same class of machine.

Only ratios are compared: they were measured side by side, so a busy machine spoils them less than any time. A class is
processor, cores and Python's minor version. What worsened by more than a fifth is named; the stored values then stay,
so that a second look compares with the same. Otherwise this run's become the stored ones. A ratio that this class of
machine has not stored before has nothing to be compared with: it is stored as the first, and said to be.
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
        return f"{self.name}: {self.before:.3f} before, {self.now:.3f} now ({self._spelt()})"

    def _spelt(self) -> str:
        share = f"{abs(self.worse):.0%}"
        return "the same" if share == "0%" else f"{share} {'worse' if self.worse > 0 else 'better'}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared, and with what. `first`: ratios that nothing was stored for; `place`: where they are kept."""

    place: Path
    changes: tuple[Change, ...]
    first: Mapping[str, float]

    @property
    def worse(self) -> list[Change]:
        """By more than a fifth, the worst first."""
        return sorted((one for one in self.changes if one.worse > WORSE), key=lambda one: -one.worse)

    def lines(self) -> list[str]:
        """Every ratio with what it was compared with, and the verdict last."""
        said = [str(change) for change in self.changes]
        said += [f"{name}: {value:.3f} now, none before" for name, value in self.first.items()]
        return [*said, self._verdict()]

    def _verdict(self) -> str:
        machine = f"this class of machine ({self.place})"
        if self.worse:
            names = ", ".join(change.name for change in self.worse)
            return (
                f"worse than the last time by more than a fifth: {names}; what is stored stays as it was: {self.place}"
            )
        if not self.changes and not self.first:
            return "no ratio was measured: nothing to compare and nothing to store"
        if not self.changes:
            return f"nothing to compare with yet: {len(self.first)} ratios stored as the first of {machine}"
        new = f", {len(self.first)} of them for the first time" if self.first else ""
        count = len(self.changes)
        return (
            f"none of {count} ratios is worse by more than a fifth; {count + len(self.first)} stored{new}: {self.place}"
        )


def compare(measured: Mapping[str, Mapping[str, Any]], machine: Mapping[str, Any], folder: Path = FOLDER) -> Comparison:
    """This run's ratios beside the stored ones; stores them where none worsened by more than a fifth."""
    place = folder / "last" / f"{machine_class(machine)}.json"
    before = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
    now = ratios(measured)
    changes = tuple(_change(name, before[name], value) for name, value in now.items() if name in before)
    first = {name: value for name, value in now.items() if name not in before}
    compared = Comparison(place, changes, first)
    if now and not compared.worse:
        write(place, {**before, **now})
    return compared


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
