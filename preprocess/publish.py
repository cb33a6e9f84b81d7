"""Outputs to the bucket, straight from memory, by the same rules as the agent's: the first attempt wins.

The object goes up under a precondition (`agent.winning`), then the commit record is created if there is none
(`agent.commit`), then the made record is written. A kill before the first leaves nothing, after it an object that the
next attempt finds to be the same bytes, or this job's own.
"""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass

from jit_render.agent.attempts import AttemptKey
from jit_render.agent.commit import commit
from jit_render.agent.entry import Entry, SpoolFile
from jit_render.agent.winning import bring_to_bucket
from jit_render.model.clock import Clock
from jit_render.model.errors import PreconditionFailed
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.job import CommitKey, CommitRecord, InputRecord, JobPaths, OutputRecord
from jit_render.store import ABSENT, Store
from preprocess.made import Made, remember_made
from preprocess.memory_file import MemoryFile
from preprocess.passes import tool


@dataclass(frozen=True, slots=True)
class Place:
    """One output of one image: where it goes and what it is made of."""

    url: ObjectUrl
    key: CommitKey
    recipe: str
    inputs: tuple[InputRecord, ...]
    is_final: bool = True
    """False: the result of a stage, which no record is kept of."""


class Publisher:
    """For one attempt. Safe to use from several threads."""

    def __init__(self, store: Store, attempt: AttemptKey, clock: Clock) -> None:
        self._store = store
        self._attempt = attempt
        self._clock = clock
        self._home = ObjectUrl.parse(attempt.job)
        self._host = socket.gethostname()
        self._lock = threading.Lock()
        self.bytes_same = 0
        """Of outputs that came out as what the bucket held: it stays, under the version it has."""

    @property
    def home(self) -> ObjectUrl:
        return self._home

    @property
    def state(self) -> ObjectUrl:
        return self._home.parent.parent

    def publish(self, place: Place, file: MemoryFile, seconds: float) -> ObjectInfo:
        """Upload, commit, remember; the version that is committed. Raises StoreError."""
        entry = self._entry(place, seconds)
        spooled = SpoolFile(place.url, file.path, file.size_bytes, file.crc32c(), (place.key.view,))
        entry.files.append(spooled)
        stored = bring_to_bucket(self._store, entry, spooled)
        if stored.writer != self._home.name:  # nor by an earlier attempt of this job
            with self._lock:
                self.bytes_same += stored.size_bytes
        if not place.is_final:
            return stored
        commit(self._store, entry, [stored], self._clock.wall())
        output = OutputRecord(
            url=str(stored.url),
            generation=stored.id.generation,
            size_bytes=stored.size_bytes,
            crc32c=spooled.crc32c if stored.crc32c is None else stored.crc32c,
        )
        key = place.key
        made = Made(
            output=output,
            recipe=place.recipe,
            inputs=place.inputs,
            tool=tool(),
            job=self._home.name,
            frame=key.frame,
            camera=key.view,
        )
        remember_made(self._store, self.state, made)
        return stored

    def adopt(self, place: Place, made: Made) -> None:
        """Commit what an earlier job made."""
        record = CommitRecord(
            write=place.key.write,
            view=place.key.view,
            frame=place.key.frame,
            outputs=(made.output,),
            inputs=place.inputs,
            task=self._attempt.task,
            attempt=self._attempt.attempt,
            host=self._host,
            committed=self._clock.wall(),
            adopted_from=made.job if made.job != self._home.name else "",
        )
        try:
            data = record.model_dump_json().encode()
            self._store.write(JobPaths(self._home).commit(place.key), data, if_generation=ABSENT)
        except PreconditionFailed:
            return

    def _entry(self, place: Place, seconds: float) -> Entry:
        key = place.key
        return Entry(
            name=f"{key.write}-{key.view}-{key.frame}",
            attempt=self._attempt,
            write=key.write,
            frames=(key.frame,),
            views=(key.view,),
            files=[],
            inputs=[(one.url, one.generation) for one in place.inputs],
            render_seconds=seconds,
            host=self._host,
        )
