"""What fetching ahead saves: a shot like the demo's with small plates, over a line of known width, at a known pace.

The stand-in renders small pictures, slowed to a given time per frame. Storage is the fake server in a process of its
own, its bandwidth limited so that fetching the plates takes as long as rendering the frames, which is the hardest case:
neither can hide behind the other. Every number is the wall time of the same worker (`jit-render work`), which renders
all frames in one task, agent and renderer started anew (rendering alone is timed first and last, and the mean taken):

    fetch      all inputs, nothing else (the agent alone)       render   every input in the cache
    with       nothing in the cache, fetching ahead             without  nothing in the cache, `cache.lookahead` 0

`ratio_to_bound` is with / (max(fetch, render) + the first frame's fetch), `ratio_without` without / (fetch + render).
Outputs and records go to this disk, past the line.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.small_shot import SmallShot
from examples.shot import plates
from jit_render.agent import ensure_running
from jit_render.farm.planning import look
from jit_render.farm.submit import submit
from jit_render.model.clock import SystemClock
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import Settings
from jit_render.store import open_store
from jit_render.testing.gcs_process import FakeGcsProcess
from nuke_callbacks.client import Client

BOUND_TARGET = 1.10
_PLATES = ObjectUrl("gs://show", "show")
SECONDS_PER_FRAME = 0.5  # on top of what the pictures take


def measure(*, quick: bool) -> dict[str, Any]:
    """Wall seconds, and the two ratios."""
    frames = 12 if quick else 40
    with tempfile.TemporaryDirectory(prefix="jit-render-bench-") as name:
        folder = Path(name)
        with FakeGcsProcess(buckets=["show"], folder=folder / "gcs") as server:
            studio = SmallShot(folder, _PLATES, frames, server.url)
            studio.make_plates()
            weight, first = _weigh(studio)
            _fetch(studio, "cache-full")
            render = _work(studio, studio.settings("cache-full"))
        bandwidth = weight / render
        with FakeGcsProcess(buckets=["show"], folder=folder / "gcs", bandwidth=bandwidth) as server:
            studio = SmallShot(folder, _PLATES, frames, server.url)
            raw = {
                "fetch": _fetch(studio, "cache-fetch"),
                "render": render,
                "with": _work(studio, studio.settings("cache-with")),
                "without": _work(studio, studio.settings("cache-without", lookahead=0)),
            }
            raw["render"] = (render + _work(studio, studio.settings("cache-full"))) / 2
    first_fetch = raw["fetch"] * first / weight
    bound = max(raw["fetch"], raw["render"]) + first_fetch
    ratio = raw["with"] / bound
    return {
        "frames": frames,
        "ratio_to_bound": round(ratio, 3),
        "ratio_without": round(raw["without"] / (raw["fetch"] + raw["render"]), 3),
        "raw": {**{key: round(value, 3) for key, value in raw.items()}, "first_fetch": round(first_fetch, 3)},
        "bytes": weight,
        "bytes_per_second": round(bandwidth),
        "targets": {"ratio_to_bound": BOUND_TARGET},
        "met": {"ratio_to_bound": ratio <= BOUND_TARGET},
    }


def table(result: dict[str, Any]) -> Table:
    """The same for people."""
    shown = Table("", "seconds", title=f"prefetch, {result['frames']} frames")
    for key, value in result["raw"].items():
        shown.add_row(key.replace("_", " "), f"{value:.2f}")
    shown.add_row("with / (max(fetch, render) + first fetch)", f"{result['ratio_to_bound']:.3f} (≤ {BOUND_TARGET:g})")
    shown.add_row("without / (fetch + render)", f"{result['ratio_without']:.3f}")
    return shown


def _weigh(studio: SmallShot) -> tuple[int, int]:
    """Bytes of all that the job reads, and of what its first frame reads."""
    settings = studio.settings("unused")
    submission = studio.submission(settings)
    store = open_store(settings.store)
    with contextlib.closing(store):
        inputs = look(store, submission.plan, submission.spec)
    inputs.check(submission.without_inputs)
    return inputs.size_bytes, inputs.bytes_of(plates.FIRST)


def _fetch(studio: SmallShot, cache: str) -> float:
    """Seconds that the agent alone takes to bring everything into a cache."""
    names = _names(studio)
    with _agent(studio, studio.settings(cache)) as client:
        began = time.perf_counter()
        answers = client.ensure([[name, "error"] for name in names])
        seconds = time.perf_counter() - began
    bad = [answer for answer in answers if answer["state"] != "local"]
    if bad:
        raise RuntimeError(f"{len(bad)} plates were not fetched, the first: {bad[0]}")
    return seconds


def _names(studio: SmallShot) -> list[str]:
    submission = studio.submission(studio.settings("unused"))
    found = {file.name: None for frame in submission.plan.frames for file in submission.plan.files(frame)}
    return list(found)


@contextlib.contextmanager
def _agent(studio: SmallShot, settings: Settings) -> Iterator[Client]:
    """A client of a node's agent, which ends with it; the client belongs to a job of its own."""
    socket = ensure_running(Path(settings.cache.root), settings, SystemClock())
    client = Client(str(socket), _job(studio, settings), role="tool")
    try:
        yield client
    finally:
        _end(client)


def _job(studio: SmallShot, settings: Settings) -> str:
    store = open_store(settings.store)
    with contextlib.closing(store):
        return str(submit(store, studio.submission(settings), SystemClock()).home)


def _work(studio: SmallShot, settings: Settings) -> float:
    """Wall seconds of a worker that renders everything."""
    told = settings.model_dump_json()
    command = [sys.executable, "-m", "jit_render.farm.work_main", "--settings", told, "--job", _job(studio, settings)]
    command += ["--task", "0"]
    began = time.perf_counter()
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    _end(Client(str(ensure_running(Path(settings.cache.root), settings, SystemClock()))))
    if done.returncode != 0:
        raise RuntimeError(f"the worker ended with {done.returncode}: {(done.stdout + done.stderr)[-1000:]}")
    return seconds


def _environment() -> Mapping[str, str]:
    return {**os.environ, "JIT_RENDER_STANDIN_SECONDS_PER_FRAME": str(SECONDS_PER_FRAME)}


def _end(client: Client) -> None:
    pid = int(client.stats()["agent"]["pid"])
    client.close()
    os.kill(pid, signal.SIGTERM)
