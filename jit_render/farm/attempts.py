"""One attempt's record: claimed by creating it, kept alive by rewriting it, ended once.

The record's number is taken by create-if-absent, so two workers cannot hold the same attempt. Every rewrite
carries the generation of the last one, so a worker whose record was ended by somebody else (an engine that
took it for dead) learns it at its next heartbeat and stops.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Mapping
from typing import Any

from jit_render.model.clock import Clock
from jit_render.model.errors import ObjectNotFound, PreconditionFailed, Preempted, TransientStoreError
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.job import AttemptRecord, FailureClass, JobPaths
from jit_render.store import ABSENT, Store

STALE_SECONDS = 60.0  # without a heartbeat for so long (or six of them), an attempt is taken for dead
_CLAIM_TRIES = 100


class Attempt:
    """The attempt this process makes. `beat` and `end` may come from different threads."""

    def __init__(self, store: Store, clock: Clock, url: ObjectUrl, record: AttemptRecord, generation: str) -> None:
        self._store = store
        self._clock = clock
        self._url = url
        self._record = record
        self._generation = generation
        self._lock = threading.Lock()

    @classmethod
    def claim(
        cls,
        store: Store,
        clock: Clock,
        paths: JobPaths,
        *,
        task: int,
        frames_asked: str,
        number: int = 0,
        beat: float = 10.0,
    ) -> Attempt:
        """The next free attempt of `task`, or exactly `number`; a heartbeat every `beat` s. Raises Preempted."""
        wanted = number or next_number(store, paths, task)
        for candidate in range(wanted, wanted + _CLAIM_TRIES):
            record = AttemptRecord(
                task=task,
                attempt=candidate,
                host=socket.gethostname(),
                pid=os.getpid(),
                started=clock.wall(),
                heartbeat=clock.wall(),
                heartbeat_seconds=beat,
                frames_asked=frames_asked,
                **machine_of(os.environ),
            )
            url = paths.attempt(task, candidate)
            try:
                info = store.write(url, record.model_dump_json(indent=1).encode(), if_generation=ABSENT)
            except PreconditionFailed:
                if number:
                    break
                continue
            return cls(store, clock, url, record, info.id.generation)
        raise Preempted(f"attempt {wanted} of task {task} of job {paths.job_id} is somebody else's; try again.")

    @property
    def record(self) -> AttemptRecord:
        with self._lock:
            return self._record

    def beat(self, **changes: Any) -> None:
        """Say that this attempt lives, with what changed. Raises Preempted once somebody else has ended it.

        A store that cannot be reached is no reason to stop: the next beat may reach it.
        """
        try:
            self._rewrite(heartbeat=self._clock.wall(), **changes)
        except TransientStoreError:
            return

    def end(self, failure: FailureClass | None, message: str, exit_code: int, **changes: Any) -> AttemptRecord:
        """Write the end. If somebody else ended it first, their record stands."""
        now = self._clock.wall()
        state = "done" if failure is None else "failed"
        try:
            self._rewrite(
                heartbeat=now, ended=now, state=state, failure=failure, message=message, exit_code=exit_code, **changes
            )
        except Preempted:
            return self._record
        return self._record

    def _rewrite(self, **changes: Any) -> None:
        with self._lock:
            record = self._record.model_copy(update=changes)
            data = record.model_dump_json(indent=1).encode()
            try:
                info = self._store.write(self._url, data, if_generation=self._generation)
            except (PreconditionFailed, ObjectNotFound):
                info = self._write_again(data)
            self._record = record
            self._generation = info.id.generation

    def _write_again(self, data: bytes) -> ObjectInfo:
        """A beat that seemed to fail may have arrived: write over it if the record is still ours. Raises Preempted."""
        with contextlib.suppress(ObjectNotFound, PreconditionFailed, ValueError):
            text, info = self._store.read(self._url)
            found = AttemptRecord.model_validate_json(text)
            if found.ended is None and (found.host, found.pid) == (self._record.host, self._record.pid):
                return self._store.write(self._url, data, if_generation=info.id.generation)
        raise Preempted(f"{self._url} was ended by somebody else; this attempt stops.")


def machine_of(environ: Mapping[str, str]) -> dict[str, Any]:
    """What an engine tells a node of its machine: its type, how it is paid for, when it booted (Unix seconds)."""
    how = environ.get("JIT_RENDER_PROVISIONING", "").lower()
    booted = environ.get("JIT_RENDER_BOOTED", "")
    return {
        "machine": environ.get("JIT_RENDER_MACHINE", ""),
        "provisioning": how if how in {"spot", "standard"} else "",
        "booted": float(booted) if booted.isdecimal() else None,
    }


def next_number(store: Store, paths: JobPaths, task: int) -> int:
    """One more than the highest attempt of `task`."""
    taken = [info.url.name.removesuffix(".json") for info in store.list(paths.attempts / str(task))]
    return max((int(name) for name in taken if name.isdigit()), default=0) + 1


def end_for(
    store: Store, clock: Clock, paths: JobPaths, dead: AttemptRecord, failure: FailureClass, **changes: Any
) -> bool:
    """End the record of a worker that can no longer do it. False when it was ended meanwhile or lives again.

    It ended with its last sign of life, whenever that is noticed: from then on nobody pays for its machine.
    """
    url = paths.attempt(dead.task, dead.attempt)
    try:
        data, info = store.read(url)
        now = AttemptRecord.model_validate_json(data)
    except (ObjectNotFound, ValueError):
        return False
    if now.ended is not None or now.heartbeat != dead.heartbeat or dead.seen not in {None, info.updated}:
        return False
    gone = max(now.started, min(clock.wall(), now.heartbeat + now.heartbeat_seconds))
    ended = now.model_copy(update={"ended": gone, "state": "failed", "failure": failure, **changes})
    try:
        store.write(url, ended.model_dump_json(indent=1).encode(), if_generation=info.id.generation)
    except PreconditionFailed:
        return False
    return True


class Pulse:
    """Which attempts live, for one reader that may look again and again (decision 0085).

    No clock of the attempt's own node counts. At the first look its last beat is as old as the store says; after that a
    record that changes lives, and one that does not change grows old by this reader's monotonic clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beats: dict[tuple[int, int], tuple[tuple[float, float | None], float]] = {}

    def is_alive(self, record: AttemptRecord, host: str | None = None) -> bool:
        """Whether a worker still holds this attempt, as far as its record and, on this host, its process tell."""
        if record.ended is not None:
            return False
        if self._age(record) > max(STALE_SECONDS, 6 * record.heartbeat_seconds):
            return False
        return record.host != (host or socket.gethostname()) or _process_lives(record.pid)

    def _age(self, record: AttemptRecord) -> float:
        """Seconds since the last beat."""
        key, beat, now = (record.task, record.attempt), (record.heartbeat, record.seen), self._clock.monotonic()
        last = self._beats.get(key)
        if last is None:
            written = record.heartbeat if record.seen is None else record.seen
            self._beats[key] = beat, now - max(0.0, self._clock.wall() - written)
        elif last[0] != beat:
            self._beats[key] = beat, now
        return now - self._beats[key][1]


def _process_lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
