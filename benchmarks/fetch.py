"""Objects that are not here yet, from a bucket to files on this disk, by several clients in turn.

One nginx serves all of them (see bucket_server.py), and every round asks each client once for each kind of objects, in
an order of its own; what is compared are medians over the rounds. Before each turn the folder is empty, what will be
served is read once, and what is dirty is written to the disk. What a turn wrote is emptied after it and removed at the
very end: an ext4 without a journal gives out no inode that was freed in the last minutes and looks at each of those
first, which makes a new file cost half a millisecond once some thousands were removed, and a client that makes more
files look slow. Right before its clock starts, a client that writes files fills as much memory as it will need, and
frees it: a virtual machine may have given it back to its host meanwhile, and getting it again takes longer than the
download. The server's CPU time is the same for all and is not counted; on a machine with few cores it is taken from
all of them.

    jit-render             the agent, cold, its index, view and verification included; the versions are pinned by a
                           plan, as submit writes it; asked for like a renderer's frame, by ``ensure``
    jit-render, unplanned  the same without a plan: one more request for each object, which tells its version
    curl                   ``--parallel``, to files; verifies nothing
    google-cloud-storage   ``download_to_filename`` in four threads, verified as it does by default
    gcsfs                  ``get`` of a list; verifies nothing
    bare                   the same system calls and the checksum with nothing around them: about as fast as Python
                           can be (fetch_bare.py)
    disk                   large objects only: the same bytes written to as many files, and nothing fetched
    rclone mount           read through the mount by eight readers at once; nothing is written to the disk

*pieces* are about as many bytes as *huge*, in objects like the *large* ones: whether a rate is that of one object or of
so many bytes at once (a virtual machine's memory and disk may take the second GiB more slowly than the first).
*tls* are large objects over HTTPS, as from Cloud Storage; nginx encrypts on one of the cores.
*far* are small objects of a server that answers 30 ms later, as a bucket does (far_away.py): what counts there is how
many are asked for at a time.
"""

from __future__ import annotations

import random
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.bucket_server import make_objects, program, serving, trusting
from benchmarks.far_away import far_away
from benchmarks.fetch_turns import CLIENTS, OURS, Spent, Turn, is_here, take

MIB = 2**20
TARGETS = {
    "large_to_curl": 0.9,
    "large_to_google-cloud-storage": 3.0,
    "large_to_gcsfs": 2.5,
    "large_to_rclone mount": 3.0,
    "small_to_curl": 0.4,
    "small_to_google-cloud-storage": 6.0,
    "huge_to_large": 0.9,
}
KINDS = ("large", "small", "huge", "pieces", "tls", "far")
_THEIRS = ("curl", "google-cloud-storage", "gcsfs", "rclone mount")
_SOME = {
    "huge": (OURS, "curl"),
    "pieces": (OURS, "bare"),
    "tls": (OURS, "curl", "gcsfs"),
    "far": (OURS, "curl", "gcsfs"),
}
_SLOW = ("google-cloud-storage", "gcsfs", "rclone mount")


def measure(*, quick: bool) -> dict[str, Any]:
    """MiB/s and CPU time by client; how many times as fast as they we are (`ratios`), and bare is (`bounds`)."""
    if program() is None:
        return {"skipped": "nginx is not installed; on Debian: apt-get install nginx-light", "ratios": {}, "raw": {}}
    rounds = 3 if quick else 7
    sizes = {
        "large": (16, 25 * MIB) if quick else (40, 25 * MIB),
        "small": (1_000, 65_536) if quick else (4_000, 65_536),
        "huge": (1, 512 * MIB) if quick else (1, 2048 * MIB),
        "pieces": (20, 25 * MIB) if quick else (82, 25 * MIB),
        "tls": (16, 25 * MIB) if quick else (40, 25 * MIB),
        "far": (250, 65_536) if quick else (1_000, 65_536),
    }
    samples: dict[str, dict[str, list[Spent]]] = {kind: {} for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="jit-render-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        make_objects(folder, "warm", 1, 65_536)
        objects = {kind: make_objects(folder, kind, *size) for kind, size in sizes.items()}
        with serving(folder, objects) as server, trusting(server.authority), far_away(server) as distant:
            servers = {"far": distant, "tls": replace(server, url=server.secure_url)}
            for number in range(rounds):
                for kind, client in _order(number, quick=quick):
                    spent = take(client, Turn(servers.get(kind, server), kind, folder / "turn"))
                    samples[kind].setdefault(client, []).append(spent)
    return _result(sizes, samples)


def _order(number: int, *, quick: bool) -> list[tuple[str, str]]:
    """All turns of a round, kinds and clients mixed: each leaves its traces in memory and on the disk for the next.

    (Where it always came right before as many bytes in pieces, the 2 GiB object seemed to take half as long again.)
    """
    turns = [(kind, client) for kind in KINDS for client in _clients(kind, is_short=quick and number > 0)]
    random.Random(number).shuffle(turns)
    return turns


def _clients(kind: str, *, is_short: bool) -> list[str]:
    names = [name for name in CLIENTS if is_here(name) and not (kind == "small" and name == "disk")]
    if is_short:  # the slow ones once are enough for a first look
        names = [name for name in names if name not in _SLOW]
    return [name for name in names if name in _SOME.get(kind, names)]


def _result(sizes: dict[str, tuple[int, int]], samples: dict[str, dict[str, list[Spent]]]) -> dict[str, Any]:
    raw: dict[str, dict[str, Any]] = {}
    for kind, clients in samples.items():
        count, size_bytes = sizes[kind]
        raw[kind] = {"objects": count, "size_bytes": size_bytes}
        for client, spent in sorted(clients.items(), key=lambda one: list(CLIENTS).index(one[0])):
            seconds = statistics.median(one["seconds"] for one in spent)
            cpu = statistics.median(one["cpu_seconds"] for one in spent)
            raw[kind][client] = {
                "mib_per_second": round(count * size_bytes / MIB / seconds, 1),
                "objects_per_second": round(count / seconds, 1),
                "cpu_seconds_per_gib": round(cpu / (count * size_bytes / 2**30), 3),
                "cpu_us_per_object": round(cpu / count * 1e6, 1),
                "seconds": [round(one["seconds"], 4) for one in spent],
            }
    ratios = {
        f"{kind}_to_{client}": round(entries[OURS]["mib_per_second"] / entry["mib_per_second"], 3)
        for kind, entries in raw.items()
        for client, entry in entries.items()
        if isinstance(entry, dict) and client != OURS
    }
    bounds = {
        f"{kind}_to_{client}": round(entries["bare"]["mib_per_second"] / entry["mib_per_second"], 3)
        for kind, entries in raw.items()
        for client, entry in entries.items()
        if isinstance(entry, dict) and "bare" in entries and client in _THEIRS
    }
    for other in ("large", "pieces"):
        rates = [raw[kind][OURS]["mib_per_second"] for kind in ("huge", other)]
        ratios[f"huge_to_{other}"] = round(rates[0] / rates[1], 3)
    met = {name: ratios[name] >= target for name, target in TARGETS.items() if name in ratios}
    return {"ratios": ratios, "bounds": bounds, "raw": raw, "targets": TARGETS, "met": met}


def table(result: dict[str, Any]) -> Table:
    """The same for people."""
    shown = Table(title="fetch", box=SIMPLE_HEAD, pad_edge=False)
    shown.add_column("")
    shown.add_column("client", min_width=21)
    for heading in ("rate", "CPU", "ours", "bare", "goal"):
        shown.add_column(heading, justify="right")
    for kind, entries in result["raw"].items():
        for client, entry in entries.items():
            if not isinstance(entry, dict):
                continue
            name = f"{kind}_to_{client}"
            ratio, bound, target = (result[part].get(name) for part in ("ratios", "bounds", "targets"))
            shown.add_row(
                kind,
                client,
                *_rate_and_cpu(kind, entry),
                "" if ratio is None else f"{ratio:.2f}",
                "" if bound is None else f"{bound:.2f}",
                "" if target is None else f"{target:g}",
            )
    for other in ("large", "pieces"):
        name = f"huge_to_{other}"
        if name in result["ratios"]:
            target = result["targets"].get(name)
            ratio = f"{result['ratios'][name]:.2f}"
            shown.add_row("huge", f"to {other}, ours", "", "", ratio, "", "" if target is None else f"{target:g}")
    return shown


def _rate_and_cpu(kind: str, entry: dict[str, float]) -> tuple[str, str]:
    if kind in {"small", "far"}:
        return f"{entry['objects_per_second']:,.0f} obj/s", f"{entry['cpu_us_per_object']:,.0f} µs/obj"
    return f"{entry['mib_per_second']:,.0f} MiB/s", f"{entry['cpu_seconds_per_gib']:.2f} s/GiB"
