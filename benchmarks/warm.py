"""What reading from the view costs beside reading plain files: nothing but the look at one link.

Plain files in one folder are the cache's own by another name (a hard link): a copy would lie on other pages of memory,
which alone makes a hundredth of difference, either way. A process that holds a frame's leases reads them by the names
that the filter gives it. Two ways to read: whole files of 25 MiB, as a renderer reads plates, and of 64 KiB, where
opening counts most. Both places are read in turns, all in the page cache; medians over many rounds. Then whole frames
are rendered (warm_render.py): what else there is, is the time in the callbacks. Two renders side by side differ by more
than a hundredth on any shared machine; their range is told, too.
"""

from __future__ import annotations

import os
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
AFTER_FRAME_TARGET = 5.0  # milliseconds
_KINDS = {"large": (8, 25 * MIB), "small": (300, 65_536)}
_BLOCK_BYTES = 1 << 18


def measure(*, quick: bool) -> dict[str, Any]:
    """Seconds to read all; `ratios` of the view to plain files."""
    rounds = 15 if quick else 301
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
            read = {
                kind: _compare(_plain(folder / "plain" / kind, asked[kind], seen), asked[kind], seen, rounds)
                for kind in _KINDS
            }
            client.close()
        rendered = warm_render.compare(folder, quick=quick)
    ratios = {kind: round(statistics.median(_ratios(spent)), 4) for kind, spent in read.items()}
    raw: dict[str, Any] = {kind: _medians(spent) for kind, spent in read.items()}
    sides = sorted(_ratios(rendered))
    shares = [1 + hooks / (view - hooks) for view, hooks in zip(rendered["view"], rendered["hooks"], strict=True)]
    ratios["render"] = round(statistics.median(shares), 4)
    ratios["render_side_by_side"] = round(statistics.median(sides), 4)
    raw["render"] = _medians(rendered)
    raw["render_side_by_side"] = {"from": round(sides[0], 4), "to": round(sides[-1], 4)}
    after = [seconds * 1000 for seconds in rendered["after_frame"]]
    raw["after_frame_ms"] = {"median": round(statistics.median(after), 3), "longest": round(max(after), 3)}
    raw["rounds"] = rendered
    met = {kind: ratios[kind] <= TARGET for kind in ("large", "render")}
    met |= {f"after_frame_{key}": took < AFTER_FRAME_TARGET for key, took in raw["after_frame_ms"].items()}
    return {
        "ratios": ratios,
        "raw": raw,
        "targets": {"large": TARGET, "render": TARGET, "after_frame_ms": AFTER_FRAME_TARGET},
        "met": met,
    }


def table(result: dict[str, Any]) -> Table:
    """The same for people."""
    shown = Table("files", "plain ms", "view ms", "ratio", "target", title="warm reads")
    raw, ratios = result["raw"], result["ratios"]
    for kind in _KINDS:
        target = result["targets"].get(kind)
        plain, view = f"{raw[kind]['plain'] * 1000:.3f}", f"{raw[kind]['view'] * 1000:.3f}"
        shown.add_row(kind, plain, view, f"{ratios[kind]:.4f}", f"<= {target:g}" if target else "")
    rest, view = raw["render"]["view"] - raw["render"]["hooks"], raw["render"]["view"]
    said = f"{rest * 1000:.0f}", f"{view * 1000:.0f}", f"{ratios['render']:.4f}"
    shown.add_row("render, without and with callbacks", *said, f"<= {result['targets']['render']:g}")
    said = f"{raw['render']['plain'] * 1000:.0f}", f"{view * 1000:.0f}", f"{ratios['render_side_by_side']:.4f}"
    sides = raw["render_side_by_side"]
    shown.add_row("render, side by side", *said, f"({sides['from']:.2f} to {sides['to']:.2f})")
    after = raw["after_frame_ms"]
    took, target = f"{after['median']:.1f}, {after['longest']:.1f}", f"< {result['targets']['after_frame_ms']:g}"
    shown.add_row("afterFrameRender, median, longest", "", took, "", target)
    return shown


def _make(folder: Path, kind: str, count: int, size_bytes: int) -> list[str]:
    place = folder / "plates" / kind
    place.mkdir(parents=True)
    for number in range(count):
        (place / f"{number:04}.bin").write_bytes(number.to_bytes(8, "big") * (size_bytes // 8))
    return [f"{kind}/{number:04}.bin" for number in range(count)]


def _plain(folder: Path, asked: list[str], seen: Any) -> list[str]:
    """The same files by plain names in `folder`."""
    folder.mkdir(parents=True)
    names = [str(folder / Path(each).name) for each in asked]
    for each, name in zip(asked, names, strict=True):
        os.link(Path(seen(each)).resolve(), name)
    return names


def _ratios(spent: dict[str, list[float]]) -> list[float]:
    """Of the two of each round: the machine's pace changes, but slowly."""
    return [view / plain for view, plain in zip(spent["view"], spent["plain"], strict=True)]


def _medians(spent: dict[str, list[float]]) -> dict[str, float]:
    return {key: statistics.median(samples) for key, samples in spent.items()}


def _compare(plain: list[str], asked: list[str], seen: Any, rounds: int) -> dict[str, list[float]]:
    spent: dict[str, list[float]] = {"plain": [], "view": []}
    for number in range(rounds + 1):
        for key in ("plain", "view") if number % 2 else ("view", "plain"):
            start = time.perf_counter()
            for name in plain if key == "plain" else asked:
                _read(name if key == "plain" else seen(name))
            if number:  # the first round only warms up
                spent[key].append(time.perf_counter() - start)
    return spent


def _read(path: str) -> None:
    block = page_aligned(_BLOCK_BYTES)
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs more than the link does
        while file.readinto(block):
            pass
