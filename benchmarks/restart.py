"""An agent that starts over a large cache after a kill: when it answers, how much memory it takes, who waits for whom.

The cache is made directly (see large_cache.py) and left as a killed agent leaves it: rows without files, files without
rows, downloads half done. The agent starts as a process of its own. Timed: from the start of the process to its first
hello, and to its first answer with a path. While it brings index and disk together in the background it is asked for
cached objects all the time, so that an answer that has to wait for that is seen. Memory is the kernel's high-water
mark. Nothing in the page cache is dropped: after a kill it is all there; after a reboot the disk's own latency comes on
top.
"""

from __future__ import annotations

import random
import statistics
import time
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.large_cache import GENERATION, fill, object_url, pin, roomy_folder
from benchmarks.node import SHOW, running_agent, submit
from jit_render.cache.layout import Layout
from jit_render.model.identity import ObjectId
from nuke_callbacks.client import Client

ANSWER_TARGET = 3.0  # seconds
MEMORY_TARGET = 200 * 2**20
WAIT_TARGET = 0.1  # seconds for the 99th percentile of the answers during the reconcile
BUCKET = "gs://bench-show"
_HARMED = 1_000  # of each kind
_ASKED = 2_000
_BETWEEN_SECONDS = 0.002  # a renderer does something with what it is given


def measure(*, quick: bool) -> dict[str, Any]:
    """Seconds and bytes; `ratios` are shares of the targets."""
    entries = 50_000 if quick else 1_000_000
    rounds = 3
    with roomy_folder(entries) as folder:
        cache = folder / "cache"
        fill(cache, BUCKET, entries)
        job = submit(folder, BUCKET)
        numbers = random.Random(entries).sample(range(entries // 2, entries), _ASKED)
        pin(cache, job.rpartition("/")[2], BUCKET, numbers)
        _harm(cache)
        results = [_start(cache, job, numbers) for _ in range(rounds)]
    crashed = results[0]
    answer = statistics.median(result["answer_seconds"] for result in results)
    memory = max(result["memory_bytes"] for result in results)
    return {
        "entries": entries,
        "in_memory": str(folder).startswith("/dev/shm"),
        "ratios": {
            "answer_to_target": round(answer / ANSWER_TARGET, 3),
            "memory_to_target": round(memory / MEMORY_TARGET, 3),
            "wait_to_target": round(crashed["wait_p99_seconds"] / WAIT_TARGET, 3),
        },
        "raw": {"rounds": results, "answer_seconds": round(answer, 3), "memory_bytes": memory},
        "targets": {
            "answer_seconds": ANSWER_TARGET, "memory_bytes": MEMORY_TARGET, "wait_p99_seconds": WAIT_TARGET
        },
        "met": {
            "answer": answer < ANSWER_TARGET,
            "memory": memory < MEMORY_TARGET,
            "reconcile_blocks_nobody": all(result["wait_p99_seconds"] < WAIT_TARGET for result in results),
            "harm_found": crashed["entries_after"] == entries - _HARMED,
        },
    }  # fmt: skip


def table(result: dict[str, Any]) -> Table:
    """The same for people."""
    shown = Table(
        "start", "hello s", "answer s", "done s", "wait ms", "99th", "longest", "MiB",
        title=f"restart over {result['entries']:,} entries",
    )  # fmt: skip
    for number, entry in enumerate(result["raw"]["rounds"]):
        shown.add_row(
            "again" if number else "killed",
            *(f"{entry[key]:.3f}" for key in ("hello_seconds", "answer_seconds", "reconciled_seconds")),
            *(f"{entry[key] * 1000:.2f}" for key in ("wait_median_seconds", "wait_p99_seconds", "wait_max_seconds")),
            f"{entry['memory_bytes'] / 2**20:.0f}",
        )
    targets = result["targets"]
    wait, most = f"< {targets['wait_p99_seconds'] * 1000:g}", f"< {targets['memory_bytes'] / 2**20:.0f}"
    shown.add_row("target", "", f"< {targets['answer_seconds']:g}", "", "", wait, "", most)
    return shown


def _harm(cache: Path) -> None:
    """What a kill leaves: rows whose file is gone, files whose row was not written, half a download."""
    layout = Layout(cache)
    for number in range(_HARMED):
        url = object_url(BUCKET, number)
        Path(layout.object_path(ObjectId(url, GENERATION).digest, url.name)).unlink()
        stray = ObjectId(object_url(BUCKET, 10**7 + number), "1").digest
        Path(layout.object_path(stray, "stray.exr")).write_bytes(b"nobody knows me")
        (layout.incoming / f"1-dead-{number}").write_bytes(b"half")


def _start(cache: Path, job: str, numbers: list[int]) -> dict[str, Any]:
    start = time.perf_counter()
    with running_agent(cache) as agent:
        hello = time.perf_counter() - start
        client = Client(str(agent.socket), job)
        client.connect()  # the agent reads the job's specification and loads what that takes
        waits = [_ask(client, numbers[0])]
        answer = time.perf_counter() - start
        reconciled, more = _ask_until_still(client, numbers, start)
        waits += more
        after = client.stats()["agent"]["cache"]["entries"]
        client.close()
        return {
            "hello_seconds": round(hello, 4),
            "answer_seconds": round(answer, 4),
            "reconciled_seconds": round(reconciled, 2),
            "wait_median_seconds": round(statistics.median(waits), 6),
            "wait_p99_seconds": round(statistics.quantiles(waits, n=100)[98], 6),
            "wait_max_seconds": round(max(waits), 6),
            "answers": len(waits),
            "memory_bytes": agent.memory_bytes("VmHWM"),
            "cpu_seconds": round(agent.cpu_seconds(), 2),
            "entries_after": after,
        }


def _ask_until_still(client: Client, numbers: list[int], start: float) -> tuple[float, list[float]]:
    """Ask until the reconcile is through; when that was, and how long each answer took."""
    waits: list[float] = []
    while client.stats()["agent"]["cache"]["reconciling"]:
        for _ in range(50):
            waits.append(_ask(client, random.choice(numbers)))
            time.sleep(_BETWEEN_SECONDS)
    return time.perf_counter() - start, waits


def _ask(client: Client, number: int) -> float:
    start = time.perf_counter()
    answer = client.resolve(f"{SHOW}/{object_url(BUCKET, number).key}")
    taken = time.perf_counter() - start
    if answer["state"] != "local":
        raise RuntimeError(f"a cached object was not given: {answer}")
    return taken
