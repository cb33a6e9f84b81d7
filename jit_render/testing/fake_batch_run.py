"""How the fake Batch runs one job: nodes that take tasks, exit codes that decide on retries, states that add up."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.cloud import batch_v1

from jit_render.testing.fake_batch_node import PREEMPTED, FakeNode, Fate

JobState = batch_v1.JobStatus.State
TaskState = batch_v1.TaskStatus.State
OVER = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
_ENDED = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.UNEXECUTED})


@dataclass(frozen=True, slots=True)
class Preemption:
    """`rate`: the share of attempts that lose their node. `window`: at most so many seconds after the worker began.

    `silent`: the share of the hits that come without a notice. The same seed hits the same attempts. `is_due`, of a
    task's number and its attempt, counted from 0: what must have come about first.
    """

    rate: float
    seed: int = 0
    window: float = 1.0
    grace: float = 2.0
    silent: float = 0.0
    is_due: Callable[[int, int], bool] = lambda _task, _attempt: True

    def fate(self, task: int, attempt: int) -> Fate | None:
        dice = random.Random(f"{self.seed}/{task}/{attempt}")
        if dice.random() >= self.rate:
            return None
        after, has_notice = dice.random() * self.window, dice.random() >= self.silent
        return Fate(after, self.grace, has_notice, lambda: self.is_due(task, attempt))


@dataclass
class FakeTask:
    """One task as the service keeps it. `retries` counts what was spent of max_retry_count."""

    index: int
    state: Any = TaskState.PENDING
    retries: int = 0
    exit_codes: list[int] = field(default_factory=list)
    events: list[batch_v1.StatusEvent] = field(default_factory=list)

    def move(self, state: Any, description: str, exit_code: int | None = None) -> None:
        event = batch_v1.StatusEvent(type_="STATUS_CHANGED", description=description, task_state=state)
        if exit_code is not None:
            event.task_execution = batch_v1.TaskExecution(exit_code=exit_code)
        self.state = state
        self.events.append(event)


class JobRun:
    """One job. `changed` guards its state and is notified of every change."""

    def __init__(
        self,
        job: batch_v1.Job,
        *,
        folder: Path,
        places: Mapping[str, str],
        variables: Mapping[str, str],
        nodes: int,
        zone: str,
        preemption: Preemption | None,
        changed: threading.Condition,
    ) -> None:
        self.job = job
        self.changed = changed
        self.state: Any = JobState.QUEUED
        self.events: list[batch_v1.StatusEvent] = []
        group = job.task_groups[0]
        count = group.task_count or 1
        self.tasks = [FakeTask(index) for index in range(count)]
        self.nodes_made = 0
        self._folder = folder
        self._places = places
        self._variables = variables
        self._zone = zone
        self._preemption = preemption
        self._width = min(group.parallelism or count, count, nodes)
        self._alive: set[FakeNode] = set()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self._move(JobState.SCHEDULED)
        for number in range(self._width):
            thread = threading.Thread(target=self._serve, name=f"fake-node-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, state: Any) -> None:
        """End everything that runs, at once and without a word; then the job has that state."""
        with self.changed:
            if self.state not in OVER:
                self.state = JobState.CANCELLATION_IN_PROGRESS
            for task in self.tasks:
                if task.state is TaskState.PENDING:
                    task.move(TaskState.UNEXECUTED, "the job was stopped")
            self.changed.notify_all()
        while any(thread.is_alive() for thread in self._threads):
            for node in list(self._alive):
                node.kill()
            for thread in self._threads:
                thread.join(0.05)
        self._move(state)

    def counts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for task in self.tasks:
            found[task.state.name] = found.get(task.state.name, 0) + 1
        return found

    def _move(self, state: Any) -> None:
        with self.changed:
            if self.state in OVER or state is self.state:
                return
            words = f"Job state is set from {self.state.name} to {state.name} for job {self.job.name}."
            self.events.append(batch_v1.StatusEvent(type_="STATUS_CHANGED", description=words))
            self.state = state
            self.changed.notify_all()

    def _serve(self) -> None:
        """One place for a node: tasks run on it until none is left; a node that is lost is replaced."""
        node: FakeNode | None = None
        while (task := self._take()) is not None:
            node = node or self._new_node()
            code = self._run(node, task)
            if node.is_lost.is_set():
                self._drop(node)
                node = None
            self._ended(task, code)
        if node is not None:
            self._drop(node)

    def _take(self) -> FakeTask | None:
        with self.changed:
            while self.state not in OVER and self.state is not JobState.CANCELLATION_IN_PROGRESS:
                task = next((task for task in self.tasks if task.state is TaskState.PENDING), None)
                if task is not None:
                    task.move(TaskState.RUNNING, f"Task state is updated from PENDING to RUNNING, retry {task.retries}")
                    self._move(JobState.RUNNING)
                    return task
                if all(task.state in _ENDED for task in self.tasks):
                    return None
                self.changed.wait()
            return None

    def _new_node(self) -> FakeNode:
        with self.changed:
            self.nodes_made += 1
            name = f"{self.job.name.rpartition('/')[2]}-node-{self.nodes_made}"
        instances = self.job.allocation_policy.instances
        machine = instances[0].policy.machine_type if instances else "n2-standard-2"
        project = self.job.name.split("/")[1]
        node = FakeNode(self._folder / "disks", name, project=project, zone=self._zone, machine=machine)
        with self.changed:
            self._alive.add(node)
        return node

    def _drop(self, node: FakeNode) -> None:
        node.destroy()
        with self.changed:
            self._alive.discard(node)

    def _run(self, node: FakeNode, task: FakeTask) -> int:
        group = self.job.task_groups[0]
        spec = group.task_spec
        variables = {
            **self._variables,
            **spec.environment.variables,
            "BATCH_TASK_INDEX": str(task.index),
            "BATCH_TASK_COUNT": str(len(self.tasks)),
            "BATCH_TASK_RETRY_ATTEMPT": str(task.retries),
            "BATCH_JOB_UID": self.job.uid,
        }
        places = {**self._places, **{volume.mount_path: str(node.disk) for volume in spec.volumes}}
        is_spot = any(one.policy.provisioning_model.name == "SPOT" for one in self.job.allocation_policy.instances)
        fate = self._preemption.fate(task.index, task.retries) if self._preemption and is_spot else None
        logs = self._folder / "logs" / self.job.uid
        logs.mkdir(parents=True, exist_ok=True)
        code = 0
        for number, runnable in enumerate(spec.runnables):
            log = logs / f"{task.index}-{task.retries}-{number}.log"
            code = node.run(runnable.script.text, variables, places, log=log, fate=fate)
            if code and not runnable.ignore_exit_status:
                break
        return code

    def _ended(self, task: FakeTask, code: int) -> None:
        with self.changed:
            task.exit_codes.append(code)
            if code == 0:
                task.move(TaskState.SUCCEEDED, "Task state is updated from RUNNING to SUCCEEDED")
            elif self.state is not JobState.CANCELLATION_IN_PROGRESS and self._is_tried_again(task, code):
                task.retries += 1
                task.move(TaskState.PENDING, _words(code), code)
            else:
                task.move(TaskState.FAILED, _words(code), code)
            if all(one.state in _ENDED for one in self.tasks):
                failed = any(one.state is not TaskState.SUCCEEDED for one in self.tasks)
                if self.state is not JobState.CANCELLATION_IN_PROGRESS:
                    self._move(JobState.FAILED if failed else JobState.SUCCEEDED)
            self.changed.notify_all()

    def _is_tried_again(self, task: FakeTask, code: int) -> bool:
        spec = self.job.task_groups[0].task_spec
        if task.retries >= spec.max_retry_count:
            return False
        for policy in spec.lifecycle_policies:
            asks_retry = policy.action == batch_v1.LifecyclePolicy.Action.RETRY_TASK
            return asks_retry if code in policy.action_condition.exit_codes else not asks_retry
        return True


def _words(code: int) -> str:
    why = " due to Spot VM preemption" if code == PREEMPTED else ""
    return f"Task state is updated from RUNNING to FAILED{why} with exit code {code}."
