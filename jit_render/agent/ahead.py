"""Fetching what the next frames will ask for, while something else has to happen anyway.

While the renderer starts, the first frame's planned inputs come; while a frame renders, those of the frames after it.
Frames come in order, so what is needed first is fetched first. All of it is second to what a renderer waits for: in
the cache a prefetch takes off when no demand does, leaves a slot free, evicts nothing that is held, and becomes a
demand when it is asked for. How far ahead is bounded three ways: in frames (`cache.lookahead`), in objects under way
(half of the node's fetchers, so that the frame in hand keeps its share of the line), and in bytes that nobody has
asked for yet (the cache's share for prefetches: where that is used up, the round ends, and the next frame tries
again).

What a plan missed, a frame betrays: an unplanned input with a frame number in its name, which the frame before did not
read, is expected, as far from the frame, for the frames that follow. The next frame says anew what is unplanned, so an
expectation that is not met lasts a frame.

Each object fetched for nobody yet is counted once: *useful* when a frame finds it here, *late* when a frame has to
wait for the rest of it, *wasted* when no frame of the attempt asks, or not before it was evicted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from jit_render.agent.attempts import AttemptKey, Tally
from jit_render.agent.jobs import Job
from jit_render.agent.siblings import split_frame
from jit_render.cache import NodeCache, Priority
from jit_render.model.errors import JitRenderError, ObjectNotFound, PrefetchSkipped
from jit_render.model.identity import ObjectId, ObjectInfo, ObjectUrl

LOG = logging.getLogger(__name__)
MOST_ATTEMPTS = 100
MOST_HABITS = 1000
Look = Callable[[Job, ObjectUrl], Awaitable[ObjectInfo]]


@dataclass(frozen=True, slots=True)
class _Habit:
    """An unplanned name: what is around its number, and how far the number is from the frame's."""

    before: ObjectUrl
    width: int
    after: str
    offset: int

    @classmethod
    def of(cls, url: ObjectUrl, frame: int) -> _Habit | None:
        parts = split_frame(url.name)
        if parts is None:
            return None
        before, number, after = parts
        width = len(url.name) - len(before) - len(after)
        return cls(ObjectUrl(url.root, url.key.removesuffix(url.name) + before), width, after, number - frame)

    def at(self, frame: int) -> ObjectUrl:
        number = f"{frame + self.offset:0{self.width}d}"
        return ObjectUrl(self.before.root, f"{self.before.key}{number}{self.after}")


@dataclass(slots=True)
class Ahead:
    """What is fetched ahead for one attempt."""

    job: Job
    tally: Tally
    frames: Sequence[int] = ()
    """All that the attempt renders, in order."""
    unasked: dict[ObjectId, None] = field(default_factory=dict)
    """Fetched, or on its way, for this attempt, and not asked for yet."""
    habits: dict[_Habit, None] = field(default_factory=dict)
    learned: tuple[int | None, frozenset[ObjectUrl]] = (None, frozenset())
    """The frame that told the habits, and what it read unplanned."""
    goal: Sequence[int] = ()
    """The frames to fetch for now: another object for each round."""
    running: asyncio.Task[None] | None = None

    def asked(self, info: ObjectInfo, *, hit: bool, fetched_bytes: int) -> None:
        """A frame was handed `info`."""
        if info.id not in self.unasked:
            return
        del self.unasked[info.id]
        if hit:
            self.tally.prefetch_useful += 1
        elif fetched_bytes:
            self.tally.prefetch_wasted += 1
        else:
            self.tally.prefetch_late += 1

    def learn(self, frame: int, unplanned: Iterable[ObjectUrl]) -> None:
        """`frame` has read what its plan did not hold, for one of its Writes."""
        read = frozenset(unplanned)
        last, before = self.learned
        if frame != last:
            self.habits.clear()
        for url in read - before:
            habit = _Habit.of(url, frame)
            if habit is not None and len(self.habits) < MOST_HABITS:
                self.habits[habit] = None
        self.learned = (frame, read | before if frame == last else read)

    def after(self, frame: int) -> Sequence[int]:
        """The frames that follow."""
        return self.frames[self.frames.index(frame) + 1 :] if frame in self.frames else ()


class Prefetcher:
    """Fetches ahead for all attempts of a node. `look` settles which version of an unplanned object a job reads."""

    def __init__(self, cache: NodeCache, look: Look, *, lookahead: int, width: int) -> None:
        self._cache = cache
        self._look = look
        self._lookahead = lookahead
        self._slots = asyncio.Semaphore(max(1, width))
        self._attempts: dict[AttemptKey, Ahead] = {}
        self._fetching: set[asyncio.Task[None]] = set()
        self._stopped = False

    def of(self, key: AttemptKey, job: Job, tally: Tally, frames: Sequence[int] = ()) -> Ahead:
        """The attempt `key`; `frames` where its worker has told them."""
        ahead = self._attempts.get(key)
        if ahead is None:
            ahead = self._attempts[key] = Ahead(job, tally, job.frames_of(key.task))
            if len(self._attempts) > MOST_ATTEMPTS:
                self.end(self._attempts.pop(next(iter(self._attempts))))
        if frames:
            ahead.frames = tuple(frames)
        return ahead

    def first(self, ahead: Ahead) -> None:
        """The renderer starts."""
        self._aim(ahead, ahead.frames)

    def begun(self, ahead: Ahead, frame: int) -> None:
        """`frame` is asked for now: what follows is next."""
        self._aim(ahead, ahead.after(frame))

    def end(self, ahead: Ahead) -> None:
        """The renderer is gone."""
        if ahead.running is not None:
            ahead.running.cancel()
        ahead.goal = ()
        ahead.tally.prefetch_wasted += len(ahead.unasked)
        ahead.unasked.clear()

    def stop(self) -> None:
        """From now on only what somebody waits for."""
        self._stopped = True
        for task in [*self._fetching, *filter(None, (ahead.running for ahead in self._attempts.values()))]:
            task.cancel()

    def _aim(self, ahead: Ahead, frames: Sequence[int]) -> None:
        ahead.goal = list(frames[: self._lookahead])
        if ahead.job.planned is None or self._stopped or not ahead.goal:
            return
        if ahead.running is None or ahead.running.done():
            ahead.running = asyncio.ensure_future(self._run(ahead))

    async def _run(self, ahead: Ahead) -> None:
        """Round by round, a goal each, until there is no more to do or no more room."""
        goal: Sequence[int] = ()
        try:
            while ahead.goal is not goal:
                goal = ahead.goal
                await self._round(ahead, goal)
        except PrefetchSkipped as error:
            LOG.debug("%s", error)
        except (JitRenderError, OSError) as error:
            LOG.debug("nothing is fetched ahead: %s", error)  # whoever needs it will be told

    async def _round(self, ahead: Ahead, goal: Sequence[int]) -> None:
        """Frame by frame, for as long as `goal` is what to do."""
        for frame in goal:
            for info in await self._wanted(ahead, frame):
                await self._fetch(ahead, info, goal)
                if ahead.goal is not goal:
                    return

    async def _wanted(self, ahead: Ahead, frame: int) -> list[ObjectInfo]:
        assert ahead.job.planned is not None
        infos = await ahead.job.planned.of_frame(frame)
        if ahead.job.latest:
            infos = [info for planned in infos if (info := await self._live(ahead, planned.url)) is not None]
        for habit in list(ahead.habits):
            info = await self._live(ahead, habit.at(frame))
            if info is None:
                ahead.habits.pop(habit, None)
            else:
                infos.append(info)
        return infos

    async def _live(self, ahead: Ahead, url: ObjectUrl) -> ObjectInfo | None:
        try:
            return await self._look(ahead.job, url)
        except ObjectNotFound:
            return None

    async def _fetch(self, ahead: Ahead, info: ObjectInfo, goal: Sequence[int]) -> None:
        """Have `info` fetched; waits for a slot and not for the bytes."""
        if self._cache.has(info.id):
            return
        await self._slots.acquire()
        if ahead.goal is not goal:
            self._slots.release()  # no room, or the renderer went on: the next round settles what comes first
            return
        ahead.unasked[info.id] = None
        task = asyncio.ensure_future(self._carry(ahead, info, goal))
        self._fetching.add(task)
        task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._slots.release()
        self._fetching.discard(task)

    async def _carry(self, ahead: Ahead, info: ObjectInfo, goal: Sequence[int]) -> None:
        try:
            got = await self._cache.acquire("", info, Priority.PREFETCH)
        except (JitRenderError, OSError) as error:
            LOG.debug("prefetch of %s: %s", info.id, error)
            ahead.unasked.pop(info.id, None)
            if isinstance(error, PrefetchSkipped) and ahead.goal is goal:
                ahead.goal = ()
            return
        ahead.tally.bytes_fetched += got.fetched_bytes
