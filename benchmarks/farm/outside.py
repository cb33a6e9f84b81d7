"""Start the farm in namespaces of its own, show how far it is, and leave nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import IO, Any

from benchmarks import isolated
from benchmarks.farm.values import Result, Setting

PREFIX = "jit-render-farm-"

_MEGABIT = 1e6
FULL = Setting(
    hosts=(1, 2, 4, 8),
    frames_per_host=12,
    shot_frames=96,
    layers=4,
    width=512,
    height=256,
    compute_seconds=0.8,
    host_bits_per_second=50 * _MEGABIT,
    filer_bits_per_second=100 * _MEGABIT,
    # An n2d-standard-8 sends 16 Gbit/s, a filer on an n2d-standard-16 32 Gbit/s: both divided by the same number.
    scale=320,
    lookahead=4,
    copy_all_hosts=(1, 2, 4, 8),
)
QUICK = replace(FULL, hosts=(1, 4), frames_per_host=5, shot_frames=24, copy_all_hosts=(4,))

THROUGHPUT_TARGET = {1: 1.3, 8: 3.0}
"""By hosts: how many times as many frames an hour the better of jit-prefetch and jit-warm renders as gluster."""
_PREPARED = ("jit-prefetch", "jit-warm")


class FarmFailed(RuntimeError):
    """The farm's own process failed; says its last words."""


def run(*, quick: bool, setting: Setting | None = None, only: Sequence[str] = ()) -> dict[str, Any]:
    """Measure; what `values.Result` says, and the ratios that the project holds itself to."""
    setting = replace(setting or (QUICK if quick else FULL), shaped=isolated.has_namespaces())
    result = measure(setting, only)
    return {**result.to_json(), **judge(result)}


def measure(setting: Setting, only: Sequence[str] = ()) -> Result:
    """Raises FarmFailed."""
    isolated.remove_leftovers(PREFIX)
    with isolated.locked_folder(PREFIX) as folder, (folder / "farm.log").open("wb") as log:
        process = subprocess.Popen(
            isolated.command("benchmarks.farm.inside", str(folder), alone=setting.shaped),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            preexec_fn=isolated.die_with(os.getpid()),  # noqa: PLW1509 - this process has one thread yet
        )
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps({**asdict(setting), "systems": list(only)}) + "\n")
            process.stdin.flush()
            document = _follow(process.stdout)
        finally:
            process.kill()  # of `unshare`, whose end ends the whole namespace
            process.communicate()
        if document is None:
            words = " ".join((folder / "farm.log").read_text(errors="replace")[-1500:].split())
            raise FarmFailed(f"the farm ended early: {words}")
    return Result.of_json(document)


def judge(result: Result) -> dict[str, Any]:
    """Issue's second line: jit against gluster by hosts, hosts against one host, and the plan held."""
    ratios: dict[str, float] = {}
    targets: dict[str, float] = {}
    for hosts in result.setting.hosts:
        against = [ratio for name in _PREPARED if (ratio := result.ratio(name, "gluster", hosts)) is not None]
        if against:
            ratios[f"jit_to_gluster_{hosts}"] = round(max(against), 3)
            if hosts in THROUGHPUT_TARGET:
                targets[f"jit_to_gluster_{hosts}"] = THROUGHPUT_TARGET[hosts]
    held = [run.plan_held for run in result.runs if run.plan_held is not None]
    met = {name: ratios[name] >= target for name, target in targets.items()}
    met["frames_equal"] = all(run.frames_equal for run in result.runs)
    met["fetched_as_planned"] = all(held)
    return {"ratios": ratios, "targets": targets, "met": met}


def _follow(lines: IO[str]) -> dict[str, Any] | None:
    """Show progress on a terminal until the result comes; None where it never does."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("starting", total=None)
        for line in lines:
            message = json.loads(line)
            if "result" in message:
                found: dict[str, Any] = message["result"]
                return found
            progress.update(task, description=message["doing"], completed=message["done"], total=message["of"])
    return None
