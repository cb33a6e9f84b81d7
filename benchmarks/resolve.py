"""What a file name costs: inside the renderer while its lease is held, and through the socket for a cached object.

Inside the renderer a call takes less than a clock's resolution allows to time by itself. So batches of calls are
timed, the same loop without the call is taken off, and the percentiles are those of the batches' means: the 99th is
of batches, not of single calls. Every name is a new string, as Nuke makes one for each call: its hash has not been
computed before. Two ways of asking: as a frame does, the same few hundred names again and again out of all that are
held; and scattered over all of them at random, where every call waits for the machine's memory. The work is the same,
so the first is the cost of the filter and the growth of the second is the growth of cache misses.

Through the socket each call is timed alone: the client's lock, both JSON codings, the agent's look-up and lease. The
agent is the real one, a process of its own, over a bucket on this disk whose objects it has fetched before.
"""

from __future__ import annotations

import gc
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from nuke_callbacks.client import Client
from nuke_callbacks.hooks import filter_over
from nuke_callbacks.leases import Leases, Scope

HELD_TARGET = 3.0  # microseconds at the median
SOCKET_TARGET = 300.0
HELD_NAMES = (1_000, 10_000, 100_000)
FRAME_NAMES = 300  # of one frame: plates, stills, look-up tables, views
BATCH = 100
_FOLDER = "/mnt/show/sequences/sq010/sh0100/plates/main_v003/exr"


_WAYS = (
    ("lease held, a frame's names", "held_us"),
    ("lease held, scattered names", "held_scattered_us"),
    ("cached, through the socket", "socket_us"),
)


def measure(*, quick: bool) -> dict[str, Any]:
    """Microseconds: `raw` by number of names, `ratios` of the largest to the smallest number."""
    batches = 200 if quick else 2_000
    held = {str(count): _held(count, FRAME_NAMES, batches) for count in HELD_NAMES}
    scattered = {str(count): _held(count, count, batches) for count in HELD_NAMES}
    objects = (100, 1_000) if quick else (100, 1_000, 10_000)
    sockets = {str(count): _socket(count, calls=1_000 if quick else 10_000) for count in objects}
    return {
        "ratios": {
            "held_growth": _growth(held),
            "held_scattered_growth": _growth(scattered),
            "socket_growth": _growth(sockets),
        },
        "raw": {"held_us": held, "held_scattered_us": scattered, "socket_us": sockets},
        "targets": {"held_us": HELD_TARGET, "held_scattered_us": HELD_TARGET, "socket_us": SOCKET_TARGET},
        "met": {
            "held": all(entry["median"] < HELD_TARGET for entry in [*held.values(), *scattered.values()]),
            "socket": all(entry["median"] < SOCKET_TARGET for entry in sockets.values()),
        },
    }


def table(result: dict[str, Any]) -> Table:
    """The same for people."""
    shown = Table("way of a name", "names", "median µs", "99th µs", "target µs", title="resolve")
    for label, key in _WAYS:
        for count, entry in result["raw"][key].items():
            target = result["targets"][key]
            shown.add_row(label, f"{int(count):,}", f"{entry['median']:.3f}", f"{entry['p99']:.3f}", f"< {target:g}")
    return shown


def _held(count: int, asked: int, batches: int) -> dict[str, float]:
    leases, scope = Leases(), Scope("Write1", 1001)
    leases.begin(scope)
    for number in range(count):
        path = f"/cache/view/job/show{_FOLDER}/plate.{number:07}.exr"
        answer = {"state": "local", "leased": True, "path": path}
        leases.keep(scope, _name(number), "error", answer)
    filename_filter = filter_over(leases.held, _never)
    order = random.Random(count)
    numbers = order.sample(range(count), asked)
    samples = []
    gc.disable()
    try:
        for _ in range(batches):
            batch = [_name(number) for number in order.choices(numbers, k=BATCH)]
            samples.append(_batch_us(filename_filter, batch))
    finally:
        gc.enable()
    return _summary(samples)


def _batch_us(call: Callable[[str], str], batch: Sequence[str]) -> float:
    start = time.perf_counter_ns()
    for _name_only in batch:
        pass
    between = time.perf_counter_ns()
    for name in batch:
        call(name)
    end = time.perf_counter_ns()
    return ((end - between) - (between - start)) / len(batch) / 1_000


def _never(name: str) -> str:
    raise AssertionError(f"{name} is not held: the benchmark would measure something else")


def _name(number: int) -> str:
    return f"{_FOLDER}/plate.{number:07}.exr"


def _socket(count: int, *, calls: int) -> dict[str, float]:
    from benchmarks.node import running_agent

    with (
        tempfile.TemporaryDirectory(prefix="jit-render-bench-") as folder,
        running_agent(Path(folder), objects=count) as (socket_path, job, names),
    ):
        client = Client(str(socket_path), job)
        fetched = client.ensure([[name, "error"] for name in names])
        bad = [answer for answer in fetched if answer["state"] != "local"]
        if bad:
            raise RuntimeError(f"{len(bad)} of {count} objects were not fetched, the first: {bad[0]}")
        order = random.Random(count)  # the same order on every machine
        samples = [_call_us(client, order.choice(names)) for _ in range(calls)]
        client.close()
    return _summary(samples)


def _call_us(client: Client, name: str) -> float:
    start = time.perf_counter_ns()
    client.resolve(name)
    return (time.perf_counter_ns() - start) / 1_000


def _summary(samples: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(samples, n=100)
    return {"median": round(statistics.median(samples), 3), "p99": round(cuts[98], 3), "samples": len(samples)}


def _growth(entries: dict[str, dict[str, float]]) -> float:
    medians = [entry["median"] for entry in entries.values()]
    return round(medians[-1] / medians[0], 3)
