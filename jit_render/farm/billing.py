"""Records and prices joined: what a job has cost, what it will cost, what it would have cost.

The arithmetic is in `jit_render.cost`; here is where its numbers come from. Prices are the package's tables with those
of this machine's user laid over them (``~/.config/jit-render/prices``).
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from jit_render.cost import Prices, prices
from jit_render.cost.bill import Bill, Terms, bill
from jit_render.cost.estimate import Load, Range, length_of
from jit_render.cost.usage import FrameUse, occupied_seconds
from jit_render.cost.whatif import Alternatives, Work, alternatives
from jit_render.farm.measures import measured, shot_of
from jit_render.farm.records import JobReader, encode, list_jobs, read_record, state_of
from jit_render.farm.scouting import seconds_of
from jit_render.model.errors import PreconditionFailed
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import (
    AttemptRecord,
    CommitKey,
    CommitRecord,
    EstimateRecord,
    JobPaths,
    JobSpec,
    RangeRecord,
)
from jit_render.model.settings import Settings
from jit_render.store import ABSENT, Store

_VERSION = re.compile(r"(?<![a-z])v(\d+)", re.IGNORECASE)


def price_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where tables of one's own lie, beside the user's settings."""
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".config")
    return Path(home) / "jit-render" / "prices"


def prices_of(settings: Settings, at: date | None = None) -> Prices:
    """The prices of the configured region. Raises ConfigError."""
    return prices(settings.gcp.region, at=at, extra_folder=price_folder())


def terms_of(settings: Settings, machine: str = "") -> Terms:
    """What the settings say of nodes; `machine` instead of theirs."""
    gcp = settings.gcp
    return Terms(machine or gcp.machine, gcp.provisioning, gcp.local_ssds)


@dataclass(frozen=True, slots=True)
class JobCost:
    """One job's bill, and what it is read beside."""

    spec: JobSpec
    bill: Bill
    attempts: tuple[AttemptRecord, ...]
    records: Mapping[CommitKey, CommitRecord]
    terms: Terms
    prices: Prices
    alternatives: Alternatives
    estimate: EstimateRecord | None

    @property
    def frames_done(self) -> int:
        """Frames that this job has rendered or adopted."""
        return sum(
            bool(keys) and all(key in self.records for key in keys)
            for keys in (self.spec.commits(frame) for frame in self.spec.frame_set)
        )

    @property
    def version(self) -> str:
        return version_of(self.spec)


def version_of(spec: JobSpec) -> str:
    """The script's version by its name (``v012``), or the beginning of its checksum."""
    found = _VERSION.findall(Path(spec.script_name).stem)
    return f"v{found[-1]}" if found else spec.script_sha256[:8]


def cost_of(settings: Settings, reader: JobReader, *, now: float, machine: str = "") -> JobCost:
    """What the job has cost up to `now`, at the prices of the day it was submitted.

    `machine`: as if on that one, whatever the records say. Raises JobNotFound, ConfigError for a missing price.
    """
    spec = reader.spec()
    attempts = reader.attempts()
    if machine:
        attempts = [one.model_copy(update={"machine": ""}) for one in attempts]
    keys = [key for frame in spec.frame_set for key in spec.commits(frame)]
    records = reader.commit_records(reader.committed_of(keys))
    committed = uses(records.values())
    on = prices_of(settings, datetime.fromtimestamp(spec.created, UTC).date())
    terms = terms_of(settings, machine)
    made = bill(attempts, committed, spec.tasks(), prices=on, terms=terms, now=now)
    work = Work(
        seconds=made.seconds,
        hours=made.hours,
        wall_hours=_wall_hours(attempts, now),
        bytes_read=sum(one.spent.bytes_fetched + one.spent.bytes_from_cache for one in attempts),
        bytes_written=made.bytes_written,
        bytes_kept=made.bytes_written + sum(one.spent.bytes_fetched for one in attempts),
    )
    return JobCost(
        spec,
        made,
        tuple(attempts),
        records,
        terms,
        on,
        alternatives(work, made, prices=on, terms=terms),
        read_record(reader.store, reader.paths.estimate, EstimateRecord),
    )


def jobs_of_shot(store: Store, home: ObjectUrl) -> list[ObjectUrl]:
    """The jobs beside `home` that are of its shot, whatever the script's version, oldest first."""
    state = home.parent.parent
    spec = JobReader(store, home).spec()
    wanted = shot_of(spec.shot), spec.show
    alike = [one for one in list_jobs(store, state) if (shot_of(one.shot), one.show) == wanted]
    return [JobPaths.of(state, one.id).home for one in reversed(alike)] or [home]


def uses(records: Iterable[CommitRecord]) -> dict[tuple[int, int], list[FrameUse]]:
    """Per attempt, what it committed; frames adopted from earlier jobs cost this one nothing."""
    grouped: dict[tuple[int, int], dict[int, list[CommitRecord]]] = {}
    for record in records:
        if not record.adopted_from:
            grouped.setdefault((record.task, record.attempt), {}).setdefault(record.frame, []).append(record)
    return {
        attempt: [FrameUse(frame, seconds_of(found), _bytes_of(found)) for frame, found in sorted(frames.items())]
        for attempt, frames in grouped.items()
    }


def _bytes_of(records: Iterable[CommitRecord]) -> int:
    """Outputs of several views may be one file."""
    return sum({output.url: output.size_bytes for record in records for output in record.outputs}.values())


def _wall_hours(attempts: Iterable[AttemptRecord], now: float) -> float:
    """Hours in which any attempt ran; a night between two runs is none."""
    total = end = 0.0
    for one in sorted(attempts, key=lambda attempt: attempt.started):
        until = one.started + occupied_seconds(one, now)
        total += max(0.0, until - max(end, one.started))
        end = max(end, until)
    return total / 3600


def estimate(
    settings: Settings, store: Store, spec: JobSpec, *, frames: int = 0, terms: Terms | None = None, nodes: int = 0
) -> EstimateRecord:
    """What a job will take: `frames` of it (0: all) on at most `nodes` (0: what the settings say).

    From what earlier jobs of the shot have measured, or a guess that says it is one. Raises ConfigError for a machine
    without a price, StoreError.
    """
    by = measured(store, state_of(settings), spec.shot, spec.show)
    terms = terms or terms_of(settings)
    count = frames or len(spec.frame_set)
    tasks = max(1, math.ceil(len(spec.tasks()) * count / len(spec.frame_set)))
    machines = min(nodes or settings.gcp.nodes, tasks)
    load = Load(
        frames=count,
        tasks=tasks,
        nodes=machines,
        frame_seconds=statistics.fmean(by.costs.frame_seconds),
        start_seconds=by.costs.start_seconds,
        unknown=by.costs.unknown,
        preemptions_per_hour=by.costs.preemptions_per_hour if terms.provisioning == "spot" else 0.0,
    )
    length = length_of(load)
    each = f"{load.frame_seconds:.2f} s a frame, {load.start_seconds:.1f} s to start"
    basis = f"{each}, as measured in {by.job}" if by.job else f"{each}: a guess; nothing of the shot was measured yet"
    per_hour = terms.hour(prices_of(settings))
    return EstimateRecord(
        machine=terms.machine,
        provisioning=terms.provisioning,
        nodes=machines,
        frames=count,
        hours=_range(length.wall_hours),
        node_hours=_range(length.node_hours),
        usd=_range(length.node_hours.times(per_hour)),
        basis=basis,
    )


def put_estimate(store: Store, home: ObjectUrl, expected: EstimateRecord) -> None:
    """Keep the estimate beside the job, for comparing; the first one stands."""
    with contextlib.suppress(PreconditionFailed):
        store.write(JobPaths(home).estimate, encode(expected), if_generation=ABSENT)


def _range(of: Range) -> RangeRecord:
    return RangeRecord(low=of.low, mid=of.mid, high=of.high)
