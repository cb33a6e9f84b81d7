"""What bringing a show's inputs costs, first and again: 20,000 files of which the bucket lacks a twentieth.

Tiny files in folders of 500, and a few large ones (sparse, so that the disk bears it). The first ingest reads all of
them and uploads what is missing; the second must read none and ask for nothing but one listing per folder. The
server is the fake one, in this very process, so its share of the time is in the numbers.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.table import Table

from jit_render.farm.ingest import ingest
from jit_render.farm.ingest_report import Choices
from jit_render.farm.local_files import find_pushed
from jit_render.farm.reading import open_plain
from jit_render.model.clock import SystemClock
from jit_render.model.pathmap import PathMap
from jit_render.model.settings import Settings
from jit_render.store import Store, open_store
from jit_render.testing.fake_gcs import FakeGcs

FILES = 20_000
FOLDER = 500
LARGE, LARGE_BYTES = 8, 16 * 1024 * 1024
_MISSING = 20  # one file in so many
_KINDS = ("list", "write", "session", "stat", "get")
_RUNS = ("first", "again")


def measure(*, quick: bool) -> dict[str, Any]:
    """Seconds, opened files and requests of both runs."""
    files = FILES // 10 if quick else FILES
    with tempfile.TemporaryDirectory(prefix="ingest-") as folder, FakeGcs(buckets=["show"]) as server:
        root = Path(folder)
        _fill(root / "show", server, files)
        paths = [{"prefix": str(root / "show"), "target": "gs://show"}]
        hashes = {"hashes": str(root / "hashes")}
        settings = Settings.model_validate({"paths": paths, "ingest": hashes, "store": {"endpoint": server.url}})
        store = open_store(settings.store)
        runs = {run: _run(settings, store, server, root / "show") for run in _RUNS}
        store.close()
    again = runs["again"]
    folders = -(-files // FOLDER) + 1
    return {
        "files": files + LARGE,
        "folders": folders,
        "raw": runs,
        "targets": {"opened": 0, "requests": {"list": folders}},
        "met": {"opened": not again["opened"], "requests": again["requests"] == {"list": folders}},
    }


def _run(settings: Settings, store: Store, server: FakeGcs, show: Path) -> dict[str, Any]:
    opened: Counter[str] = Counter()

    def opener(path: str) -> Any:
        opened[path] += 1
        return open_plain(path)

    server.reset_counts()
    began = time.perf_counter()
    found = find_pushed(PathMap(rules=settings.paths), [str(show)])
    looked = time.perf_counter()
    report = ingest(settings, store, found, clock=SystemClock(), choices=Choices(opener=opener))
    ended = time.perf_counter()
    if not report.is_whole:
        raise RuntimeError(f"{len(report.kept)} files were kept back and {len(report.refused)} refused")
    if report.note:
        raise RuntimeError(report.note)
    return {
        "seconds": round(ended - began, 3),
        "find_seconds": round(looked - began, 3),
        "opened": opened.total(),
        "uploaded": len(report.brought),
        "requests": {kind: count for kind in _KINDS if (count := server.count(kind))},
    }


def _fill(show: Path, server: FakeGcs, files: int) -> None:
    for number in range(files):
        folder = show / f"el{number // FOLDER:03}"
        folder.mkdir(parents=True, exist_ok=True)
        data = b"pixels of %d" % number
        (folder / f"p.{number:05}.exr").write_bytes(data)
        if number % _MISSING:
            server.put("show", f"{folder.name}/p.{number:05}.exr", data)
    for number in range(LARGE):
        with (show / f"large.{number}.exr").open("wb") as file:
            file.truncate(LARGE_BYTES)


def table(result: dict[str, Any]) -> Table:
    """The same for people."""
    shown = Table("run", "seconds", "of it finding", "files opened", "uploaded", "requests", title="ingest")
    for run in _RUNS:
        raw = result["raw"][run]
        requests = ", ".join(f"{kind} {count}" for kind, count in raw["requests"].items())
        shown.add_row(
            run,
            f"{raw['seconds']:.2f}",
            f"{raw['find_seconds']:.2f}",
            f"{raw['opened']:,}",
            str(raw["uploaded"]),
            requests,
        )
    return shown
