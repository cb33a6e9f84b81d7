"""The same shot fused and staged over one place: what each way took, and how many bytes it moved."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.preprocess_shot import Shot, fill
from benchmarks.preprocess_task import run as run_tasks
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import Settings
from jit_render.store import open_store
from preprocess.environment import Wishes


@contextmanager
def in_folder(below: str | None = None) -> Iterator[tuple[str, Settings]]:
    with tempfile.TemporaryDirectory(prefix="preprocess-", dir=below) as folder:
        yield f"file://{folder}", Settings.model_validate({"job": {"state": f"file://{folder}/state"}})


def both_ways(root: str, settings: Settings, shot: Shot) -> dict[str, Any]:
    store = open_store(settings.store)
    read = fill(store, root, shot)
    runs = {"fused": run_tasks(store, settings, root, shot, Wishes(force=True))}
    written = sum(info.size_bytes for info in store.list(ObjectUrl.parse(f"{root}/fused")) if info.url.name[0] != ".")
    runs["staged"] = run_tasks(store, settings, root, shot, Wishes(staged=True, force=True))
    store.close()
    for run in runs.values():
        run["bytes_ratio"] = round((run["bytes_read"] + run["bytes_written"]) / (read + written), 4)
    speed_up = runs["staged"]["seconds"] / runs["fused"]["seconds"]
    return {"inputs_bytes": read, "outputs_bytes": written, **runs, "speed_up": round(speed_up, 2)}
