"""What the page of a job shows, as plain values: gathered once, for the page, CSV and JSON alike."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from jit_render.cost.usage import idle_gaps, split
from jit_render.farm.billing import JobCost, cost_of, uses
from jit_render.farm.plan_diff import PlanDiff, compare
from jit_render.farm.records import JobReader, task_of
from jit_render.farm.scouting import seconds_of
from jit_render.farm.status import JobStatus, StatusFollower
from jit_render.model.clock import Clock
from jit_render.model.errors import JitRenderError
from jit_render.model.settings import Settings


@dataclass(frozen=True, slots=True)
class PageFrame:
    """One frame that is done. `wait_seconds` is its share of what its attempt waited for files."""

    frame: int
    task: int
    attempt: int
    host: str
    seconds: float
    wait_seconds: float
    done_at: float
    bytes_written: int
    inputs: int
    usd: float
    adopted_from: str


@dataclass(frozen=True, slots=True)
class PageTask:
    """Files that one task's renderers asked for."""

    task: int
    hits: int
    misses: int


@dataclass(frozen=True, slots=True)
class PageData:
    """One job. `plan` is None for a job without one, and `plan_note` says why."""

    status: JobStatus
    cost: JobCost
    frames: tuple[PageFrame, ...]
    tasks: tuple[PageTask, ...]
    failures: tuple[tuple[str, int, str], ...]
    """Class of failure, how many attempts, and one of their messages."""
    plan: PlanDiff | None
    plan_note: str
    started: float
    made: float

    @property
    def slowest(self) -> Sequence[PageFrame]:
        return sorted(self.frames, key=lambda one: -one.seconds)[:10]


def gather(settings: Settings, reader: JobReader, clock: Clock, *, machine: str = "") -> PageData:
    """Raises JobNotFound, StoreError, ConfigError for a machine without a price."""
    status = StatusFollower(reader.store, reader.paths.home, clock).refresh()
    now = clock.wall()
    cost = cost_of(settings, reader, now=now, machine=machine)
    plan, note = None, ""
    try:
        plan = compare(reader)
    except JitRenderError as error:
        note = str(error)
    return PageData(
        status=status,
        cost=cost,
        frames=_frames(cost, now),
        tasks=_tasks(cost),
        failures=_failures(cost),
        plan=plan,
        plan_note=note,
        started=min((one.started for one in cost.attempts), default=cost.spec.created),
        made=now,
    )


def _frames(cost: JobCost, now: float) -> tuple[PageFrame, ...]:
    waits = _waits(cost, now)
    tasks = task_of(cost.spec)
    found = []
    for frame in cost.spec.frame_set:
        keys = cost.spec.commits(frame)
        records = [cost.records[key] for key in keys if key in cost.records]
        if not keys or len(records) < len(keys):
            continue
        last = max(records, key=lambda one: one.committed)
        share = 0.0 if last.adopted_from else waits.get((last.task, last.attempt), 0.0)
        seconds = seconds_of(records)
        found.append(
            PageFrame(
                frame=frame,
                task=tasks[frame],
                attempt=last.attempt,
                host=last.host,
                seconds=seconds,
                wait_seconds=seconds * share,
                done_at=last.committed,
                bytes_written=sum({out.url: out.size_bytes for one in records for out in one.outputs}.values()),
                inputs=len({source.url for one in records for source in one.inputs}),
                usd=cost.bill.frames[frame].total,
                adopted_from=last.adopted_from,
            )
        )
    return tuple(found)


def _waits(cost: JobCost, now: float) -> dict[tuple[int, int], float]:
    """Per attempt, the share of its frames' seconds that was waiting."""
    committed = uses(cost.records.values())
    gaps = idle_gaps(cost.attempts, now)
    found = {}
    for one in cost.attempts:
        key = one.task, one.attempt
        parts = split(one, committed.get(key, ()), now, gaps.get(key, 0.0))
        busy = parts.render + parts.fetch_wait
        found[key] = parts.fetch_wait / busy if busy else 0.0
    return found


def _tasks(cost: JobCost) -> tuple[PageTask, ...]:
    hits: Counter[int] = Counter()
    misses: Counter[int] = Counter()
    for one in cost.attempts:
        hits[one.task] += one.spent.hits
        misses[one.task] += one.spent.misses
    return tuple(PageTask(task, hits[task], misses[task]) for task in range(len(cost.spec.tasks())))


def _failures(cost: JobCost) -> tuple[tuple[str, int, str], ...]:
    failed = [one for one in cost.attempts if one.failure is not None]
    counted = Counter(one.failure.value for one in failed if one.failure)
    words = {one.failure.value: one.message for one in failed if one.failure}
    return tuple((kind, number, words[kind]) for kind, number in counted.most_common())


def frames_csv(data: PageData) -> str:
    """One row for each frame that is done."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = PageFrame.__dataclass_fields__.keys()
    writer.writerow(names)
    writer.writerows([getattr(one, name) for name in names] for one in data.frames)
    return out.getvalue()
