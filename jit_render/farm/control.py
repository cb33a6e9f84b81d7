"""What a person does to a job, or asks of it: cancel, retry, logs, its frames one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from jit_render.farm.attempts import Pulse
from jit_render.farm.records import JobReader, cancellation, task_of
from jit_render.farm.scouting import seconds_of
from jit_render.model.clock import Clock
from jit_render.model.errors import JobConflict, ObjectNotFound, PreconditionFailed
from jit_render.model.frames import FrameSet
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import AttemptRecord, CommitKey, CommitRecord
from jit_render.store import ABSENT, Store


def cancel(store: Store, home: ObjectUrl, clock: Clock, by: str) -> None:
    """Have every worker of the job stop at its next frame. Cancelled already: nothing happens. Raises JobNotFound."""
    reader = JobReader(store, home)
    reader.spec()
    try:
        store.write(reader.paths.cancelled, cancellation(by, clock.wall()), if_generation=ABSENT)
    except PreconditionFailed:
        return


def retry(store: Store, home: ObjectUrl) -> FrameSet | None:
    """Take a cancellation back; what is left to render, or None. The engine's next run has fresh budgets."""
    reader = JobReader(store, home)
    reader.spec()
    store.delete(reader.paths.cancelled)
    left = reader.missing()
    return FrameSet.of(left) if left else None


def resume(store: Store, home: ObjectUrl) -> FrameSet | None:
    """What is left to render of a job that stopped early, or None. Raises JobConflict for a cancelled one."""
    reader = JobReader(store, home)
    left = reader.missing()
    if reader.is_cancelled():
        raise JobConflict(f"{home.name} was cancelled; 'jit-render retry {home.name}' takes that back and goes on.")
    return FrameSet.of(left) if left else None


@dataclass(frozen=True, slots=True)
class Log:
    """The output of one attempt's renderer."""

    task: int
    attempt: int
    text: str


def read_logs(store: Store, home: ObjectUrl, task: int | None = None, attempt: int | None = None) -> Iterator[Log]:
    """Logs in the bucket, by task and attempt; of a running attempt, what was copied up to now."""
    reader = JobReader(store, home)
    for (one_task, number), _ in sorted(reader.attempt_infos(task).items()):
        if attempt is not None and attempt != number:
            continue
        try:
            data, _ = store.read(reader.paths.log(one_task, number))
        except ObjectNotFound:
            continue
        yield Log(one_task, number, data.decode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class FrameRow:
    """One frame of a job. `seconds` is None until it is done; `message` says why it failed."""

    frame: int
    state: Literal["done", "running", "failed", "waiting"]
    task: int
    attempt: int
    seconds: float | None
    host: str = ""
    adopted_from: str = ""
    message: str = ""


def frame_rows(store: Store, home: ObjectUrl, clock: Clock, frames: FrameSet | None = None) -> list[FrameRow]:
    """Every frame (or those of `frames`), in the job's order; reads one record per frame and Write."""
    reader = JobReader(store, home)
    spec = reader.spec()
    wanted = [frame for frame in spec.frame_set if frames is None or frame in frames]
    keys = [key for frame in wanted for key in spec.commits(frame)]
    records = reader.commit_records(reader.committed_of(keys))
    last = {attempt.task: attempt for attempt in reader.attempts()}
    tasks = task_of(spec)
    pulse = Pulse(clock)
    return [
        _row(frame, task, keys=spec.commits(frame), records=records, last=last.get(task), pulse=pulse)
        for frame in wanted
        for task in [tasks[frame]]
    ]


def _row(
    frame: int,
    task: int,
    *,
    keys: list[CommitKey],
    records: dict[CommitKey, CommitRecord],
    last: AttemptRecord | None,
    pulse: Pulse,
) -> FrameRow:
    found = [records[key] for key in keys if key in records]
    if len(found) == len(keys):
        seconds = seconds_of(found)
        one = found[-1]
        return FrameRow(frame, "done", task, one.attempt, seconds, one.host, one.adopted_from)
    if last is None:
        return FrameRow(frame, "waiting", task, 0, None)
    if pulse.is_alive(last):
        state: Literal["running", "waiting"] = "running" if last.frame_in_hand == frame else "waiting"
        return FrameRow(frame, state, task, last.attempt, None, last.host)
    if last.failure is None:
        return FrameRow(frame, "waiting", task, last.attempt, None, last.host)
    return FrameRow(frame, "failed", task, last.attempt, None, last.host, "", last.message)
