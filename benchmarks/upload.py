"""Rendered frames on their way to the bucket: how long the renderer waits, and how fast they go.

Frames are files of random bytes at the places that the agent gives, written before the clock starts, as a renderer
writes them. *Reply*: each `publish` is timed alone, right after its frame was written, while those before it are
uploaded; beside it, by turns before and after, the *bare* steps that a reply stands for, in a process that does nothing
else (upload_bare.py); the reply where nothing is uploaded meanwhile; and, as the worst there can be, all frames at
once. *Rate*: from the first of these to the end of `drain`, when all are uploaded, verified and committed; beside it
``curl -T`` of the same number of files to the same server (see upload_server.py), as many at once, in turns. *Bound*:
with room for four frames in the spool, how much it ever holds, and that all frames arrive all the same.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.node import OUT, Agent, running_agent, submit
from benchmarks.upload_bare import running_bare
from nuke_callbacks.client import Client

MIB = 2**20
FRAME_BYTES = 25 * MIB
RATE_TARGET = 0.9
REPLY_TARGET = 5.0  # milliseconds
UPLOADERS = 4
_BOUND_FRAMES = 4


def measure(*, quick: bool) -> dict[str, Any]:
    """MiB/s, milliseconds, CPU seconds per GiB; `ratios` of ours to curl's rate."""
    frames, rounds, paced = (12, 3, 12) if quick else (40, 7, 30)
    ours: list[dict[str, Any]] = []
    curls: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="jit-render-bench-", dir="/var/tmp") as name, _server() as url:
        for number in range(rounds):
            for client in ("jit-render", "curl") if number % 2 else ("curl", "jit-render"):
                turn = Path(name) / f"{client}-{number}"
                if client == "curl":
                    curls.append(_curl(turn, url, frames))
                else:
                    ours.append(_ours(turn, url, frames, paced))
                _empty(turn)
        bound = _ours(Path(name) / "bound", url, frames, paced, spool_limit=_BOUND_FRAMES * FRAME_BYTES)
    raw: dict[str, Any] = {}
    for key in ("reply_ms", "bare_ms", "reply_idle_ms", "reply_at_once_ms"):
        replies = [reply for one in ours for reply in one[key]]
        cuts = statistics.quantiles(replies, n=100)
        raw[key] = {"median": round(statistics.median(replies), 3), "p99": round(cuts[98], 3)}
    for client, spent in (("jit-render", ours), ("curl", curls)):
        seconds = statistics.median(float(one["seconds"]) for one in spent)
        cpu = statistics.median(float(one["cpu_seconds"]) for one in spent)
        gib = frames * FRAME_BYTES / 2**30
        rate = {"mib_per_second": round(1024 * gib / seconds, 1), "cpu_seconds_per_gib": round(cpu / gib, 3)}
        raw[client] = {**rate, "seconds": [round(float(one["seconds"]), 4) for one in spent]}
    raw["bound"] = {"limit_bytes": _BOUND_FRAMES * FRAME_BYTES, "most_bytes": bound["most_bytes"]}
    ratio = round(raw["jit-render"]["mib_per_second"] / raw["curl"]["mib_per_second"], 3)
    return {
        "frames": frames,
        "ratios": {"rate_to_curl": ratio},
        "raw": raw,
        "targets": {"rate_to_curl": RATE_TARGET, "reply_ms": REPLY_TARGET},
        "met": {
            "rate": ratio >= RATE_TARGET,
            "reply": raw["reply_ms"]["median"] < REPLY_TARGET,
            "reply_p99": raw["reply_ms"]["p99"] < REPLY_TARGET,
            "bounded": bound["most_bytes"] <= (_BOUND_FRAMES + 1) * FRAME_BYTES,  # one is taken in, then waits
        },
    }


def table(result: dict[str, Any]) -> Table:
    """The same for people."""
    raw, targets = result["raw"], result["targets"]
    shown = Table("", "measured", "target", title=f"upload of {result['frames']} frames of 25 MiB")
    for client in ("jit-render", "curl"):
        entry = raw[client]
        shown.add_row(client, f"{entry['mib_per_second']:.0f} MiB/s, {entry['cpu_seconds_per_gib']:.2f} CPU s/GiB", "")
    shown.add_row("ours to curl's", f"x {result['ratios']['rate_to_curl']:.2f}", f">= {targets['rate_to_curl']:g}")
    for key in ("median", "p99"):
        shown.add_row(f"reply to publish, {key}", f"{raw['reply_ms'][key]:.2f} ms", f"< {targets['reply_ms']:g}")
    bare = raw["bare_ms"]
    shown.add_row("the disk's part alone, median, p99", f"{bare['median']:.2f}, {bare['p99']:.2f} ms", "")
    for key, said in (("reply_idle_ms", "nothing uploaded meanwhile"), ("reply_at_once_ms", "all at once")):
        shown.add_row(f"{said}, median, p99", f"{raw[key]['median']:.2f}, {raw[key]['p99']:.2f} ms", "")
    bound = raw["bound"]
    most, limit = bound["most_bytes"] / MIB, bound["limit_bytes"] / MIB
    shown.add_row("most in the spool", f"{most:.0f} MiB", f"{limit:.0f} and a frame")
    return shown


def _ours(folder: Path, url: str, frames: int, paced_frames: int, spool_limit: int = 0) -> dict[str, Any]:
    job = submit(folder, "gs://bench", "gs://bench-out")
    settings: dict[str, dict[str, Any]] = {"store": {"endpoint": url}, "cache": {"uploaders": UPLOADERS}}
    if spool_limit:
        settings["cache"]["spool_limit"] = spool_limit
    replies: list[float] = []
    most = 0
    paced: list[float] = []
    bare: list[float] = []
    idle: list[float] = []
    with running_agent(folder / "cache", settings) as agent, running_bare(folder / "bare") as alone:
        client = Client(str(agent.socket), job)
        _write_one(client, 2 * paced_frames)
        _publish_one(client, 2 * paced_frames)
        client.drain()  # loads what the agent loads at its first use of a bucket
        for number in range(frames):
            (place,) = client.begin_frame(f"Write{number}", 1, [["main", _output(number)]])
            _write(Path(place))
        os.sync()
        cpu, own, start = agent.cpu_seconds(), time.process_time(), time.perf_counter()
        for number in range(frames):
            asked = time.perf_counter()
            client.publish(f"Write{number}", 1, [["main", _output(number)]])
            replies.append((time.perf_counter() - asked) * 1000)
            if spool_limit:
                most = max(most, client.stats()["agent"]["spool_bytes"])
        client.drain()
        seconds = time.perf_counter() - start
        cpu = agent.cpu_seconds() - cpu + time.process_time() - own
        for number in range(paced_frames):
            _write_one(client, number)
            if number % 2:
                bare.append(alone.ask())
            paced.append(_publish_one(client, number))
            if not number % 2:
                bare.append(alone.ask())
        for number in range(paced_frames, 2 * paced_frames):
            _write_one(client, number)
            client.drain()
            idle.append(_publish_one(client, number))
        committed, failed = client.drain()
        client.close()
        _check(agent, committed, failed, frames + 1 + 2 * paced_frames)
    replied = {"reply_ms": paced, "bare_ms": bare, "reply_idle_ms": idle, "reply_at_once_ms": replies}
    return {"seconds": seconds, "cpu_seconds": cpu, "most_bytes": most} | replied


def _write_one(client: Client, number: int) -> None:
    """A frame, as a renderer writes it."""
    (place,) = client.begin_frame("Paced", number, _paced(number))
    _write(Path(place))


def _publish_one(client: Client, number: int) -> float:
    """Milliseconds until the reply."""
    asked = time.perf_counter()
    client.publish("Paced", number, _paced(number))
    return (time.perf_counter() - asked) * 1000


def _paced(number: int) -> list[list[str]]:
    return [["main", f"{OUT}/paced.{number:04}.dpx"]]


def _check(agent: Agent, committed: list[list[Any]], failed: list[list[str]], frames: int) -> None:
    if failed or len(committed) != frames:
        raise RuntimeError(f"process {agent.process.pid}: {len(committed)} of {frames} frames arrived; {failed[:1]}")


def _curl(folder: Path, url: str, frames: int) -> dict[str, float]:
    folder.mkdir()
    lines = []
    for number in range(frames):
        _write(folder / f"{number}")
        lines.append(f'url = "{url}/plain/{number}"\nupload-file = "{folder}/{number}"\noutput = /dev/null\n')
    config = folder / "config"
    config.write_text("".join(lines))
    os.sync()
    start = time.perf_counter()
    command = ["curl", "-sf", "--parallel", "--parallel-max", str(UPLOADERS), "-K", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"curl ended with {process.returncode}")
    return {"seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime}


def _empty(folder: Path) -> None:
    """Free the disk of a turn's bytes. The names stay: without a journal, ext4 makes files slowly after many went."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o600)
            os.truncate(path, 0)


def _output(number: int) -> str:
    return f"{OUT}/frame.{number:04}.dpx"


def _write(path: Path) -> None:
    block = os.urandom(MIB)
    with path.open("wb", buffering=0) as file:
        for _ in range(FRAME_BYTES // MIB):
            file.write(block)


@contextmanager
def _server() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.upload_server"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()
