"""One run of one job on this machine.

One loop owns everything: it gives ready tasks to free slots, listens to the workers, and decides after each end
whether to try again. The truth is in the records: a budget is counted from the attempt records of this run, and
a task with an attempt that is alive anywhere is left alone. So the engine may be killed at any moment, and a
later run, or a second engine beside it, goes on with what is missing.

A worker that ended without ending its record was killed; the engine ends the record for it. Attempt numbers are
handed out by the engine and taken by creating the record, so one task never has two attempts at once.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
from dataclasses import dataclass, field
from pathlib import Path

from jit_render.agent import socket_path
from jit_render.farm.budgets import may_retry
from jit_render.farm.chaos import Hit, plan
from jit_render.farm.holding import BudgetWatch, hold_of, is_held
from jit_render.farm.local_options import Kind, LocalOptions, Progress
from jit_render.farm.outcome import DONE, WRONG_USAGE
from jit_render.farm.pace import Pace
from jit_render.farm.records import JobReader
from jit_render.farm.slot import Said, WorkerProcess, kill_node
from jit_render.farm.task_records import TaskRecords
from jit_render.farm.watch import Link
from jit_render.model.clock import Clock
from jit_render.model.errors import from_kind
from jit_render.model.frames import spell
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import AttemptRecord, FailureClass
from jit_render.model.settings import Settings
from jit_render.store import Store

POLL_SECONDS = 0.2
LOOK_SECONDS = 2.0  # between looks for a cancellation and at tasks that somebody else renders
SETTLE_SECONDS = 10.0  # for the uploads of a killed worker, before its losses are counted
LEAVE_SECONDS = 15.0  # on top of the grace, for workers that were told to go

@dataclass
class _Task:
    number: int
    frames: tuple[int, ...]
    not_before: float = 0.0
    base: int = 0
    """Attempts up to this one belong to earlier runs and spend no budget of this one."""
    tries: int = 0


@dataclass
class _Slot:
    number: int
    settings: Settings
    worker: WorkerProcess | None = None
    task: _Task | None = None
    hit: Hit | None = None
    hit_at: float | None = None
    dies_at: float | None = None
    pace: Pace = field(default_factory=Pace)


class LocalRun:
    """One run of one job."""

    def __init__(
        self, home: ObjectUrl, *, settings: Settings, store: Store, clock: Clock, options: LocalOptions
    ) -> None:
        self._clock = clock
        self._options = options
        self._home = home
        self._reader = JobReader(store, home)
        self._spec = self._reader.spec()
        self._tasks = [tuple(filter(options.takes, frames)) for frames in self._spec.tasks()]
        self._inbox: queue.SimpleQueue[Said] = queue.SimpleQueue()
        self._waiting = self._unfinished()
        count = max(1, min(options.workers or settings.farm.workers, len(self._waiting)))
        self._slots = [_Slot(number, self._slot_settings(settings, number, count)) for number in range(count)]
        self._grace = self._slots[0].settings.farm.grace
        self._records = TaskRecords(store, clock, self._reader)
        self._money = BudgetWatch(self._reader, clock, every_seconds=LOOK_SECONDS)
        self._next_look = 0.0
        self._cancelled = False

    def _unfinished(self) -> list[_Task]:
        left = set(self._reader.missing())
        last: dict[int, int] = {}
        for task, number in self._reader.attempt_infos():
            last[task] = max(number, last.get(task, 0))
        return [
            _Task(number, tuple(frame for frame in frames if frame in left), base=last.get(number, 0))
            for number, frames in enumerate(self._tasks)
            if left.intersection(frames)
        ]

    def _slot_settings(self, settings: Settings, number: int, count: int) -> Settings:
        root = Path(settings.cache.root).expanduser().absolute()
        if not self._options.shared_cache:
            root = root.with_name(f"{root.name}-{number + 1}")
        chaos = self._options.chaos
        cache = settings.cache.model_copy(update={"root": str(root)})
        farm = settings.farm.model_copy(update={"grace": chaos.grace}) if chaos else settings.farm
        threads = settings.render.threads or max(1, (os.cpu_count() or 1) // count)
        render = settings.render.model_copy(update={"threads": threads})
        return settings.model_copy(update={"cache": cache, "farm": farm, "render": render})

    def go(self) -> None:
        """The loop."""
        try:
            while self._waiting or any(slot.worker for slot in self._slots):
                self._look()
                self._start_ready()
                self._listen()
                self._chaos()
                self._tell("tick")
        except KeyboardInterrupt:
            self._leave()
            raise
        finally:
            for slot in self._slots:
                if slot.worker is not None:
                    slot.worker.kill()

    def _tell(
        self,
        kind: Kind,
        slot: _Slot | None = None,
        *,
        frame: int | None = None,
        message: str = "",
    ) -> None:
        if self._options.on_progress is None:
            return
        worker = slot.worker if slot else None
        self._options.on_progress(
            Progress(
                kind,
                task=worker.task if worker else -1,
                attempt=worker.attempt if worker else 0,
                slot=slot.number if slot else -1,
                frame=frame,
                message=message,
            )
        )

    def _look(self) -> None:
        """Has somebody cancelled the job?"""
        now = self._clock.monotonic()
        if now < self._next_look or self._cancelled:
            return
        self._next_look = now + LOOK_SECONDS
        if self._reader.is_cancelled() or is_held(self._money):
            self._cancelled = True
            self._waiting.clear()
            for slot in self._slots:
                if slot.worker is not None:
                    slot.worker.signal(signal.SIGUSR1)

    def _start_ready(self) -> None:
        now = self._clock.monotonic()
        for slot in self._slots:
            if slot.worker is not None:
                continue
            task = next((task for task in self._waiting if task.not_before <= now), None)
            if task is None:
                return
            number = self._records.next_attempt(task.number)
            if number is None:
                task.not_before = now + LOOK_SECONDS
                continue
            self._waiting.remove(task)
            self._start(slot, task, number)

    def _start(self, slot: _Slot, task: _Task, number: int) -> None:
        only = "" if self._options.frames is None else spell(task.frames)
        slot.worker = WorkerProcess(
            self._home, task=task.number, attempt=number, frames=only, settings=slot.settings, inbox=self._inbox
        )
        slot.task = task
        slot.hit = plan(self._options.chaos, task.number, number, len(task.frames))
        slot.hit_at = slot.dies_at = None
        slot.pace = Pace()
        task.tries += 1
        self._tell("attempt", slot)

    def _listen(self) -> None:
        with contextlib.suppress(queue.Empty):
            said = self._inbox.get(timeout=POLL_SECONDS)
            while True:
                slot = next((slot for slot in self._slots if slot.worker is said.worker), None)
                if slot is not None:
                    self._hear(slot, said)
                said = self._inbox.get_nowait()

    def _hear(self, slot: _Slot, said: Said) -> None:
        if said.exit_code is not None:
            self._ended(slot, said.exit_code)
            return
        event = said.event or {}
        kind = event.get("event")
        if kind == "frame":
            said.worker.begun.append(event["frame"])
            slot.pace.start(event["frame"], self._clock.monotonic())
            self._tell("frame", slot, frame=event["frame"])
        elif kind == "written":
            self._tell("written", slot, frame=slot.pace.in_hand, message=str(event["path"]))
        elif kind == "error":
            said.worker.error = event

    def _chaos(self) -> None:
        """Notices and kills that are due."""
        now = self._clock.monotonic()
        for slot in self._slots:
            if slot.worker is None or slot.hit is None:
                continue
            if slot.dies_at is None and self._is_hit(slot, now):
                slot.dies_at = now + (self._grace if slot.hit.has_notice else 0.0)
                self._tell("notice", slot, frame=slot.pace.in_hand)
                if slot.hit.has_notice:
                    slot.worker.signal(signal.SIGTERM)
            if slot.dies_at is not None and now >= slot.dies_at and not slot.worker.killed:
                self._tell("killed", slot, frame=slot.pace.in_hand)
                slot.worker.kill()

    @staticmethod
    def _is_hit(slot: _Slot, now: float) -> bool:
        assert slot.hit is not None
        if len(slot.pace.begun) <= slot.hit.frame_index:
            return False
        if slot.hit_at is None:
            usual = sum(slot.pace.durations) / len(slot.pace.durations) if slot.pace.durations else 0.0
            slot.hit_at = now + slot.hit.share * usual
        return now >= slot.hit_at

    def _ended(self, slot: _Slot, exit_code: int) -> None:
        """A worker is gone: see to its record, and to its task."""
        worker, task = slot.worker, slot.task
        assert worker is not None
        assert task is not None
        worker.kill_renderer()
        root = Path(slot.settings.cache.root)
        if slot.dies_at is not None and not self._options.shared_cache:
            kill_node(root)
        elif worker.killed or exit_code < 0:  # its agent lives and goes on uploading
            Link(socket_path(root), self._home, worker.task, worker.attempt).settle(SETTLE_SECONDS)
        for attempt in self._reader.attempts(task.number):
            if attempt.attempt == worker.attempt and attempt.ended is None:
                self._bury(slot, attempt, exit_code)
        self._tell("ended", slot, message=str(exit_code))
        self._decide(slot, worker, task, exit_code)
        slot.worker = slot.task = None

    def _bury(self, slot: _Slot, attempt: AttemptRecord, exit_code: int) -> None:
        assert slot.worker is not None
        preempted = slot.dies_at is not None
        how = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
        message = "preempted: the node is gone." if preempted else f"the worker was killed ({how})."
        failure = FailureClass.PREEMPTED if preempted else FailureClass.NODE
        self._records.end(attempt, failure, message, slot.worker.begun)

    def _decide(self, slot: _Slot, worker: WorkerProcess, task: _Task, exit_code: int) -> None:
        left = self._reader.missing(self._tasks[task.number])
        if not left or self._cancelled:
            return
        attempts = [attempt for attempt in self._reader.attempts(task.number) if attempt.attempt > task.base]
        if not any(attempt.attempt == worker.attempt for attempt in attempts):
            self._never_began(worker, task, exit_code)
        elif not may_retry(attempts, self._spec.budgets):
            self._tell("gave_up", slot, message=attempts[-1].message)
            if attempts[-1].exit_code == WRONG_USAGE:  # the other tasks would end the same way
                self._waiting.clear()
            return
        task.frames = left
        task.not_before = self._clock.monotonic() + self._options.wait_seconds(attempts)
        self._waiting.append(task)
        self._tell("retry", slot, message=attempts[-1].message if attempts else "")

    def _never_began(self, worker: WorkerProcess, task: _Task, exit_code: int) -> None:
        """It ended before its attempt existed; raise what no further try can change."""
        if self._reader.is_cancelled() or hold_of(self._reader.store, self._home):
            self._next_look = 0.0
            return
        if worker.error and exit_code == WRONG_USAGE:
            raise from_kind(str(worker.error["kind"]), str(worker.error["message"]))
        if exit_code != DONE and task.tries > self._spec.budgets.node and not worker.error:
            raise from_kind("AgentError", f"workers end before they begin (exit {exit_code}): {worker.words()}")

    def _leave(self) -> None:
        """Tell all workers to stop, and wait until they have uploaded what is finished; a second Ctrl-C does not."""
        workers = [slot.worker for slot in self._slots if slot.worker is not None]
        for worker in workers:
            worker.signal(signal.SIGINT)
        end = self._clock.monotonic() + self._grace + LEAVE_SECONDS
        for worker in workers:
            worker.wait(max(0.0, end - self._clock.monotonic()))
        while any(slot.worker for slot in self._slots) and self._clock.monotonic() < end:
            self._cancelled = True  # nothing is started again
            self._listen()
