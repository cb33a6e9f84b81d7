"""What of a round that is over runs again by itself."""

from __future__ import annotations

from jit_render.farm.budgets import may_retry
from jit_render.farm.records import JobReader, task_of
from jit_render.model.job import AttemptRecord, FailureClass
from jit_render.model.rounds import RoundRecord

MACHINES_FAULT = frozenset(
    {FailureClass.PREEMPTED, FailureClass.LICENCE, FailureClass.NODE, FailureClass.OUT_OF_MEMORY}
)


def next_tasks(reader: JobReader, record: RoundRecord) -> list[int]:
    """Tasks of `record` that lack frames through no fault of the shot and have budget left.

    None at all where the round did not make a single attempt: what kept every node from working (an image, a quota, a
    permission) would keep the next ones, and somebody would pay for it. None in a cancelled job.
    """
    if reader.is_cancelled():
        return []
    spec = reader.spec()
    tasks = task_of(spec)
    left = {tasks[frame] for frame in reader.missing()} & set(record.task_numbers())
    by_task: dict[int, list[AttemptRecord]] = {}
    for attempt in reader.attempts():
        by_task.setdefault(attempt.task, []).append(attempt)
    if not any(record.made(attempt) for attempts in by_task.values() for attempt in attempts):
        return []
    return sorted(task for task in left if _may_go_on(by_task.get(task, []), record, reader))


def _may_go_on(attempts: list[AttemptRecord], record: RoundRecord, reader: JobReader) -> bool:
    if not attempts or not record.made(attempts[-1]):
        return True  # its nodes went before it began, or the service gave up early
    last = attempts[-1].failure
    return last is None or (last in MACHINES_FAULT and may_retry(attempts, reader.spec().budgets))
