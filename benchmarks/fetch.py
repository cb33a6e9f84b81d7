"""Objects that are not here yet, from a bucket to files on this disk, by several clients in turn.

One nginx serves all of them (see bucket_server.py), and every round asks each client once, in an order that moves on by
one with each round; what is compared are medians over the rounds. Before each turn the folder is empty, and what is
dirty is written to the disk. What a turn wrote is emptied after it and removed at the very end: an ext4 without a
journal gives out no inode that was freed in the last minutes and looks at each of those first, which makes a new file
cost half a millisecond once some thousands were removed, and a client that makes more files look slow. Right before its
clock starts, a client that writes files fills as much memory as it will need, and frees it: a virtual machine may have
given it back to its host meanwhile, and getting it again takes longer than the download. The server's CPU time is the
same for all and is not counted; on a machine with few cores it is taken from all of them.

    jit-render             the agent, cold, its index, view and verification included; the versions are pinned by a
                           plan, as submit writes it; asked for like a renderer's frame, by ``ensure``
    jit-render, unplanned  the same without a plan: one more request for each object, which tells its version
    curl                   ``--parallel``, to files; verifies nothing
    google-cloud-storage   ``download_to_filename`` in four threads, verified as it does by default
    gcsfs                  ``get`` of a list; verifies nothing
    bare                   small objects only: a loop of the same system calls and the checksum with nothing around it,
                           which is about as fast as one thread of Python can be (fetch_clients.py)
    rclone mount           read through the mount by eight readers at once; nothing is written to the disk
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.bucket_server import BUCKET, BucketServer, make_objects, program, serving
from benchmarks.fetch_clients import touch_memory
from benchmarks.node import SHOW, cpu_seconds_of, running_agent, submit
from jit_render.model.clock import SystemClock
from jit_render.model.identity import ObjectInfo
from nuke_callbacks.client import Client

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
OURS = "jit-render"
_PARALLEL = {"large": "8", "small": "50", "huge": "1"}
_MOUNT_SECONDS = 20.0
_LONGEST_SECONDS = 300.0
_NO_GRPC = {"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}  # it would ask an endpoint that nginx does not serve


@dataclass(frozen=True)
class _Turn:
    """One client, one kind of objects."""

    server: BucketServer
    kind: str
    folder: Path

    @property
    def infos(self) -> list[ObjectInfo]:
        return self.server.objects[self.kind]

    @property
    def names(self) -> list[str]:
        return [info.url.key for info in self.infos]

    @property
    def size_bytes(self) -> int:
        return sum(info.size_bytes for info in self.infos)

    def listed(self) -> Path:
        path = self.folder / "names"
        path.write_text("\n".join(self.names))
        return path


Spent = dict[str, float]
"""``seconds`` and ``cpu_seconds``."""


def measure(*, quick: bool) -> dict[str, Any]:
    """Bytes per second and CPU time by client; `ratios` of ours to theirs (how many times as fast)."""
    if program() is None:
        return {"skipped": "nginx is not installed; on Debian: apt-get install nginx-light", "ratios": {}, "raw": {}}
    rounds = 3 if quick else 7
    sizes = {
        "large": (16, 25 * MIB) if quick else (40, 25 * MIB),
        "small": (1_000, 65_536) if quick else (4_000, 65_536),
        "huge": (1, 512 * MIB) if quick else (1, 2048 * MIB),
    }
    samples: dict[str, dict[str, list[Spent]]] = {kind: {} for kind in sizes}
    with tempfile.TemporaryDirectory(prefix="jit-render-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        make_objects(folder, "warm", 1, 65_536)
        objects = {kind: make_objects(folder, kind, *size) for kind, size in sizes.items()}
        with serving(folder, objects) as server:
            for number in range(rounds):
                for kind in sizes:
                    for client in _order(kind, number, quick=quick):
                        spent = _take(client, _Turn(server, kind, folder / "turn"))
                        samples[kind].setdefault(client, []).append(spent)
    return _result(sizes, samples)


def _order(kind: str, number: int, *, quick: bool) -> list[str]:
    slow = quick and number > 0  # the slow ones once are enough for a first look
    names = [name for name in _CLIENTS if not (slow and name in _SLOW) and _is_here(name)]
    if kind != "small":
        names.remove("bare")
    if kind == "huge":
        names = [name for name in (OURS, "curl") if _is_here(name)]
    first = number % len(names)
    return names[first:] + names[:first]


def _is_here(client: str) -> bool:
    needs = {"curl": ["curl"], "rclone mount": ["rclone", "fusermount3"]}.get(client, [])
    return all(map(shutil.which, needs)) and (client != "rclone mount" or Path("/dev/fuse").exists())


def _take(client: str, turn: _Turn) -> Spent:
    turn.folder.mkdir()
    os.sync()
    try:
        return _CLIENTS[client](turn)
    finally:
        _empty(turn.folder)


def _empty(folder: Path) -> None:
    """Give the blocks of all files in `folder` back, and put it, with its inodes, out of the way."""
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names):
            if path.is_file() and not path.is_symlink():
                path.chmod(0o600)
                os.truncate(path, 0)
    folder.rename(Path(tempfile.mkdtemp(dir=folder.parent), "turn"))


def _ours(turn: _Turn, *, planned: bool = True) -> Spent:
    job = submit(turn.folder, f"gs://{BUCKET}", planned=turn.infos if planned else ())
    settings = {"store": {"endpoint": turn.server.url}}
    wanted = [[f"{SHOW}/{name}", "error"] for name in turn.names]
    with running_agent(turn.folder / "cache", settings) as agent:
        client = Client(str(agent.socket), job)
        client.connect()
        client.ensure([[f"{SHOW}/warm/0000.bin", "error"]])  # loads what the agent loads at its first use of a bucket
        touch_memory(turn.folder, turn.size_bytes)
        before, own, start = agent.cpu_seconds(), time.process_time(), time.perf_counter()
        answers = client.ensure(wanted)
        seconds = time.perf_counter() - start
        cpu = agent.cpu_seconds() - before + time.process_time() - own
        client.close()
    bad = [answer for answer in answers if answer["state"] != "local"]
    if bad:
        raise RuntimeError(f"{len(bad)} objects were not fetched, the first: {bad[0]}")
    return {"seconds": seconds, "cpu_seconds": cpu}


def _ours_unplanned(turn: _Turn) -> Spent:
    return _ours(turn, planned=False)


def _curl(turn: _Turn) -> Spent:
    place = f"{turn.server.url}/download/storage/v1/b/{BUCKET}/o"
    lines = [
        f'url = "{place}/{name.replace("/", "%2F")}?alt=media"\noutput = "{turn.folder}/{name.replace("/", "-")}"\n'
        for name in turn.names
    ]
    config = turn.folder / "config"
    config.write_text("".join(lines))
    command = ["curl", "-sf", "--parallel", "--parallel-max", _PARALLEL[turn.kind], "-K", str(config)]
    touch_memory(turn.folder, turn.size_bytes)
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"curl ended with {process.returncode}")
    return {"seconds": time.perf_counter() - start, "cpu_seconds": used.ru_utime + used.ru_stime}


def _library(client: str, turn: _Turn, folder: Path | None = None) -> Spent:
    command = [sys.executable, "-m", "benchmarks.fetch_clients", client, turn.server.url, str(turn.size_bytes)]
    said = subprocess.run(
        [*command, str(folder or turn.folder), str(turn.listed())],
        check=True,
        capture_output=True,
        timeout=_LONGEST_SECONDS,
        env={**os.environ, **_NO_GRPC},
    )
    spent: Spent = json.loads(said.stdout.splitlines()[-1])
    return spent


def _rclone(turn: _Turn) -> Spent:
    with _mount(turn) as (place, process):
        spent = _library("mounted", turn, place)
        return {**spent, "cpu_seconds": spent["cpu_seconds"] + cpu_seconds_of(process.pid)}


@contextlib.contextmanager
def _mount(turn: _Turn) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    place = turn.folder / "mount"
    place.mkdir()
    remote = f":http,url='{turn.server.url}/media/{BUCKET}':"
    command = ["rclone", "mount", remote, str(place), "--read-only", "--config", "/dev/null", "--cache-dir"]
    process = subprocess.Popen([*command, str(turn.folder / "rclone")], stderr=subprocess.DEVNULL)
    clock = SystemClock()
    end = clock.monotonic() + _MOUNT_SECONDS
    try:
        while not place.is_mount():
            if process.poll() is not None or clock.monotonic() > end:
                raise RuntimeError("rclone does not mount here; is FUSE allowed?")
            clock.sleep(0.02)
        yield place, process
    finally:
        subprocess.run(["fusermount3", "-u", str(place)], check=False, stderr=subprocess.DEVNULL)
        process.terminate()
        process.wait()


_CLIENTS: dict[str, Callable[[_Turn], Spent]] = {
    OURS: _ours,
    f"{OURS}, unplanned": _ours_unplanned,
    "curl": _curl,
    "google-cloud-storage": lambda turn: _library("google-cloud-storage", turn),
    "gcsfs": lambda turn: _library("gcsfs", turn),
    "rclone mount": _rclone,
    "bare": lambda turn: _library("bare", turn),
}
_SLOW = ("google-cloud-storage", "gcsfs", "rclone mount")


def _result(sizes: dict[str, tuple[int, int]], samples: dict[str, dict[str, list[Spent]]]) -> dict[str, Any]:
    raw: dict[str, dict[str, Any]] = {}
    for kind, clients in samples.items():
        count, size_bytes = sizes[kind]
        raw[kind] = {"objects": count, "size_bytes": size_bytes}
        for client, spent in clients.items():
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
    ratios["huge_to_large"] = round(raw["huge"][OURS]["mib_per_second"] / raw["large"][OURS]["mib_per_second"], 3)
    met = {name: ratios[name] >= target for name, target in TARGETS.items() if name in ratios}
    return {"ratios": ratios, "raw": raw, "targets": TARGETS, "met": met}


def table(result: dict[str, Any]) -> Table:
    """The same for people."""
    shown = Table(title="fetch (CPU: seconds per GiB, microseconds per object)")
    shown.add_column("")
    shown.add_column("client", min_width=21)
    for heading in ("MiB/s", "obj/s", "s/GiB", "µs/obj", "ours", "goal"):
        shown.add_column(heading, justify="right")
    for kind, entries in result["raw"].items():
        for client, entry in entries.items():
            if not isinstance(entry, dict):
                continue
            name = f"{kind}_to_{client}"
            ratio, target = result["ratios"].get(name), result["targets"].get(name)
            shown.add_row(
                kind,
                client,
                f"{entry['mib_per_second']:,.0f}",
                f"{entry['objects_per_second']:.0f}",
                f"{entry['cpu_seconds_per_gib']:.2f}",
                f"{entry['cpu_us_per_object']:.0f}",
                "" if ratio is None else f"{ratio:.2f}",
                "" if target is None else f"{target:g}",
            )
    if "huge_to_large" in result["ratios"]:
        ratio, target = result["ratios"]["huge_to_large"], result["targets"]["huge_to_large"]
        shown.add_row("huge", "to large, ours", "", "", "", "", f"{ratio:.2f}", f"{target:g}")
    return shown
