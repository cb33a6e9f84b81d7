"""Three stages fused into one pass, against the same three stored one after the other.

The default shot is one camera's scan of two colour-corrected stages and their outputs: full resolution and an
intermediate. Both ways run in a process of their own, exactly as the farm starts it, over a Cloud Storage server in
another process: wall time, CPU time, bytes of pictures that passed, and the most memory it held (its own and its files
without a disk). Fused must move exactly the inputs and the outputs (`bytes_ratio` 1.00). Where the environment names a
mounted filer (``JIT_RENDER_BENCH_FILER``, as a GlusterFS mount), the same runs over its folder too.

The large frame is 100 megapixels in three channels, as floats 1.2 GB a copy: what one worker holds at the peak of one
frame tells whether two of them stay under 4 GB.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from jit_render.farm.records import JobReader
from jit_render.farm.stage import STORE_VARIABLE
from jit_render.farm.submit import submit
from jit_render.model.clock import SystemClock
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import Settings
from jit_render.store import ABSENT, Store, open_store
from jit_render.testing.gcs_process import FakeGcsProcess
from nuke_callbacks import wire
from preprocess.encode import Encoder, Storage
from preprocess.environment import Wishes
from preprocess.image import Image, Window
from preprocess.pipeline import Pipeline
from preprocess.pipeline_file import parse_pipeline
from preprocess.submission import Request, submission_of

FILER_VARIABLE = "JIT_RENDER_BENCH_FILER"
LARGE = (11648, 8736)
LARGE_LIMIT = 4 * 1000**3 // 2
"""Bytes of one of two workers that stay under 4 GB together."""
_SAMPLE_SECONDS = 0.05
_MOVED = re.compile(r"^(\d+) bytes of pictures read, (\d+) written$", re.MULTILINE)

PIPELINE = """
name = "bench"
[source]
file = "{root}/raw/%V/%V.####.exr"
[[stages]]
name = "calibrate"
operations = [{{kind = "black_level", black = 0.05, white = 1.0}}]
[[stages]]
name = "align"
operations = [{{kind = "colour_matrix", matrix = [[1.1, 0.0, 0.0], [0.0, 1.0, 0.1], [0.0, 0.0, 0.9]]}}]
[[stages]]
name = "grade"
operations = [{{kind = "colour_matrix", matrix = [[0.9, 0.1, 0.0], [0.0, 1.1, 0.0], [0.0, 0.1, 0.9]]}}]
[[outputs]]
name = "full"
file = "{root}/{way}/full/%V/%V.####.exr"
compression = "zip"
"""


@dataclass(frozen=True, slots=True)
class Shot:
    width: int
    height: int
    frames: int
    cameras: int

    @property
    def camera_names(self) -> tuple[str, ...]:
        return tuple(f"A{number:03}" for number in range(1, self.cameras + 1))


def measure(*, quick: bool) -> dict[str, Any]:
    """Seconds, bytes and peaks of both ways, and the peak of a large frame."""
    shot = Shot(960, 540, 4, 2) if quick else Shot(1920, 1080, 6, 4)
    places: dict[str, Any] = {}
    for name, opened in _places():
        with opened as (root, settings):
            places[name] = _both_ways(root, settings, shot)
    large = Shot(LARGE[0] // 4, LARGE[1] // 4, 1, 1) if quick else Shot(*LARGE, 1, 1)
    with _folder() as (root, settings):
        big = _one_large(root, settings, large)
    gcs = places["cloud storage"]
    return {
        "shot": {"width": shot.width, "height": shot.height, "frames": shot.frames, "cameras": shot.cameras},
        "raw": places,
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
    yield "cloud storage", _cloud()
    filer = os.environ.get(FILER_VARIABLE)
    if filer:
        yield "filer", _folder(filer)


@contextmanager
def _cloud() -> Iterator[tuple[str, Settings]]:
    with tempfile.TemporaryDirectory(prefix="preprocess-") as folder:
        objects = Path(folder) / "objects"
        objects.mkdir()
        with FakeGcsProcess(buckets=["show"], folder=objects) as server:
            store = {"endpoint": server.url}
            yield "gs://show", Settings.model_validate({"job": {"state": "gs://show/state"}, "store": store})


@contextmanager
def _folder(below: str | None = None) -> Iterator[tuple[str, Settings]]:
    with tempfile.TemporaryDirectory(prefix="preprocess-", dir=below) as folder:
        yield f"file://{folder}", Settings.model_validate({"job": {"state": f"file://{folder}/state"}})


def _both_ways(root: str, settings: Settings, shot: Shot) -> dict[str, Any]:
    store = open_store(settings.store)
    read = _fill(store, root, shot)
    runs = {"fused": _run(store, settings, root, shot, Wishes(force=True))}
    written = sum(info.size_bytes for info in store.list(ObjectUrl.parse(f"{root}/fused")) if info.url.name[0] != ".")
    runs["staged"] = _run(store, settings, root, shot, Wishes(staged=True, force=True))
    store.close()
    for run in runs.values():
        run["bytes_ratio"] = round((run["bytes_read"] + run["bytes_written"]) / (read + written), 4)
    speed_up = runs["staged"]["seconds"] / runs["fused"]["seconds"]
    return {"inputs_bytes": read, "outputs_bytes": written, **runs, "speed_up": round(speed_up, 2)}


def _one_large(root: str, settings: Settings, shot: Shot) -> dict[str, Any]:
    store = open_store(settings.store)
    _fill(store, root, shot)
    run = _run(store, settings, root, shot, Wishes(force=True))
    store.close()
    return {"width": shot.width, "height": shot.height, **run}


def _fill(store: Store, root: str, shot: Shot) -> int:
    """The source frames; their bytes. Slopes with a little noise: neither free nor impossible to compress."""
    total = 0
    window = Window(0, 0, shot.width, shot.height)
    noise = np.random.default_rng(7).standard_normal((256, shot.width, 3)).astype(np.float32) * np.float32(0.01)
    slope = np.linspace(0.05, 0.8, shot.width, dtype=np.float32)[None, :, None]
    for frame in range(1001, 1001 + shot.frames):
        first = Image.of(np.zeros((1, 1, 3), np.float32)).with_pixels(
            np.zeros((1, 1, 3), np.float32), display_window=window
        )
        encoder = Encoder("raw", Storage(".exr", "half", "none"), window, first)
        for top in range(0, shot.height, 256):
            rows = min(256, shot.height - top)
            pixels = np.ascontiguousarray(noise[:rows] + slope * np.float32(1 + frame % 3 / 10))
            encoder.write(Image(pixels, ("R", "G", "B"), Window(0, top, shot.width, rows), window))
        with encoder.finish() as file:
            crc = file.crc32c()
            for camera in shot.camera_names:
                url = ObjectUrl.parse(f"{root}/raw/{camera}/{camera}.{frame}.exr")
                store.upload(url, file.path, crc32c=crc, if_generation=ABSENT)
                total += file.size_bytes
    return total


def _run(store: Store, settings: Settings, root: str, shot: Shot, wishes: Wishes) -> dict[str, Any]:
    """One task with all of it, in a process as the worker starts it."""
    data = PIPELINE.format(root=root, way="staged" if wishes.staged else "fused").encode()
    pipeline: Pipeline = parse_pipeline(data, "bench.toml")
    frames = f"1001-{1000 + shot.frames}"
    request = Request(Path("bench.toml"), frames, shot.camera_names, chunk=shot.frames, wishes=wishes)
    submission = submission_of(settings, pipeline, data, request, SystemClock())
    job = submit(store, submission, SystemClock())
    with tempfile.TemporaryDirectory(prefix="task-") as scratch:
        script = Path(scratch) / "bench.toml"
        script.write_bytes(data)
        argv = [sys.executable, "-m", "preprocess.render", f"--frames={frames}", f"--scratch={scratch}"]
        argv += [f"--cameras={','.join(shot.camera_names)}", str(script)]
        told = _watched(argv, _environment(settings, job.home))
    left = JobReader(store, job.home).missing()
    if left:
        raise RuntimeError(f"frames {left} were not made: {told['said']}")
    del told["said"]
    return told


def _environment(settings: Settings, home: ObjectUrl) -> dict[str, str]:
    variables = {wire.JOB_VARIABLE: str(home), wire.TASK_VARIABLE: "0", wire.ATTEMPT_VARIABLE: "1"}
    return {**os.environ, **variables, STORE_VARIABLE: settings.store.model_dump_json(), "OPENIMAGEIO_THREADS": "1"}


def _watched(argv: list[str], environment: dict[str, str]) -> dict[str, Any]:
    began = time.perf_counter()
    process = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True)
    peak = _Peak(process.pid)
    peak.start()
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    peak.over.set()
    peak.join()
    moved = _MOVED.search(said)
    if process.returncode or moved is None:
        raise RuntimeError(f"preprocess.render ended with {process.returncode}: {said[-2000:]}")
    return {
        "seconds": round(time.perf_counter() - began, 3),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 3),
        "bytes_read": int(moved[1]),
        "bytes_written": int(moved[2]),
        "peak_bytes": peak.bytes,
        "said": said,
    }


class _Peak(threading.Thread):
    """Looks at a process now and then: its own memory, and that of its files without a disk."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._folder = Path(f"/proc/{pid}")
        self.over = threading.Event()
        self.bytes = 0

    def run(self) -> None:
        while not self.over.wait(_SAMPLE_SECONDS):
            try:
                self.bytes = max(self.bytes, self._held())
            except (OSError, ValueError, IndexError):  # it is gone
                return

    def _held(self) -> int:
        status = (self._folder / "status").read_text()
        own = sum(int(size) * 1024 for size in re.findall(r"^Rss(?:Anon|File):\s+(\d+) kB$", status, re.MULTILINE))
        files: dict[int, int] = {}
        for entry in (self._folder / "fd").iterdir():
            try:
                if str(entry.readlink()).startswith("/memfd:"):
                    found = entry.stat()
                    files[found.st_ino] = found.st_blocks * 512
            except OSError:  # closed meanwhile
                continue
        return own + sum(files.values())


def table(result: dict[str, Any]) -> Table:
    """The same for people."""
    shot = result["shot"]
    title = f"preprocess: {shot['cameras']} cameras x {shot['frames']} frames, {shot['width']}x{shot['height']}"
    shown = Table("where", "way", "seconds", "CPU", "read MB", "written MB", "ratio", "peak MB", title=title)
    for place, ways in result["raw"].items():
        for way in ("fused", "staged"):
            _add(shown, place, way, ways[way], f"{ways[way]['bytes_ratio']:.2f}")
        shown.add_row("", f"x {ways['speed_up']:.2f}")
    large = result["large"]
    _add(shown, "folder", f"{large['width']}x{large['height']}", large, "")
    return shown


def _add(shown: Table, place: str, way: str, run: dict[str, Any], ratio: str) -> None:
    megabytes = [f"{run[name] / 1e6:,.0f}" for name in ("bytes_read", "bytes_written")]
    peak = f"{run['peak_bytes'] / 1e6:,.0f}"
    shown.add_row(place, way, f"{run['seconds']:.2f}", f"{run['cpu_seconds']:.2f}", *megabytes, ratio, peak)
