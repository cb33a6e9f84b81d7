"""One task of a round, as a service's node runs it: ``jit-render work --job URL --round N --index I``.

It is the same worker as everywhere; three things differ under a service that only reads exit codes.

* The service runs one attempt of a task at a time. An earlier record without an end is therefore that of a node
  that is gone: it is ended here, so that the frame it held is counted as lost and a worker that lives on in
  spite of all stops at its next heartbeat.
* The service knows one budget, its own retries. A class of failure that has spent the job's budget ends with 1
  instead of 75, which the service does not try again.
* A licence that is not free is waited for on the node: a retry costs one of ten, waiting costs the node's time.
"""

from __future__ import annotations

from jit_render.farm.budgets import may_retry
from jit_render.farm.outcome import RENDER_FAILED, TRY_AGAIN
from jit_render.farm.records import JobReader
from jit_render.farm.rounds import Rounds
from jit_render.farm.task_records import TaskRecords
from jit_render.farm.worker import WorkOptions, work
from jit_render.model.clock import Clock
from jit_render.model.errors import JitRenderError, JobError
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import FailureClass
from jit_render.model.rounds import RoundRecord
from jit_render.model.settings import Settings
from jit_render.store import Store, open_store

LICENCE_WAITS = (5.0, 15.0, 30.0, 60.0, 120.0, *(300.0,) * 12)
"""An hour and four minutes, which `farm.licence_wait` cuts short; then the service may try another node."""


def licence_waits(patience_seconds: float) -> tuple[float, ...]:
    """The waits before further tries that end within so long a time; the last one is shortened to fit."""
    waits = []
    left = patience_seconds
    for wait in LICENCE_WAITS:
        if left > 0:
            waits.append(min(wait, left))
            left -= wait
    return tuple(waits)


def work_round(
    settings: Settings,
    home: ObjectUrl,
    number: int,
    index: int,
    *,
    clock: Clock,
    options: WorkOptions,
) -> int:
    """Render what is missing of the round's task `index`. The exit code, for the service to read."""
    store = open_store(settings.store, clock)
    try:
        record = Rounds(store, home).get(number)
        task = _task(record, index)
        bury(store, clock, home, task, record)
        code = work(settings, home, task, options, clock)
        return RENDER_FAILED if code == TRY_AGAIN and _is_spent(store, home, task, record) else code
    finally:
        store.close()


def _task(record: RoundRecord, index: int) -> int:
    tasks = record.task_numbers()
    if not 0 <= index < len(tasks):
        raise JobError(f"round {record.number} has tasks 0 to {len(tasks) - 1}; there is no task {index}.")
    return tasks[index]


def bury(
    store: Store,
    clock: Clock,
    home: ObjectUrl,
    task: int | None,
    record: RoundRecord,
    *,
    was_cancelled: bool = False,
) -> None:
    """End what the round's attempts at `task` (None: at all of them) left without an end.

    `was_cancelled`: the service has taken the nodes away because somebody wanted it to.
    """
    reader = JobReader(store, home)
    records = TaskRecords(store, clock, reader)
    failure = FailureClass.PREEMPTED if record.preemptible else FailureClass.NODE
    message = "the node went without a word."
    if was_cancelled:
        failure, message = FailureClass.CANCELLED, "the node was taken away when the job was cancelled."
    for attempt in reader.attempts(task):
        if attempt.ended is None and record.made(attempt):
            records.end(attempt, failure, message, ())


def _is_spent(store: Store, home: ObjectUrl, task: int, record: RoundRecord) -> bool:
    """Whether the last failure's budget is used up by this round's attempts."""
    try:
        reader = JobReader(store, home)
        attempts = [attempt for attempt in reader.attempts(task) if record.made(attempt)]
        return not may_retry(attempts, reader.spec().budgets)
    except JitRenderError:
        return False
