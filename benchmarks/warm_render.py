"""What rendering from the view costs a renderer beside rendering from plain local files.

The example's shot, rendered by the stand-in twice in turns: from plain files with nothing of ours in the process; and
from a warm cache by the filename filter and the render callbacks, its frames published. What is compared is the
processor time of the renderer alone, start-up taken off: a run of the first frame only is subtracted from a run of all.
(Wall time depends on what else the machine does; it is in `raw`. The agent works meanwhile, on time that is its own.)
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks.small_shot import SmallShot
from examples.shot import plates
from jit_render.agent import ensure_running
from jit_render.farm.stage import attempt_environment, renderer_request
from jit_render.farm.submit import submit
from jit_render.farm.watch import Link
from jit_render.model.clock import SystemClock
from jit_render.model.identity import ObjectUrl
from jit_render.render.nuke import renderer_environment
from jit_render.render.standin_renderer import StandinRenderer
from jit_render.store import open_store
from nuke_callbacks.client import Client

_SHOW = "/mnt/show"
_SIZES = {True: (1280, 720), False: plates.SIZE}


def compare(folder: Path, *, quick: bool) -> dict[str, float]:
    """CPU seconds that the frames behind the first take, ``plain`` and ``view``, and the same with ``_wall``."""
    frames, rounds = (4, 3) if quick else (7, 9)
    show = ObjectUrl.parse((folder / "show").as_uri())
    shot = SmallShot(folder, show, frames, size=_SIZES[quick])
    shot.make_plates()
    spent: dict[str, list[float]] = {"plain": [], "view": [], "plain_wall": [], "view_wall": []}
    settings = shot.settings("cache-render", lookahead=0)
    socket = ensure_running(Path(settings.cache.root), settings, SystemClock())
    for number in range(rounds + 1):
        for way in ("plain", "view") if number % 2 else ("view", "plain"):
            used = [_run(shot, way, socket, count) for count in (1, frames)]
            if number:  # the first round fills the cache
                spent[way].append(used[1][0] - used[0][0])
                spent[f"{way}_wall"].append(used[1][1] - used[0][1])
    client = Client(str(socket), role="tool")
    client.connect()
    pid = int(client.stats()["agent"]["pid"])
    client.close()
    os.kill(pid, 15)
    return {key: statistics.median(samples) for key, samples in spent.items()}


def _run(shot: SmallShot, way: str, socket: Path, count: int) -> tuple[float, float]:
    """CPU and wall seconds of one renderer over `count` frames."""
    frames = tuple(range(plates.FIRST, plates.FIRST + count))
    settings = replace(shot, frames=count).settings("cache-render", lookahead=0)
    submission = replace(shot, frames=count).submission(settings)
    script = shot.folder / "shot.nk"
    request = renderer_request(
        submission.spec, settings.render, script=script, frames=frames, scratch=shot.folder / "scratch"
    )
    request.scratch.mkdir(exist_ok=True)
    if way == "view":
        with contextlib.closing(open_store(settings.store)) as store:
            home = submit(store, submission, SystemClock()).home
        variables = attempt_environment(Link(socket, home, 0, 1), frames)
        environment = renderer_environment(replace(request, environment={**request.environment, **variables}))
    else:
        plain = shot.folder / "plain.nk"
        text = script.read_text(encoding="utf-8").replace(f"{_SHOW}/sh010/out", str(shot.folder / "plain-out"))
        plain.write_text(text.replace(_SHOW, str(shot.folder / "show")))
        request = replace(request, script=plain, plugin_path=())
        environment = renderer_environment(request)
    return _timed(StandinRenderer().command(request), environment, shot.folder / f"{way}.log")


def _timed(command: list[str], environment: Mapping[str, str], log: Path) -> tuple[float, float]:
    began = time.perf_counter()
    with log.open("wb") as said:
        process = subprocess.Popen(command, env=dict(environment), stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[2]} ended with {process.returncode}: {log.read_text()[-1000:]}")
    return used.ru_utime + used.ru_stime, time.perf_counter() - began
