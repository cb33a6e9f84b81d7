"""Each client of `fetch`, once, from an empty folder: see fetch.py for what they are and how they take turns."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bucket_server import BUCKET, BucketServer
from benchmarks.fetch_clients import touch_memory
from benchmarks.node import SHOW, cpu_seconds_of, running_agent, submit
from jit_render.model.clock import SystemClock
from jit_render.model.identity import ObjectInfo
from nuke_callbacks.client import Client

OURS = "jit-render"
_PARALLEL = {"large": "8", "small": "50", "far": "50", "tls": "8", "huge": "1", "pieces": "8"}
_MOUNT_SECONDS = 20.0
_LONGEST_SECONDS = 300.0
_NO_GRPC = {"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}  # it would ask an endpoint that nginx does not serve


@dataclass(frozen=True)
class Turn:
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


def is_here(client: str) -> bool:
    needs = {"curl": ["curl"], "rclone mount": ["rclone", "fusermount3"]}.get(client, [])
    return all(map(shutil.which, needs)) and (client != "rclone mount" or Path("/dev/fuse").exists())


def take(client: str, turn: Turn) -> Spent:
    turn.folder.mkdir()
    turn.server.read_all(turn.kind)
    os.sync()
    try:
        return CLIENTS[client](turn)
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


def _ours(turn: Turn, *, planned: bool = True) -> Spent:
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


def _ours_unplanned(turn: Turn) -> Spent:
    return _ours(turn, planned=False)


def _curl(turn: Turn) -> Spent:
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


def _library(client: str, turn: Turn, folder: Path | None = None) -> Spent:
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


def _rclone(turn: Turn) -> Spent:
    with _mount(turn) as (place, process):
        spent = _library("mounted", turn, place)
        return {**spent, "cpu_seconds": spent["cpu_seconds"] + cpu_seconds_of(process.pid)}


@contextlib.contextmanager
def _mount(turn: Turn) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
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


CLIENTS: dict[str, Callable[[Turn], Spent]] = {
    OURS: _ours,
    f"{OURS}, unplanned": _ours_unplanned,
    "curl": _curl,
    "google-cloud-storage": lambda turn: _library("google-cloud-storage", turn),
    "gcsfs": lambda turn: _library("gcsfs", turn),
    "rclone mount": _rclone,
    "bare": lambda turn: _library("bare", turn),
    "disk": lambda turn: _library("disk", turn),
}
