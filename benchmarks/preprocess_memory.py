"""``python -m benchmarks.preprocess_memory [OPERATION ...] [--json FILE]``: who insists on the whole of a large frame.

One at a time, each operation that wants the whole picture, or moves pixels, is put behind a demosaic and before one
output, and two workers make one 100-megapixel frame each: what they hold together at their peak, by the same means as
in `preprocess`. Outputs are not compressed: encoded files lie in memory, and how small a picture's becomes is not for a
bound to count on. Beside it stands what the larger of the two held, and what `jit-preprocess explain` foretells of it.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.preprocess_ending import leaving_on_signals
from benchmarks.preprocess_shot import FIRST, Shot, encoded, put
from benchmarks.preprocess_task import run as run_tasks
from benchmarks.preprocess_ways import in_folder
from jit_render.model.settings import Settings
from jit_render.store import Store, open_store
from preprocess.environment import Wishes
from preprocess.explaining import Frame, explanation
from preprocess.pipeline_file import parse_pipeline

LIMIT = 4 * 1000**3
WORKERS = 2
LARGE = (11648, 8736)

OPERATIONS = {
    "homography": 'filter = "linear", matrix = [[1.01, 0.002, 3], [-0.002, 1.0, 2], [0, 0, 1]]',
    "stmap": 'filter = "linear", map = "{root}/map.exr"',
    "resize": 'scale = 0.75, filter = "cubic"',
    "crop": "x = 100, y = 50, width = 11000, height = 8200",
    "undistort": 'filter = "linear", lens = {{fx = 14000, fy = 14000, cx = 5823.5, cy = 4367.5, k1 = -0.02}}',
    "statistics": "",
    "proxy": "levels = 1",
}
_PIPELINE = """
name = "memory"
[source]
file = "{root}/raw/%V/%V.####.exr"
[[stages]]
name = "all"
operations = [{{kind = "demosaic", method = "bilinear"}}, {operation}]
[[outputs]]
name = "full"
file = "{root}/{way}/full/%V/%V.####.exr"
compression = "none"
"""


@dataclass(frozen=True, slots=True)
class OneOperation(Shot):
    """A shot whose pipeline has one operation that wants the whole picture."""

    kind: str = ""

    def pipeline(self, root: str, way: str) -> bytes:
        told = ", ".join(filter(None, [f'kind = "{self.kind}"', OPERATIONS[self.kind].format(root=root)]))
        return _PIPELINE.format(root=root, way=way, operation=f"{{{told}}}").encode()


def measure(kind: str, *, size: tuple[int, int] = LARGE) -> dict[str, Any]:
    """Seconds and the peak of two workers with a frame each."""
    shot = OneOperation(*size, WORKERS, 1, kind)
    with leaving_on_signals(), in_folder() as (root, settings):
        return _measured(root, settings, shot)


def _measured(root: str, settings: Settings, shot: OneOperation) -> dict[str, Any]:
    store = open_store(settings.store)
    _fill(store, root, shot)
    run = run_tasks(store, settings, root, shot, Wishes(force=True), workers=WORKERS)
    store.close()
    pipeline = parse_pipeline(shot.pipeline(root, "fused"), "bench.toml")
    planned = explanation(pipeline, Frame(shot.width, shot.height, ("Y",)))["peak_bytes"]["total"]
    return {**run, "planned_bytes": planned, "met": run["peak_bytes"] < LIMIT}


def _fill(store: Store, root: str, shot: OneOperation) -> None:
    """The raws, full of grain, and for `stmap` the worst map there is: each row shows pixels of nearly all rows."""
    noise = np.random.default_rng(7).standard_normal((256, shot.width, 1)).astype(np.float32) * np.float32(0.01)
    slope = np.linspace(0.05, 0.8, shot.width, dtype=np.float32)[None, :, None] * np.ones((256, 1, 1), np.float32)
    with encoded(shot, slope + noise) as raw:
        for frame in range(FIRST, FIRST + shot.frames):
            put(store, f"{root}/raw/A001/A001.{frame}.exr", raw)
    if shot.kind == "stmap":
        with encoded(shot, np.concatenate([slope, slope], axis=2), ("R", "G"), "float") as places:
            put(store, f"{root}/map.exr", places)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preprocess_memory", description=__doc__)
    parser.add_argument("operations", nargs="*", choices=[*OPERATIONS, []], metavar="OPERATION", help="none: all")
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args(arguments)
    console = Console()
    found: dict[str, Any] = {}
    title = f"two workers, a frame of {LARGE[0]}x{LARGE[1]} each"
    shown = Table("operation", "seconds", "peak MB", "under 4 GB", "one worker MB", "explain MB", title=title)
    for kind in asked.operations or OPERATIONS:
        with Console(stderr=True).status(f"{kind} ..."):
            found[kind] = measure(kind)
        seconds, peak = f"{found[kind]['seconds']:.1f}", f"{found[kind]['peak_bytes'] / 1e6:,.0f}"
        one, planned = (f"{found[kind][name] / 1e6:,.0f}" for name in ("largest_peak_bytes", "planned_bytes"))
        shown.add_row(kind, seconds, peak, "yes" if found[kind]["met"] else "no", one, planned)
    console.print(shown)
    if asked.json:
        asked.json.write_text(json.dumps({"size": LARGE, "workers": WORKERS, "operations": found}, indent=1))
    return 0 if all(one["met"] for one in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
