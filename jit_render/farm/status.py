"""How a job stands, from its records alone: two listings, and the attempt records that changed since the last look.

Commit records are counted by name and never read, so a look at a job of 10,000 frames costs a handful of requests.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from jit_render.farm.attempts import Pulse
from jit_render.farm.budgets import may_retry
from jit_render.farm.holding import hold_of
from jit_render.farm.outcome import WRONG_USAGE
from jit_render.farm.records import JobReader, concurrently, read_attempt, task_of
from jit_render.model.clock import Clock
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import AttemptRecord, CommitKey, FailureClass, HoldRecord, JobSpec, Spent
from jit_render.store import Store

State = Literal["waiting", "running", "done", "failed", "cancelled", "held"]
_STOPPED = {FailureClass.PREEMPTED, FailureClass.CANCELLED}


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """Frames of one view of one Write."""

    write: str
    view: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class JobStatus:
    """One look at a job. Seconds are wall time; `failed` frames belong to tasks that are not tried again."""

    job: str
    home: str
    shot: str
    state: State
    frames_total: int
    frames_done: int
    frames_running: int
    frames_failed: int
    writes: tuple[WriteStatus, ...]
    running: tuple[AttemptRecord, ...]
    """Attempts that are alive."""
    troubles: tuple[AttemptRecord, ...]
    """The last attempt of every unfinished task, where it failed."""
    attempts: int
    failures: dict[str, int]
    """Ended attempts by class of failure."""
    frames_lost: int
    """Frames begun and not committed, over all attempts."""
    spent: Spent
    seconds: float
    """From the first attempt's start to the last sign of life."""
    eta_seconds: float | None
    notes: tuple[str, ...] = ()
    """What the engine knows and the records do not."""
    hold: HoldRecord | None = None
    """Of a job that has spent its budget."""

    @property
    def hit_rate(self) -> float | None:
        """Share of the files handed to renderers that were on the node already; None before the first."""
        asked = self.spent.hits + self.spent.misses
        return self.spent.hits / asked if asked else None

    @property
    def is_over(self) -> bool:
        return self.state in {"done", "failed", "cancelled", "held"}


@dataclass
class StatusFollower:
    """Looks at one job again and again, reading only what is new."""

    store: Store
    home: ObjectUrl
    clock: Clock
    _attempts: dict[tuple[int, int], AttemptRecord] = field(default_factory=dict)
    _generations: dict[tuple[int, int], str] = field(default_factory=dict)
    _committed: dict[CommitKey, float] = field(default_factory=dict)
    _reader: JobReader = field(init=False)
    _pulse: Pulse = field(init=False)

    def __post_init__(self) -> None:
        self._pulse = Pulse(self.clock)
        self._reader = JobReader(self.store, self.home)

    def refresh(self) -> JobStatus:
        """The job now. Raises JobNotFound."""
        spec = self._reader.spec()
        self._read_commits(spec)
        self._read_attempts()
        attempts = [self._attempts[key] for key in sorted(self._attempts)]
        return _summary(
            spec,
            self.home,
            committed=self._committed,
            attempts=attempts,
            alive=tuple(attempt for attempt in attempts if self._pulse.is_alive(attempt)),
            cancelled=self._reader.is_cancelled(),
            hold=hold_of(self.store, self.home),
            now=self.clock.wall(),
        )

    def _read_commits(self, spec: JobSpec) -> None:
        wanted = sum(len(spec.commits(frame)) for frame in spec.frame_set)
        if len(self._committed) < wanted:
            for info in self.store.list(self._reader.paths.frames):
                key = self._reader.key_of(info.url)
                if key is not None:
                    self._committed.setdefault(key, info.updated)

    def _read_attempts(self) -> None:
        infos = self._reader.attempt_infos()
        changed = {key: info for key, info in infos.items() if self._generations.get(key) != info.id.generation}
        records = concurrently(lambda info: read_attempt(self.store, info.url), changed.values())
        for (key, info), record in zip(changed.items(), records, strict=True):
            if record is not None:
                self._attempts[key] = record
                self._generations[key] = info.id.generation


def _summary(
    spec: JobSpec,
    home: ObjectUrl,
    *,
    committed: dict[CommitKey, float],
    attempts: list[AttemptRecord],
    alive: tuple[AttemptRecord, ...],
    cancelled: bool,
    hold: HoldRecord | None,
    now: float,
) -> JobStatus:
    left = {frame for frame in spec.frame_set if any(key not in committed for key in spec.commits(frame))}
    tasks = task_of(spec)
    unfinished = {tasks[frame] for frame in left}
    by_task: dict[int, list[AttemptRecord]] = {}
    for attempt in attempts:
        by_task.setdefault(attempt.task, []).append(attempt)
    hopeless = {task for task in unfinished if _is_hopeless(by_task.get(task, []), spec)}
    running = {attempt.frame_in_hand for attempt in alive} & left
    return JobStatus(
        job=spec.id,
        home=str(home),
        shot=spec.shot,
        state=_state(len(left), alive, cancelled, hold is not None, _has_failed(by_task, hopeless, unfinished)),
        frames_total=len(spec.frame_set),
        frames_done=len(spec.frame_set) - len(left),
        frames_running=len(running),
        frames_failed=sum(tasks[frame] in hopeless for frame in left),
        writes=_by_write(spec, committed),
        running=alive,
        troubles=tuple(by_task[task][-1] for task in sorted(unfinished & by_task.keys()) if by_task[task][-1].failure),
        attempts=len(attempts),
        failures=dict(Counter(attempt.failure.value for attempt in attempts if attempt.failure is not None)),
        frames_lost=sum(attempt.frames_lost for attempt in attempts),
        spent=_sum(attempts),
        seconds=max((a.heartbeat for a in attempts), default=0.0) - min((a.started for a in attempts), default=0.0),
        eta_seconds=_eta(len(left), alive, committed, now),
        hold=hold,
    )


def _is_hopeless(attempts: list[AttemptRecord], spec: JobSpec) -> bool:
    if not attempts or attempts[-1].failure is None or attempts[-1].failure in _STOPPED:
        return False
    return not may_retry(attempts, spec.budgets)


def _state(
    left: int,
    alive: tuple[AttemptRecord, ...],
    cancelled: bool,
    held: bool,
    failed: bool,
) -> State:
    if not left:
        return "done"
    if alive:
        return "running"
    if cancelled:
        return "cancelled"
    if held:
        return "held"
    return "failed" if failed else "waiting"


def _has_failed(by_task: dict[int, list[AttemptRecord]], hopeless: set[int], unfinished: set[int]) -> bool:
    """No task can go on, or one failed for a reason that stops them all (exit code 2)."""
    return hopeless == unfinished or any(by_task[task][-1].exit_code == WRONG_USAGE for task in hopeless)


def _by_write(spec: JobSpec, committed: dict[CommitKey, float]) -> tuple[WriteStatus, ...]:
    done = Counter((key.write, key.view) for key in committed)
    return tuple(
        WriteStatus(write.name, view, done[write.name, view], sum(map(write.covers, spec.frame_set)))
        for write in spec.writes
        for view in write.views
    )


def _sum(attempts: list[AttemptRecord]) -> Spent:
    totals: dict[str, float] = {
        name: sum(getattr(attempt.spent, name) for attempt in attempts) for name in Spent.model_fields
    }
    totals["peak_memory_bytes"] = max((attempt.spent.peak_memory_bytes for attempt in attempts), default=0)
    return Spent.model_validate(totals)


def _eta(left: int, alive: tuple[AttemptRecord, ...], committed: dict[CommitKey, float], now: float) -> float | None:
    """What is left, at the rate since the attempts that run now began."""
    if not left or not alive:
        return None
    begun = min(attempt.started for attempt in alive)
    fresh = {key.frame for key, at in committed.items() if at >= begun}
    return left * (now - begun) / len(fresh) if fresh else None
