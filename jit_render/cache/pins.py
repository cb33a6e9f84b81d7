"""Which version of an unplanned input a job saw first: it sees that one for good."""

from __future__ import annotations

import dataclasses
import json

from jit_render.cache import files
from jit_render.cache.index import Index
from jit_render.cache.layout import Layout
from jit_render.model.clock import Clock
from jit_render.model.identity import ObjectId, ObjectInfo, ObjectUrl

KEPT_SECONDS = 30 * 86400.0
LONGEST_STEP_SECONDS = 86400.0
_MOST_IN_MEMORY = 100_000


class Pins:
    """The pins of all jobs, in the index and, the recent ones, in memory."""

    def __init__(self, index: Index, clock: Clock) -> None:
        self._index = index
        self._clock = clock
        self._known: dict[tuple[str, ObjectUrl], ObjectInfo] = {}

    def get(self, job: str, url: ObjectUrl) -> ObjectInfo | None:
        known = self._known.get((job, url))
        if known is None:
            text = self._index.pin_of(job, str(url))
            if text is not None:
                known = self._keep(job, _info(url, text))
        return known

    def add(self, job: str, info: ObjectInfo) -> ObjectInfo:
        """Pin `info` unless its place is pinned; gives what holds."""
        first = self.get(job, info.url)
        if first is not None:
            return first
        fields = {field: value for field, value in dataclasses.asdict(info).items() if field != "id"}
        text = json.dumps({"generation": info.id.generation, **fields})
        self._index.add_pin((job, str(info.url), text, self._clock.wall()))
        return self._keep(job, info)

    def _keep(self, job: str, info: ObjectInfo) -> ObjectInfo:
        self._known[job, info.url] = info
        if len(self._known) > _MOST_IN_MEMORY:
            del self._known[next(iter(self._known))]
        return info


def today(layout: Layout, wall: float) -> float:
    """Seconds since the epoch as far as ages may be judged by them: not much more than when this cache was last opened.

    A clock that jumps (set wrong at boot and then put right, or the other way round) makes everything look old at
    once; what a running job was pinned to would be forgotten. So from one start to the next no more than a day counts.
    A node that was off for a month keeps a few rows longer. The time of the file `opened` is that of the last start.
    """
    note = str(layout.root / "opened")
    last = files.time_of(note)
    now = wall if last is None else min(wall, last + LONGEST_STEP_SECONDS)
    files.set_time(note, now)
    return now


def _info(url: ObjectUrl, text: str) -> ObjectInfo:
    fields = json.loads(text)
    return ObjectInfo(ObjectId(url, fields.pop("generation")), **fields)
