"""What rendering from the view costs a renderer beside rendering from plain local files.

The example's shot, rendered by the stand-in in turns: from plain files with nothing of ours in the process (``plain``);
and from a warm cache by the filename filter and the render callbacks, its frames published (``view``). What is compared
is the processor time of the renderer alone, start-up taken off: a run of the first frame only is subtracted from a run
of all. The agent works meanwhile on the other processors, which costs the renderer what any work there does.

On a machine that is shared, two such runs differ by more than what is looked for. So the second way is also looked at
from within: how much of the renderer's processor time is spent inside our callbacks (``hooks``; see hook_meter.py).
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import hook_meter
from benchmarks.small_shot import SmallShot
from examples.shot import plates
from jit_render.agent import ensure_running
from jit_render.farm.stage import attempt_environment, renderer_request
from jit_render.farm.submit import Submission, submit
from jit_render.farm.watch import Link
from jit_render.model.clock import SystemClock
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import Settings
from jit_render.render.nuke import renderer_environment
from jit_render.render.port import RenderRequest
from jit_render.render.standin_renderer import StandinRenderer
from jit_render.store import open_store
from nuke_callbacks.client import Client

_SHOW = "/mnt/show"
_KEPT = ("plain", "view", "plain_wall", "view_wall", "hooks", "after_frame")
_SIZES = {True: (1280, 720), False: plates.SIZE}


@dataclass(frozen=True)
class _Spent:
    """Seconds of one renderer; ``hooks`` of its ``cpu``, ``after_frame`` of its ``wall`` for each frame and Write."""

    cpu: float
    wall: float
    hooks: float = 0.0
    after_frame: tuple[float, ...] = ()


def compare(folder: Path, *, quick: bool) -> dict[str, list[float]]:
    """Seconds that the frames behind the first take, in each round: ``plain``, ``view``, both ``_wall``, ``hooks``.

    And ``after_frame``: how long each of their ``afterFrameRender`` took.
    """
    frames, rounds = (4, 3) if quick else (7, 9)
    shot = SmallShot(folder, ObjectUrl.parse((folder / "show").as_uri()), frames, size=_SIZES[quick])
    shot.make_plates()
    spent: dict[str, list[float]] = {name: [] for name in _KEPT}
    settings = shot.settings("cache-render", lookahead=0)
    socket = ensure_running(Path(settings.cache.root), settings, SystemClock())
    turns = random.Random(0)
    for number in range(rounds + 1):
        for way in turns.sample(("plain", "view"), 2):
            one, many = (_plain(shot, count) if way == "plain" else _view(shot, socket, count) for count in (1, frames))
            if number:  # the first round fills the cache
                spent[way].append(many.cpu - one.cpu)
                spent[f"{way}_wall"].append(many.wall - one.wall)
                if way == "view":
                    spent["hooks"].append(many.hooks - one.hooks)
                    spent["after_frame"] += many.after_frame[len(one.after_frame) :]
    with contextlib.closing(Client(str(socket), role="tool")) as client:
        client.connect()
        os.kill(int(client.stats()["agent"]["pid"]), signal.SIGTERM)
    return spent


def _plain(shot: SmallShot, count: int) -> _Spent:
    """From plain files to plain files."""
    shutil.rmtree(shot.folder / "plain-out", ignore_errors=True)  # a new job's frames replace nothing, either
    shot = replace(shot, frames=count)
    settings = shot.settings("cache-render", lookahead=0)
    request = _request(shot, shot.submission(settings), settings)
    plain = shot.folder / "plain.nk"
    text = request.script.read_text(encoding="utf-8").replace(f"{_SHOW}/sh010/out", str(shot.folder / "plain-out"))
    plain.write_text(text.replace(_SHOW, str(shot.folder / "show")))
    request = replace(request, script=plain, plugin_path=())
    return _timed(StandinRenderer().command(request), renderer_environment(request), shot.folder / "plain.log")


def _view(shot: SmallShot, socket: Path, count: int) -> _Spent:
    """From the cache to the spool, as a new job."""
    shot = replace(shot, frames=count)
    settings = shot.settings("cache-render", lookahead=0)
    submission = shot.submission(settings)
    request = _request(shot, submission, settings)
    with contextlib.closing(open_store(settings.store)) as store:
        home = submit(store, submission, SystemClock()).home
    said = shot.folder / "hooks"
    request = replace(
        request,
        plugin_path=(hook_meter.folder_in(shot.folder), *request.plugin_path),
        environment={
            **request.environment,
            **attempt_environment(Link(socket, home, 0, 1), request.frames),
            hook_meter.VARIABLE: str(said),
        },
    )
    spent = _timed(StandinRenderer().command(request), renderer_environment(request), shot.folder / "view.log")
    told = hook_meter.read(said)
    return replace(spent, hooks=told.cpu, after_frame=tuple(told.after_frame))


def _request(shot: SmallShot, submission: Submission, settings: Settings) -> RenderRequest:
    request = renderer_request(
        submission.spec,
        settings.render,
        script=shot.folder / "shot.nk",
        frames=tuple(range(plates.FIRST, plates.FIRST + shot.frames)),
        scratch=shot.folder / "scratch",
    )
    request.scratch.mkdir(exist_ok=True)
    return request


def _timed(command: list[str], environment: Mapping[str, str], log: Path) -> _Spent:
    began = time.perf_counter()
    with log.open("wb") as said:
        process = subprocess.Popen(command, env=dict(environment), stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[2]} ended with {process.returncode}: {log.read_text()[-1000:]}")
    return _Spent(used.ru_utime + used.ru_stime, time.perf_counter() - began)
