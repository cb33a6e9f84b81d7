"""What rendering from the view costs a renderer beside rendering from plain local files.

The example's shot, rendered by the stand-in in turns: from plain files with nothing of ours in the process (``plain``);
and from a warm cache by the filename filter and the render callbacks, its frames published. Then either the bucket
takes the frames only later (``view``), so that the renderer has the machine to itself as it has in the plain run, or it
takes them at once (``uploading``), and the agent's work on the other processors costs the renderer what any work there
does: shared caches and memory. What is compared is the processor time of the renderer alone, start-up taken off: a run
of the first frame only is subtracted from a run of all. (Wall time depends on what else the machine does; it is in
`raw`.)
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

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
from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.faults import Fault
from nuke_callbacks.client import Client

_WAYS = ("plain", "view", "uploading")
_SHOW = "/mnt/show"
_SIZES = {True: (1280, 720), False: plates.SIZE}


def compare(folder: Path, *, quick: bool) -> dict[str, float]:
    """CPU seconds that the frames behind the first take, by the ways above, each with a ``_wall`` too."""
    frames, rounds = (4, 3) if quick else (7, 9)
    show = ObjectUrl.parse((folder / "show").as_uri())
    spent: dict[str, list[float]] = {f"{way}{kind}": [] for way in _WAYS for kind in ("", "_wall")}
    later = Fault(kind="session", times=-1, action="stall")
    with FakeGcs(buckets=["later"], faults=[later]) as bucket, contextlib.ExitStack() as agents:
        shot = SmallShot(folder, show, frames, size=_SIZES[quick])
        shot.make_plates()
        nodes = {"uploading": _Node(shot, "uploading")}
        nodes["view"] = _Node(replace(shot, endpoint=bucket.url, out="gs://later/out"), "view")
        for node in nodes.values():
            agents.callback(node.start())
        for number in range(rounds + 1):
            for way in _WAYS if number % 2 else reversed(_WAYS):
                used = [_plain(shot, count) if way == "plain" else nodes[way].render(count) for count in (1, frames)]
                if number:  # the first round fills the caches
                    spent[way].append(used[1][0] - used[0][0])
                    spent[f"{way}_wall"].append(used[1][1] - used[0][1])
    return {key: statistics.median(samples) for key, samples in spent.items()}


class _Node:
    """An agent with a cache of its own."""

    def __init__(self, shot: SmallShot, name: str) -> None:
        self._shot = shot
        self._name = name

    def start(self) -> Callable[[], None]:
        """Gives what ends it. Frames that are still to be uploaded then are of no use to anybody."""
        settings = self._shot.settings(f"cache-{self._name}", lookahead=0)
        self._socket = ensure_running(Path(settings.cache.root), settings, SystemClock())
        with contextlib.closing(Client(str(self._socket), role="tool")) as client:
            client.connect()
            pid = int(client.stats()["agent"]["pid"])
        return lambda: os.kill(pid, signal.SIGKILL)

    def render(self, count: int) -> tuple[float, float]:
        """CPU and wall seconds of one renderer over `count` frames as a new job."""
        shot = replace(self._shot, frames=count)
        settings = shot.settings(f"cache-{self._name}", lookahead=0)
        submission = shot.submission(settings)
        request = _request(shot, submission, settings)
        with contextlib.closing(open_store(settings.store)) as store:
            home = submit(store, submission, SystemClock()).home
        variables = attempt_environment(Link(self._socket, home, 0, 1), request.frames)
        environment = renderer_environment(replace(request, environment={**request.environment, **variables}))
        return _timed(StandinRenderer().command(request), environment, shot.folder / f"{self._name}.log")


def _plain(shot: SmallShot, count: int) -> tuple[float, float]:
    """CPU and wall seconds of one renderer that reads and writes plain files."""
    shot = replace(shot, frames=count)
    settings = shot.settings("cache-plain", lookahead=0)
    request = _request(shot, shot.submission(settings), settings)
    plain = shot.folder / "plain.nk"
    text = request.script.read_text(encoding="utf-8").replace(f"{_SHOW}/sh010/out", str(shot.folder / "plain-out"))
    plain.write_text(text.replace(_SHOW, str(shot.folder / "show")))
    request = replace(request, script=plain, plugin_path=())
    return _timed(StandinRenderer().command(request), renderer_environment(request), shot.folder / "plain.log")


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


def _timed(command: list[str], environment: Mapping[str, str], log: Path) -> tuple[float, float]:
    began = time.perf_counter()
    with log.open("wb") as said:
        process = subprocess.Popen(command, env=dict(environment), stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[2]} ended with {process.returncode}: {log.read_text()[-1000:]}")
    return used.ru_utime + used.ru_stime, time.perf_counter() - began
