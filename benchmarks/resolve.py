"""What a file name costs: inside the renderer while its lease is held, and through the socket for a cached object.

Inside the renderer a call takes less than a clock's resolution allows to time by itself. So batches of calls are
timed, the same loop without the call is taken off, and the percentiles are those of the batches' means: the 99th is
of batches, not of single calls. Every name is a new string, as Nuke makes one for each call: its hash has not been
computed before. A frame's few hundred names are asked for again and again, as a render does, held by a real client of
an agent whose cache has a thousand objects and of one with a million, in turns: what is cached must not matter. What
one process holds at once may matter, and is measured too, far beyond what any frame holds: with a thousand to a million
names held, a frame's names (those that were leased last and together), and names scattered over all at random. The work
is the same; what grows is how often a call waits for the machine's memory.

Single calls are timed as well, clock and all, for their 99th percentile.

Through the socket each call is timed alone: the client's lock, both JSON codings, the agent's look-up, a look at the
file, the lease, the link. The agent is the real one, a process of its own, over an index of a thousand and of a
million rows (see large_cache.py) whose names are asked for three times: for the first time (row and pin come from
SQLite, the link is made), again in any order out of all that were asked for, and as a frame does, a few hundred names
over and over. Then sixteen client processes ask at once: together they must get at least what one alone gets.
"""

from __future__ import annotations

import gc
import multiprocessing
import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.table import Table

from nuke_callbacks.client import Client
from nuke_callbacks.hooks import filter_over
from nuke_callbacks.leases import Leases, Scope

HELD_TARGET = 2.0  # microseconds at the median
HELD_P99_TARGET = 20.0
GROWTH_TARGET = 1.2  # from the smallest number of names to the largest
SOCKET_TARGET = 200.0
CLIENTS = 16
THROUGHPUT_ROUNDS = 5
CLIENTS_TARGET = 1.0  # of one client's throughput
FRAME_NAMES = 300  # of one frame: plates, stills, look-up tables, views
BATCH = 100
_FOLDER = "/mnt/show/sequences/sq010/sh0100/plates/main_v003/exr"


_WAYS = (
    ("lease held, by objects cached", "held_us"),
    ("lease held, by names held", "held_many_us"),
    ("same, scattered names", "held_scattered_us"),
    ("socket, a frame's names", "socket_us"),
    ("socket, scattered names", "socket_scattered_us"),
    ("socket, first time", "socket_first_us"),
)


def measure(*, quick: bool) -> dict[str, Any]:
    """Microseconds: `raw` by number of names (held) or of rows in the index (socket)."""
    batches = 200 if quick else 2_000
    counts = (1_000, 100_000) if quick else (1_000, 100_000, 1_000_000)
    raw: dict[str, dict[str, Any]] = {
        "held_many_us": {str(count): _held(count, FRAME_NAMES, batches) for count in counts},
        "held_scattered_us": {str(count): _held(count, count, batches) for count in counts},
    }
    holding = {}
    for entries in (1_000, 50_000) if quick else (1_000, 1_000_000):
        holding[str(entries)], found = _sockets(entries, calls=2_000 if quick else 20_000)
        for key, value in found.items():
            raw.setdefault(key, {})[str(entries)] = value
    raw["held_us"] = held = _in_turns(holding, batches)
    largest = str(50_000 if quick else 1_000_000)
    clients = raw["clients_per_second"][largest]
    ratios = {
        "held_growth": _growth(held),
        "held_many_growth": _growth(raw["held_many_us"]),
        "held_scattered_growth": _growth(raw["held_scattered_us"]),
        "socket_growth": _growth(raw["socket_us"]),
        "clients_16_to_1": round(clients[str(CLIENTS)] / clients["1"], 3),
    }
    return {
        "ratios": ratios,
        "raw": raw,
        "targets": {
            "held_us": HELD_TARGET, "held_p99_us": HELD_P99_TARGET, "held_growth": GROWTH_TARGET,
            "socket_us": SOCKET_TARGET, "clients_16_to_1": CLIENTS_TARGET,
        },
        "met": {
            "held": all(entry["median"] < HELD_TARGET for entry in held.values()),
            "held_p99": all(entry["single_p99"] < HELD_P99_TARGET for entry in held.values()),
            "held_growth": ratios["held_growth"] < GROWTH_TARGET,
            "socket": raw["socket_us"][largest]["median"] < SOCKET_TARGET,
            "clients": ratios["clients_16_to_1"] >= CLIENTS_TARGET,
        },
    }  # fmt: skip


def table(result: dict[str, Any]) -> Table:
    """The same for people."""
    shown = Table("way of a name", "names, rows", "median µs", "99th µs", "target", title="resolve")
    for label, key in _WAYS:
        for count, entry in result["raw"][key].items():
            target = result["targets"].get(key)
            median, p99 = f"{entry['median']:.3f}", f"{entry['p99']:.3f}"
            shown.add_row(label, f"{int(count):,}", median, p99, f"< {target:g}" if target else "")
    for key in ("held_growth", "held_many_growth", "held_scattered_growth", "socket_growth", "clients_16_to_1"):
        target = result["targets"].get(key)
        sign = ">=" if key.startswith("clients") else "<"
        shown.add_row(key, "", f"{result['ratios'][key]:.3f}", "", f"{sign} {target:g}" if target else "")
    return shown


def _held(count: int, asked: int, batches: int) -> dict[str, float]:
    leases, scope = Leases(), Scope("Write1", 1001)
    leases.begin(scope)
    for number in range(count):
        path = f"/cache/view/job/show{_FOLDER}/plate.{number:07}.exr"
        answer = {"state": "local", "leased": True, "path": path}
        leases.keep(scope, _name(number), "error", answer)
    names = [_name(number) for number in range(count - asked, count)]
    return _in_turns({"": (leases.held, names)}, batches)[""]


def _in_turns(holding: dict[str, tuple[dict[str, str], list[str]]], batches: int) -> dict[str, dict[str, float]]:
    """The filter over each dictionary of held names, asked for the names beside it."""
    order = random.Random(batches)
    filters = {key: filter_over(held, _never) for key, (held, _) in holding.items()}
    samples: dict[str, list[float]] = {key: [] for key in holding}
    singles: dict[str, list[float]] = {key: [] for key in holding}
    gc.disable()
    try:
        for _ in range(batches):
            for key, (_, names) in holding.items():
                samples[key].append(_batch_us(filters[key], _fresh(order.choices(names, k=BATCH))))
        for key, (_, names) in holding.items():
            singles[key] = [_single_us(filters[key], name) for name in _fresh(order.choices(names, k=20_000))]
    finally:
        gc.enable()
    return {key: {**_summary(samples[key]), "single_p99": _summary(singles[key])["p99"]} for key in holding}


def _fresh(names: list[str]) -> list[str]:
    """The same names as new strings."""
    return [name.encode().decode() for name in names]


def _single_us(call: Callable[[str], str], name: str) -> float:
    start = time.perf_counter_ns()
    call(name)
    return (time.perf_counter_ns() - start) / 1_000


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


def _sockets(entries: int, *, calls: int) -> tuple[tuple[dict[str, str], list[str]], dict[str, Any]]:
    """What a client that holds a frame's names holds, and those names; and what asking through the socket costs."""
    from benchmarks.large_cache import fill, object_url, pin, roomy_folder
    from benchmarks.node import SHOW, running_agent, submit

    bucket = "gs://bench-show"  # never asked: what is pinned and here is not looked at there
    order = random.Random(entries)  # the same order on every machine
    numbers = order.sample(range(entries), min(entries, calls))
    names = [f"{SHOW}/{object_url(bucket, number).key}" for number in numbers]
    with roomy_folder(entries) as folder:
        fill(folder / "cache", bucket, entries)
        job = submit(folder, bucket)
        pin(folder / "cache", job.rpartition("/")[2], bucket, numbers)
        with running_agent(folder / "cache") as agent:
            agent.settle()  # what comes right after a start is measured by `restart`
            client = Client(str(agent.socket), job)
            frame = names[:FRAME_NAMES]
            result = {
                "socket_first_us": _summary([_call_us(client, name) for name in names]),
                "socket_scattered_us": _summary([_call_us(client, order.choice(names)) for _ in range(calls)]),
                "socket_us": _summary([_call_us(client, order.choice(frame)) for _ in range(calls)]),
            }
            client.close()
            holder = Client(str(agent.socket), job)
            for name in frame:
                holder.resolve(name)
            rounds = [
                [_throughput(str(agent.socket), job, frame, many, calls) for many in (1, CLIENTS)]
                for _ in range(THROUGHPUT_ROUNDS)  # in turns: the machine may be faster now than a second ago
            ]
            alone, together = (round(statistics.median(rates)) for rates in zip(*rounds, strict=True))
            result["clients_per_second"] = {"1": alone, str(CLIENTS): together}
    return (holder.held, frame), result


def _throughput(socket_path: str, job: str, names: list[str], clients: int, calls: int) -> float:
    """Answers per second to so many processes at once."""
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(clients), context.SimpleQueue()
    each = max(calls // clients, 2 * len(names))
    arguments = (Client(socket_path, job), names, each, barrier, queue)
    processes = [context.Process(target=_ask, args=arguments) for _ in range(clients)]
    for process in processes:
        process.start()
    spans = [queue.get() for _ in processes]
    for process in processes:
        process.join()
    return float(clients * each / (max(end for _, end in spans) - min(start for start, _ in spans)))


def _ask(client: Client, names: list[str], calls: int, barrier: Any, queue: Any) -> None:
    """In a process of its own; a client that was forked connects for itself."""
    for name in names:
        client.resolve(name)
    barrier.wait()
    start = time.perf_counter()
    for number in range(calls):
        client.resolve(names[number % len(names)])
    queue.put((start, time.perf_counter()))


def _call_us(client: Client, name: str) -> float:
    start = time.perf_counter_ns()
    answer = client.resolve(name)
    taken = (time.perf_counter_ns() - start) / 1_000
    if answer["state"] != "local":
        raise RuntimeError(f"{name} is not cached: {answer}")
    return taken


def _summary(samples: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(samples, n=100)
    return {"median": round(statistics.median(samples), 3), "p99": round(cuts[98], 3), "samples": len(samples)}


def _growth(entries: dict[str, dict[str, float]]) -> float:
    medians = [entry["median"] for entry in entries.values()]
    return round(medians[-1] / medians[0], 3)
