"""Where results are kept: ``.bench/`` of the folder that benchmarks are run in, the newest of each kind.

A quick run and a full one are different things and stand beside each other; who wants "the" result of a benchmark
gets the full one where there is one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(".bench")


def place(name: str, *, quick: bool, folder: Path = FOLDER) -> Path:
    return folder / f"{name}{'-quick' if quick else ''}.json"


def keep(result: dict[str, Any], folder: Path = FOLDER) -> Path:
    """Write the newest result of ``result["benchmark"]``; where it stands."""
    path = place(result["benchmark"], quick=result["quick"], folder=folder)
    write(path, result)
    return path


def write(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def newest(name: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """The full run's result, or else the quick one's."""
    for quick in (False, True):
        path = place(name, quick=quick, folder=folder)
        if path.is_file():
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return found
    return None
