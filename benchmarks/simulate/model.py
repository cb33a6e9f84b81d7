"""The farm as a SimPy model: nodes that take chunks of frames, lines that they share, and Spot that takes nodes.

A node boots, copies (copy-all), then takes chunk after chunk from one queue until it is empty: start the renderer, and
for each frame read, compute, write. What differs between the systems is only where bytes come from and what waits:

=========  ================================================  =================================
system     a frame's input                                   a frame's output
=========  ================================================  =================================
gluster    over the filer's one line, before computing       over that line, before the next
copy-all   the whole show at first, over the node's line;    the node's line, before the next
           then from its disk
rclone     the node's line, before computing                 behind the next frame's computing
jit-cold   as rclone                                         as rclone
jit        fetched while frames before it are computed, as   as rclone
           many as `lookahead` ahead
=========  ================================================  =================================

Lines to the object store are a node's own; what nodes share there is the bucket's request rate, which doubles at
most every twenty minutes. A node that is taken loses its frame in hand and its cache; the frames of its chunk that
are left go back to the queue's head, a new node boots in its place.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Generator
from typing import Any

import simpy

from benchmarks.simulate.link import SharedLine
from benchmarks.simulate.spot import lifetime
from benchmarks.simulate.values import Outcome, Spent, System, World

Steps = Generator[simpy.Event, Any, Any]


def run(system: System, world: World, seed: int) -> Outcome:
    """One job from the first boot to the last output. The same seed gives the same frames and the same lost nodes."""
    farm = _Farm(system, world, seed)
    farm.env.run(until=farm.env.all_of(farm.slots))
    spent, filer, bucket = farm.spent, farm.filer.carried, farm.bucket_bytes
    return Outcome(
        system,
        world.nodes,
        world.load.frames,
        farm.env.now,
        spent,
        farm.preemptions,
        farm.frames_lost,
        filer if system == "gluster" else 0.0,
        bucket,
        farm.bucket_reads,
        max(farm.compute, default=0.0),
    )


class _Farm:
    """All that is shared, and the count of what happened."""

    def __init__(self, system: System, world: World, seed: int) -> None:
        load, service = world.load, world.service
        self.env = simpy.Environment()
        self.system = system
        self.world = world
        self.dice = random.Random(f"{seed}/{world.nodes}")
        self.compute = _compute_seconds(load.frames, load.compute_seconds, load.spread, random.Random(seed))
        self.chunks = _chunks(load.frames, world.node.chunk)
        self.filer = SharedLine(self.env, service.filer_bandwidth, world.node.filer_bandwidth)
        self.requests = SharedLine(self.env, service.bucket_requests, math.inf, self._bucket_rate)
        self.spent = Spent()
        self.preemptions = 0
        self.frames_lost = 0
        self.bucket_bytes = 0.0
        self.bucket_reads = 0.0
        self.slots = [self.env.process(self._slot()) for _ in range(world.nodes)]

    def _bucket_rate(self, now: float) -> float:
        service = self.world.service
        return float(service.bucket_requests * 2 ** int(now / service.bucket_doubling_seconds))

    def _slot(self) -> Steps:
        """A node, and those that take its place."""
        first = True
        while self.chunks or first:
            first = False
            spot = self.world.spot
            life = lifetime(spot.law, spot.per_day, self.dice) / spot.faster
            node = _NodeLife(self)
            working = self.env.process(node.work())
            if math.isinf(life):
                yield working
            else:
                yield working | self.env.timeout(life)
            if not working.triggered:
                working.interrupt()
                yield working
                self.preemptions += 1
                yield self.env.timeout(spot.replace_seconds)


class _NodeLife:
    """One instance from its boot to its end."""

    def __init__(self, farm: _Farm) -> None:
        self.farm = farm
        self.env = farm.env
        self.spent = Spent()
        self.has_shared = False
        self._doing = "boot"
        self._since = self.env.now
        self._frame_began = self.env.now
        self._frame_cost = (0.0, 0.0)
        self._hand: deque[int] = deque()
        self._transfers: list[tuple[SharedLine, int]] = []
        self._uploaded_at = 0.0

    def work(self) -> Steps:
        """Until the queue is empty or the node is taken."""
        try:
            yield from self._booted()
            while self.farm.chunks:
                yield from self._chunk(self.farm.chunks.popleft())
        except simpy.Interrupt:
            self._was_taken()
        finally:
            _add(self.farm.spent, self.spent)

    def _booted(self) -> Steps:
        node, load = self.farm.world.node, self.farm.world.load
        yield self._spend("boot", node.boot_seconds)
        self._settle()
        if self.farm.system == "copy-all":
            self._begin("copy")
            yield from self._from_bucket(load.show_bytes, load.show_bytes / max(1.0, load.frame_bytes))
            self._settle()

    def _chunk(self, frames: list[int]) -> Steps:
        self._hand = deque(frames)
        yield self._spend("start", self.farm.world.node.start_seconds)
        self._settle()
        ahead = _Ahead(self, frames) if self.farm.system == "jit" else None
        try:
            while self._hand:
                self._frame_began, self._frame_cost = self.env.now, (self.spent.compute, self.spent.wait)
                yield from self._frame(self._hand[0], ahead)
                self._hand.popleft()
            yield self._spend("wait", max(0.0, self._uploaded_at - self.env.now))
            self._settle()
        finally:
            if ahead is not None:
                ahead.stop()

    def _frame(self, frame: int, ahead: _Ahead | None) -> Steps:
        load, system = self.farm.world.load, self.farm.system
        self._begin("wait")
        if ahead is not None:
            yield ahead.wanted(frame)
        elif system == "gluster":
            yield self._carry(self.farm.filer, load.frame_bytes + self._shared_once())
        elif system == "copy-all":
            yield self.env.timeout(load.frame_bytes / self.farm.world.node.disk_bandwidth)
        else:
            yield from self._from_bucket(load.frame_bytes + self._shared_once(), load.frame_objects)
        yield self.env.timeout(self.farm.world.overheads.of(system))
        self._settle()
        yield self._spend("compute", self.farm.compute[frame])
        self._settle()
        self._begin("wait")
        yield from self._write()
        self._settle()

    def _write(self) -> Steps:
        """Take the output: the filer and copy-all's script make the renderer wait for it."""
        load, node = self.farm.world.load, self.farm.world.node
        if self.farm.system == "gluster":
            yield self._carry(self.farm.filer, load.output_bytes)
        elif self.farm.system == "copy-all":
            yield self.env.timeout(load.output_bytes / node.bandwidth)
        else:
            begun = max(self.env.now, self._uploaded_at)
            self._uploaded_at = begun + load.output_bytes / node.bandwidth

    def _shared_once(self) -> float:
        if self.has_shared:
            return 0.0
        self.has_shared = True
        return self.farm.world.load.shared_bytes

    def _from_bucket(self, size: float, objects: float) -> Steps:
        """Over the node's own line, and no faster than the bucket answers."""
        self.farm.bucket_bytes += size
        self.farm.bucket_reads += objects
        answered = self._carry(self.farm.requests, objects)
        yield self.env.timeout(size / self.farm.world.node.bandwidth) & answered

    def _carry(self, line: SharedLine, size: float) -> simpy.Event:
        done, number = line.carry(size)
        self._transfers.append((line, number))
        return done

    def _spend(self, part: str, seconds: float) -> simpy.Event:
        self._begin(part)
        return self.env.timeout(seconds)

    def _begin(self, part: str) -> None:
        self._doing, self._since = part, self.env.now

    def _settle(self) -> None:
        setattr(self.spent, self._doing, getattr(self.spent, self._doing) + self.env.now - self._since)
        self._since = self.env.now
        self._transfers.clear()

    def _was_taken(self) -> None:
        """What was in hand is lost; what was not begun goes back."""
        for line, number in self._transfers:
            line.drop(number)
        lost_in = self._doing
        if self._hand:
            self.farm.chunks.appendleft(list(self._hand))
        if self._hand and lost_in in {"compute", "wait"}:
            compute, wait = self._frame_cost
            self.spent.compute, self.spent.wait = compute, wait
            self.spent.lost += self.env.now - self._frame_began
            self.farm.frames_lost += 1
        else:
            self.spent.lost += self.env.now - self._since
        self._hand.clear()


class _Ahead:
    """Fetching for the frames of a chunk while earlier ones are computed."""

    def __init__(self, node: _NodeLife, frames: list[int]) -> None:
        self._node = node
        self._ready = {frame: node.env.event() for frame in frames}
        self._begun = {frame: node.env.event() for frame in frames}
        self._frames = frames
        self._line: tuple[SharedLine, int] | None = None
        self._process = node.env.process(self._fetch())

    def wanted(self, frame: int) -> simpy.Event:
        """The frame begins now; the event says when its inputs are there."""
        self._begun[frame].succeed()
        return self._ready[frame]

    def stop(self) -> None:
        if self._process.is_alive:
            self._process.interrupt()

    def _fetch(self) -> Steps:
        node = self._node
        load, of_node = node.farm.world.load, node.farm.world.node
        try:
            for index, frame in enumerate(self._frames):
                if index > of_node.lookahead:
                    yield self._begun[self._frames[index - of_node.lookahead]]
                size = load.frame_bytes + node._shared_once()  # noqa: SLF001 - one life, told in two classes
                node.farm.bucket_bytes += size
                node.farm.bucket_reads += load.frame_objects
                answered, number = node.farm.requests.carry(load.frame_objects)
                self._line = (node.farm.requests, number)
                yield node.env.timeout(size / of_node.bandwidth) & answered
                self._ready[frame].succeed()
        except simpy.Interrupt:
            if self._line is not None:
                self._line[0].drop(self._line[1])


def _compute_seconds(frames: int, mean: float, spread: float, dice: random.Random) -> list[float]:
    """Log-normal with that mean; neighbours are not alike, which is the milder case for the last chunk."""
    if not spread:
        return [mean] * frames
    sigma = math.sqrt(math.log(1 + spread**2))
    return [dice.lognormvariate(math.log(mean) - sigma**2 / 2, sigma) for _ in range(frames)]


def _chunks(frames: int, chunk: int) -> deque[list[int]]:
    return deque(list(range(start, min(start + chunk, frames))) for start in range(0, frames, chunk))


def _add(total: Spent, part: Spent) -> None:
    for name in Spent.__slots__:
        setattr(total, name, getattr(total, name) + getattr(part, name))
