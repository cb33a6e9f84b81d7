"""What of a round that is over runs again by itself, and on what.

A task that its machines failed does, as long as the job's budget for that class of failure lasts; so does one that was
stopped by a hold or a cancellation which somebody has lifted meanwhile. What the shot failed is for a person.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jit_render.farm.budgets import may_retry
from jit_render.farm.records import JobReader, task_of
from jit_render.model.job import AttemptRecord, FailureClass
from jit_render.model.rounds import RoundRecord

MACHINES_FAULT = frozenset(
    {FailureClass.PREEMPTED, FailureClass.LICENCE, FailureClass.NODE, FailureClass.OUT_OF_MEMORY}
)
NODE_LOST = frozenset({50001, 50002, 50003, 50004, 50006})
"""The service's own codes: preempted, no report, rebooted, unresponsive, recreated."""


@dataclass(frozen=True, slots=True)
class NextRound:
    """What is left to do. `helps_on_demand`: some of it lost its machine, so that one which stays would help."""

    tasks: tuple[int, ...]
    helps_on_demand: bool


def next_round(reader: JobReader, record: RoundRecord, lost: Callable[[], Sequence[int | None]]) -> NextRound:
    """Tasks of `record` that lack frames through no fault of the shot and have budget left; none in a cancelled job.

    None either where the round did not make a single attempt: what kept every node from working (an image, a quota, a
    permission) would keep the next ones, and somebody would pay for it. Unless `lost`, the exit codes of the tasks that
    the service gave up, says that each was taken away before it could begin: a machine that stays would not be.
    """
    if reader.is_cancelled():
        return NextRound((), helps_on_demand=False)
    tasks = task_of(reader.spec())
    left = {tasks[frame] for frame in reader.missing()} & set(record.task_numbers())
    by_task: dict[int, list[AttemptRecord]] = {task: [] for task in left}
    for attempt in reader.attempts():
        by_task.setdefault(attempt.task, []).append(attempt)
    if not any(record.made(attempt) for attempts in by_task.values() for attempt in attempts):
        codes = set(lost()) if record.preemptible else set()
        is_lost = bool(codes) and codes <= NODE_LOST
        return NextRound(tuple(sorted(left)) if is_lost else (), helps_on_demand=is_lost)
    going_on = sorted(task for task in left if _may_go_on(by_task[task], record, reader))
    return NextRound(tuple(going_on), any(_lost_its_node(by_task[task], record) for task in going_on))


def was_stopped(reader: JobReader, record: RoundRecord) -> bool:
    """Whether tasks of the round ended for a hold or a cancellation; the service will not begin them again."""
    stopped = {one.task for one in reader.attempts() if one.failure is FailureClass.CANCELLED and record.made(one)}
    return bool(stopped.intersection(task_of(reader.spec())[frame] for frame in reader.missing()))


def _lost_its_node(attempts: list[AttemptRecord], record: RoundRecord) -> bool:
    return not attempts or not record.made(attempts[-1]) or attempts[-1].failure is FailureClass.PREEMPTED


def _may_go_on(attempts: list[AttemptRecord], record: RoundRecord, reader: JobReader) -> bool:
    if not attempts or not record.made(attempts[-1]):
        return True  # its nodes went before it began, or the service gave up early
    last = attempts[-1].failure
    if last is None or last is FailureClass.CANCELLED:  # nobody holds or cancels the job now: see next_round
        return True
    return last in MACHINES_FAULT and may_retry(attempts, reader.spec().budgets)
