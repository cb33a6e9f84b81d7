"""What goes on beside a render: heartbeats, the log in the bucket, looks at the agent, for a cancellation and a hold.

One thread per attempt. It decides nothing: what it learns goes into the worker's inbox.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Self

from jit_render.farm.attempts import Attempt
from jit_render.farm.holding import BudgetWatch, counts
from jit_render.farm.records import JobReader
from jit_render.model.clock import Clock
from jit_render.model.errors import JitRenderError, PreconditionFailed, Preempted
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import Spent
from jit_render.store import ABSENT, Store
from nuke_callbacks.client import AgentFailure, Client

LOG_LIMIT = 8 * 1024 * 1024  # bytes of a log that go to the bucket: its beginning and its end
TICK_SECONDS = 1.0


class Stop(Enum):
    """Why a render is to stop before its end."""

    PREEMPTED = "preempted"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"
    TAKEN = "taken"


class LogCopy:
    """The copy of a local log in the bucket."""

    def __init__(self, store: Store, url: ObjectUrl, path: Path) -> None:
        self._store = store
        self._url = url
        self._path = path
        self._generation = ABSENT
        self._size = 0

    def refresh(self) -> None:
        """Write it again if the log grew. A log is never a reason to fail."""
        with contextlib.suppress(OSError, JitRenderError):
            size = self._path.stat().st_size
            if size == self._size:
                return
            text = _ends_of(self._path, size)
            try:
                info = self._store.write(self._url, text, if_generation=self._generation)
            except PreconditionFailed:  # our own last write, whose answer was lost
                found = self._store.stat(self._url).id.generation
                info = self._store.write(self._url, text, if_generation=found)
            self._generation, self._size = info.id.generation, size


def _ends_of(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        if size <= LOG_LIMIT:
            return file.read(size)
        head = file.read(LOG_LIMIT // 8)
        file.seek(size - LOG_LIMIT * 7 // 8)
        return head + b"\n[... %d bytes left out ...]\n" % (size - LOG_LIMIT) + file.read(LOG_LIMIT * 7 // 8)


@dataclass(frozen=True, slots=True)
class Link:
    """How an attempt reaches its agent: the socket, and who it says it is."""

    socket: Path
    home: ObjectUrl
    task: int
    attempt: int

    def client(self, *, takeover_seconds: float, call_seconds: float, frames: Sequence[int] = ()) -> Client:
        return Client(
            str(self.socket),
            str(self.home),
            self.task,
            self.attempt,
            role="worker",
            frames=frames,
            takeover_seconds=takeover_seconds,
            call_seconds=call_seconds,
        )

    def settle(self, seconds: float) -> None:
        """Wait until what this attempt published is in the bucket; not if no agent is there, not longer than that."""
        client = self.client(takeover_seconds=0.0, call_seconds=seconds)
        with contextlib.suppress(AgentFailure), contextlib.closing(client):
            client.drain(session_only=True)


class Watch:
    """`snapshot` gives what a heartbeat writes; `tell` takes a Stop; `revive` starts the agent if it is gone."""

    def __init__(
        self,
        *,
        attempt: Attempt,
        reader: JobReader,
        link: Link,
        log: LogCopy,
        clock: Clock,
        heartbeat_seconds: float,
        log_seconds: float,
        snapshot: Callable[[], dict[str, Any]],
        tell: Callable[[Stop], None],
        revive: Callable[[], object],
    ) -> None:
        self._attempt = attempt
        self._reader = reader
        self._client = link.client(takeover_seconds=0.0, call_seconds=60.0)
        self._log = log
        self._clock = clock
        self._heartbeat_seconds = heartbeat_seconds
        self._log_seconds = log_seconds
        self._snapshot = snapshot
        self._tell = tell
        self._revive = revive
        self._closing = threading.Event()
        self._money = BudgetWatch(reader, clock, adds_up=counts(link.task, len(reader.spec().tasks())))
        self._spent: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        self._client.close()

    def spent(self) -> Spent:
        """What the agent last told of this attempt."""
        known = {name: value for name, value in self._spent.items() if name in Spent.model_fields}
        return Spent.model_validate(known)

    def _run(self) -> None:
        next_beat = self._clock.monotonic() + self._heartbeat_seconds
        next_log = self._clock.monotonic() + self._log_seconds
        while not self._closing.wait(min(TICK_SECONDS, self._heartbeat_seconds)):
            self.look_at_agent()
            now = self._clock.monotonic()
            if now >= next_beat:
                next_beat = now + self._heartbeat_seconds
                self._beat()
            if now >= next_log:
                next_log = now + self._log_seconds
                self._log.refresh()

    def look_at_agent(self) -> None:
        """Ask the agent for its counters; start another one if it is gone."""
        try:
            self._spent = dict(self._client.stats()["attempt"])
        except AgentFailure as failure:
            if failure.kind == "AgentLost" and not self._closing.is_set():
                with contextlib.suppress(JitRenderError):  # the renderer's own client says what came of it
                    self._revive()

    def _beat(self) -> None:
        try:
            self._attempt.beat(**self._snapshot())
            if self._reader.is_cancelled() or self._money.look() is not None:
                self._tell(Stop.CANCELLED)
        except Preempted:
            self._tell(Stop.TAKEN)
        except JitRenderError:
            return
