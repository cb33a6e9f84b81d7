"""What reading from the view costs beside reading plain files: nothing but the look at one link.

The same bytes lie in plain files of one folder and in the cache, where a job sees them through its view. A process that
holds a frame's leases reads them by the names that the filter gives it. Two ways to read: whole files of 25 MiB, as a
renderer reads plates, and files of 64 KiB, where opening counts most. Both places are read in turns, all in the page
cache; medians over many rounds. Then whole frames are rendered both ways (warm_render.py), which is what the target is
about; beside it, what the uploads of the frames before cost a renderer on the same machine.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import warm_render
from benchmarks.node import SHOW, running_agent, submit
from jit_render.store.buffers import page_aligned
from nuke_callbacks.client import Client
from nuke_callbacks.hooks import filter_over

MIB = 2**20
TARGET = 1.01
_KINDS = {"large": (8, 25 * MIB), "small": (300, 65_536)}
_BLOCK_BYTES = 1 << 18


def measure(*, quick: bool) -> dict[str, Any]:
    """Seconds to read all; `ratios` of the view to plain files."""
    rounds = 15 if quick else 101
    with tempfile.TemporaryDirectory(prefix="jit-render-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        names = {kind: _make(folder, kind, *sizes) for kind, sizes in _KINDS.items()}
        job = submit(folder, (folder / "plates").as_uri())
        with running_agent(folder / "cache") as agent:
            client = Client(str(agent.socket), job)
            asked = {kind: [f"{SHOW}/{each}" for each in some] for kind, some in names.items()}
            answers = client.ensure([[each, "error"] for some in asked.values() for each in some])
            if bad := [answer for answer in answers if answer["state"] != "local"]:
                raise RuntimeError(f"not cached: {bad[0]}")
            seen = filter_over(client.held, lambda each: each)
            raw = {
                kind: _compare([str(folder / "plates" / each) for each in names[kind]], asked[kind], seen, rounds)
                for kind in _KINDS
            }
            client.close()
        raw["render"] = warm_render.compare(folder, quick=quick)
    ratios = {kind: round(entry["view"] / entry["plain"], 4) for kind, entry in raw.items()}
    ratios["uploading"] = round(raw["render"]["uploading"] / raw["render"]["plain"], 4)
    targets = {"large": TARGET, "render": TARGET}
    return {
        "ratios": ratios,
        "raw": raw,
        "targets": targets,
        "met": {kind: ratios[kind] <= target for kind, target in targets.items()},
    }


def table(result: dict[str, Any]) -> Table:
    """The same for people."""
    shown = Table("files", "plain ms", "view ms", "ratio", "target", title="warm reads")
    for kind, entry in result["raw"].items():
        target = result["targets"].get(kind)
        plain, view = f"{entry['plain'] * 1000:.3f}", f"{entry['view'] * 1000:.3f}"
        shown.add_row(kind, plain, view, f"{result['ratios'][kind]:.4f}", f"<= {target:g}" if target else "")
    uploading = f"{result['raw']['render']['uploading'] * 1000:.3f}"
    shown.add_row("render, while frames are uploaded", plain, uploading, f"{result['ratios']['uploading']:.4f}", "")
    return shown


def _make(folder: Path, kind: str, count: int, size_bytes: int) -> list[str]:
    place = folder / "plates" / kind
    place.mkdir(parents=True)
    for number in range(count):
        (place / f"{number:04}.bin").write_bytes(number.to_bytes(8, "big") * (size_bytes // 8))
    return [f"{kind}/{number:04}.bin" for number in range(count)]


def _compare(plain: list[str], asked: list[str], seen: Any, rounds: int) -> dict[str, float]:
    spent: dict[str, list[float]] = {"plain": [], "view": []}
    for number in range(rounds + 1):
        for key in ("plain", "view") if number % 2 else ("view", "plain"):
            start = time.perf_counter()
            for name in plain if key == "plain" else asked:
                _read(name if key == "plain" else seen(name))
            if number:  # the first round only warms up
                spent[key].append(time.perf_counter() - start)
    return {key: statistics.median(samples) for key, samples in spent.items()}


def _read(path: str) -> None:
    block = page_aligned(_BLOCK_BYTES)
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs more than the link does
        while file.readinto(block):
            pass
