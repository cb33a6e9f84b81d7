"""Three stages fused into one pass, against the same three stored one after the other.

The default shot is raw mosaics of a few cameras through calibrate, align and derive, to full resolution, a proxy and
statistics (`preprocess_shot`). Both ways run in a process of their own, exactly as the farm starts it, over a Cloud
Storage server in another process: wall time, CPU time, bytes of pictures that passed, and the most memory it held (its
own and its files without a disk). Fused must move exactly the inputs and the outputs (`bytes_ratio` 1.00). Where the
machine has GlusterFS, root and FUSE, the same runs over a mount of it (`preprocess_filer`), and where the environment
names another mounted filer (``JIT_RENDER_BENCH_FILER``), over a folder there.

The large frames are 100 megapixels, 1.2 GB a copy once they are R, G and B as floats. Two workers make one each at the
same time, by the same pipeline (statistics and proxy look at the whole picture): together they must stay under 4 GB.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import gluster, preprocess_filer
from benchmarks.preprocess_ending import leaving_on_signals
from benchmarks.preprocess_shot import Shot, fill
from benchmarks.preprocess_task import run as run_tasks
from benchmarks.preprocess_ways import both_ways, in_folder
from jit_render.model.settings import Settings
from jit_render.store import open_store
from jit_render.testing.gcs_process import FakeGcsProcess
from preprocess.environment import Wishes

FILER_VARIABLE = "JIT_RENDER_BENCH_FILER"
LARGE = (11648, 8736)
LARGE_LIMIT = 4 * 1000**3
WORKERS = 2


def measure(*, quick: bool) -> dict[str, Any]:
    """Seconds, bytes and peaks of both ways, and the peak of a large frame."""
    with leaving_on_signals():
        return _measured(quick=quick)


def _measured(*, quick: bool) -> dict[str, Any]:
    shot = Shot(960, 540, 4, 2) if quick else Shot(1920, 1080, 6, 4)
    places: dict[str, Any] = {}
    for name, opened in _places():
        with opened as (root, settings):
            places[name] = both_ways(root, settings, shot)
    why_no_gluster = gluster.missing()
    if not why_no_gluster:
        places["glusterfs"] = preprocess_filer.measure(shot)
    large = Shot(LARGE[0] // 4, LARGE[1] // 4, WORKERS, 1) if quick else Shot(*LARGE, WORKERS, 1)
    with in_folder() as (root, settings):
        big = _one_large(root, settings, large)
    gcs = places["bucket"]
    return {
        "shot": {"width": shot.width, "height": shot.height, "frames": shot.frames, "cameras": shot.cameras},
        "raw": places,
        "skipped": {"glusterfs": why_no_gluster} if why_no_gluster else {},
        "large": big,
        "speed_up": gcs["speed_up"],
        "bytes_ratio": gcs["fused"]["bytes_ratio"],
        "targets": {"speed_up": 2.0, "bytes_ratio": 1.0, "large_peak_bytes": LARGE_LIMIT},
        "met": {
            "speed_up": gcs["speed_up"] >= 2.0,
            "bytes_ratio": round(gcs["fused"]["bytes_ratio"], 2) == 1.0,
            "large_peak_bytes": big["peak_bytes"] < LARGE_LIMIT,
        },
    }


def _places() -> Iterator[tuple[str, Any]]:
    yield "bucket", _cloud()
    filer = os.environ.get(FILER_VARIABLE)
    if filer:
        yield "filer", in_folder(filer)


@contextmanager
def _cloud() -> Iterator[tuple[str, Settings]]:
    with tempfile.TemporaryDirectory(prefix="preprocess-") as folder:
        objects = Path(folder) / "objects"
        objects.mkdir()
        with FakeGcsProcess(buckets=["show"], folder=objects) as server:
            store = {"endpoint": server.url}
            yield "gs://show", Settings.model_validate({"job": {"state": "gs://show/state"}, "store": store})


def _one_large(root: str, settings: Settings, shot: Shot) -> dict[str, Any]:
    store = open_store(settings.store)
    fill(store, root, shot)
    run = run_tasks(store, settings, root, shot, Wishes(force=True), workers=WORKERS)
    store.close()
    return {"workers": WORKERS, "width": shot.width, "height": shot.height, **run}


def table(result: dict[str, Any]) -> Table:
    """The same for people."""
    shot = result["shot"]
    size = f"{shot['width']}x{shot['height']}"
    title = f"preprocess: {shot['cameras']} cameras x {shot['frames']} frames, {size}; bytes in MB"
    shown = Table("where", "way", title=title)
    for name in ("seconds", "CPU", "read", "written", "ratio", "peak"):
        shown.add_column(name, justify="right", no_wrap=True)
    for place, ways in result["raw"].items():
        for way in ("fused", "staged"):
            _add(shown, place, way, ways[way], f"{ways[way]['bytes_ratio']:.2f}")
        shown.add_row("", f"x {ways['speed_up']:.2f}")
    large = result["large"]
    _add(shown, "folder", f"{large['width']}x{large['height']}", large, "")
    if result["skipped"]:
        shown.caption = "; ".join(f"no {place}: {why}" for place, why in result["skipped"].items())
    return shown


def _add(shown: Table, place: str, way: str, run: dict[str, Any], ratio: str) -> None:
    megabytes = [f"{run[name] / 1e6:,.0f}" for name in ("bytes_read", "bytes_written")]
    peak = f"{run['peak_bytes'] / 1e6:,.0f}"
    shown.add_row(place, way, f"{run['seconds']:.2f}", f"{run['cpu_seconds']:.2f}", *megabytes, ratio, peak)
