"""The shot on nodes that live as long as a Spot law says: real workers, agents and renderers, really killed.

A node is a worker, its agent and its cache. When its life is over all of that goes at once, without a notice, which
is the worst that Spot does; a new node with an empty cache takes its place. Tasks go to the first node that is free,
as every engine deals them out.
"""

from __future__ import annotations

import contextlib
import os
import queue
import random
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.simulate.spot import Law, lifetime
from benchmarks.small_shot import SmallShot
from jit_render.farm.records import JobReader
from jit_render.farm.slot import Said, WorkerProcess, kill_node
from jit_render.farm.submit import submit
from jit_render.farm.task_records import TaskRecords
from jit_render.model.clock import SystemClock
from jit_render.model.job import FailureClass
from jit_render.model.settings import Settings
from jit_render.store import open_store

SECONDS_PER_FRAME = 0.4
DAY_SECONDS = 1.0
"""What stands for a day: so short that 15 % a day takes several nodes of a job of ten seconds."""
_POLL_SECONDS = 0.05
_SLOW = "JIT_RENDER_STANDIN_SECONDS_PER_FRAME"


@dataclass
class _Node:
    settings: Settings
    ends: float
    worker: WorkerProcess | None = None
    frames: tuple[int, ...] = ()


@dataclass
class _Farm:
    """One run of one job."""

    reader: JobReader
    records: TaskRecords
    nodes: list[_Node]
    law: Law
    per_day: float
    dice: random.Random
    tasks: deque[tuple[int, tuple[int, ...]]]
    inbox: queue.SimpleQueue[Said] = field(default_factory=queue.SimpleQueue)
    preemptions: int = 0
    noticing: list[float] = field(default_factory=list)
    """Seconds from the end of a node that worked until its attempt was closed."""

    def go(self) -> None:
        """Until every frame is done."""
        while self.tasks or any(node.worker for node in self.nodes):
            now = time.monotonic()
            for node in self.nodes:
                if now >= node.ends:
                    self._take(node, now)
                if node.worker is None and self.tasks:
                    self._start(node, *self.tasks.popleft())
            with contextlib.suppress(queue.Empty):
                self._hear(self.inbox.get(timeout=_POLL_SECONDS))

    def life(self, now: float) -> float:
        """When a node that begins now will be taken."""
        return now + lifetime(self.law, self.per_day, self.dice) * DAY_SECONDS / 86_400

    def _start(self, node: _Node, task: int, frames: tuple[int, ...]) -> None:
        number = self.records.next_attempt(task)
        assert number is not None  # nobody else renders this job
        node.frames = frames
        home = self.reader.paths.home
        node.worker = WorkerProcess(home, task=task, attempt=number, settings=node.settings, inbox=self.inbox)

    def _take(self, node: _Node, now: float) -> None:
        """The node is gone; what is left of its task is the next to be dealt out."""
        self.preemptions += 1
        if node.worker is not None:
            node.worker.kill()
            node.worker.wait(10.0)
        kill_node(Path(node.settings.cache.root))
        if node.worker is not None:
            self._end(node, node.worker)
            self.noticing.append(time.monotonic() - now)
        node.ends = self.life(now)

    def _hear(self, said: Said) -> None:
        node = next((node for node in self.nodes if node.worker is said.worker), None)
        if node is None:
            return
        if said.exit_code is not None:
            self._end(node, said.worker)
        elif said.event is not None and said.event.get("event") == "frame":
            said.worker.begun.append(said.event["frame"])

    def _end(self, node: _Node, worker: WorkerProcess) -> None:
        for attempt in self.reader.attempts(worker.task):
            if attempt.attempt == worker.attempt and attempt.ended is None:
                self.records.end(attempt, FailureClass.PREEMPTED, "preempted: the node is gone.", worker.begun)
        left = self.reader.missing(node.frames)
        if left:
            self.tasks.appendleft((worker.task, left))
        node.worker = None


def render(shot: SmallShot, *, law: Law, per_day: float, chunk: int, nodes: int, seed: int) -> dict[str, Any]:
    """One job; its wall and busy seconds, what was lost, and the longest of what a preemption may cost."""
    clock = SystemClock()
    settings = shot.settings("unused")
    store = open_store(settings.store)
    with contextlib.closing(store), _slowed():
        home = submit(store, shot.submission(settings, chunk=chunk), clock).home
        reader = JobReader(store, home)
        tasks = deque(enumerate(reader.spec().tasks()))
        farm = _Farm(reader, TaskRecords(store, clock, reader), [], law, per_day, random.Random(seed), tasks)
        began = time.monotonic()
        farm.nodes = [_Node(shot.settings(f"cache-{number}"), farm.life(began)) for number in range(nodes)]
        try:
            farm.go()
            wall = time.monotonic() - began
        finally:
            for node in farm.nodes:
                if node.worker is not None:
                    node.worker.kill()
                kill_node(Path(node.settings.cache.root))
        told = {"chunk": chunk, "wall_seconds": wall, "preemptions": farm.preemptions}
        return {**told, "longest_notice": max(farm.noticing, default=0.0), **_counted(reader)}


def _counted(reader: JobReader) -> dict[str, Any]:
    """Seconds of all attempts by what they went to: frames that count, and what each attempt took beyond its own."""
    attempts = reader.attempts()
    spec = reader.spec()
    if reader.missing():
        raise RuntimeError(f"{reader.paths.job_id}: frames are missing at the end")
    commits = reader.commit_records([key for frame in spec.frame_set for key in spec.commits(frame)])
    slowest: dict[tuple[tuple[int, int], int, str], float] = {}
    for key, record in commits.items():
        slot = ((record.task, record.attempt), key.frame, key.write)
        slowest[slot] = max(slowest.get(slot, 0.0), record.render_seconds)
    own: dict[tuple[int, int], float] = {}
    frames: dict[int, float] = {}
    for (attempt, frame, _), seconds in slowest.items():
        own[attempt] = own.get(attempt, 0.0) + seconds
        frames[frame] = frames.get(frame, 0.0) + seconds
    spent = {(one.task, one.attempt): (one.ended or one.heartbeat) - one.started for one in attempts}
    beyond = {key: seconds - own.get(key, 0.0) for key, seconds in spent.items()}
    cut = {(one.task, one.attempt) for one in attempts if one.failure is FailureClass.PREEMPTED}
    return {
        "attempts": len(attempts),
        "busy_seconds": sum(spent.values()),
        "useful_seconds": sum(own.values()),
        "frames_lost": sum(attempt.frames_lost for attempt in attempts),
        "longest_frame": max(frames.values()),
        "cut": len(cut),
        "cut_seconds": sum(beyond[key] for key in cut),
        "longest_start": max((seconds for key, seconds in beyond.items() if key not in cut), default=0.0),
    }


@contextlib.contextmanager
def _slowed() -> Iterator[None]:
    before = os.environ.get(_SLOW)
    os.environ[_SLOW] = str(SECONDS_PER_FRAME)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SLOW]
        else:
            os.environ[_SLOW] = before
