"""What earlier jobs of a shot have measured, for choosing the length of the next one's tasks.

The records of every job say how long its workers took to start, how long its frames took, and how often a node was
taken away. The newest job of the shot that has finished frames counts, be it only a scout's three; preemptions are
rare, so they are counted over several jobs.
"""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass

from jit_render.farm.chunking import UNKNOWN_GUESSED, Costs, chunk_length
from jit_render.farm.records import JobReader, list_jobs, state_of
from jit_render.farm.scouting import seconds_of
from jit_render.model.errors import JobError
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import AttemptRecord, FailureClass, JobPaths
from jit_render.model.settings import Settings
from jit_render.store import Store

JOBS = 5  # earlier jobs that are looked at
SAMPLES = 33  # frames whose records are read, spread over the shot

GUESS = Costs(start_seconds=30.0, frame_seconds=(30.0,), preemptions_per_hour=0.05, unknown=UNKNOWN_GUESSED)
"""For a shot of which nothing is known: a large script in Nuke, a middling frame, a Spot node lost now and then."""
GUESS_HOURS = 20.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Costs, and the job whose frames were measured; empty for the guess."""

    costs: Costs
    job: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A length, and why."""

    length: int
    workers: int
    by: Measured

    def __str__(self) -> str:
        costs = self.by.costs
        source = (
            f"as in {self.by.job}" if self.by.job else "guessed; a scout or an earlier job of the shot tells better"
        )
        return (
            f"chunks of {self.length}: {self.workers} workers, {costs.start_seconds:.1f} s to start, "
            f"{statistics.fmean(costs.frame_seconds):.2f} s a frame ({source})"
        )


def choose_chunk(settings: Settings, store: Store, shot: str, *, show: str, frames: int, workers: int) -> Chosen:
    """How long the tasks of the shot's next job should be; `workers` 0: what the settings say. Raises StoreError."""
    count = workers or settings.farm.workers
    by = measured(store, state_of(settings), shot, show or settings.job.show)
    return Chosen(chunk_length(frames, count, by.costs), count, by)


def measured(store: Store, state: ObjectUrl, shot: str, show: str = "") -> Measured:
    """What the jobs under `state` say of the shot. Raises StoreError."""
    wanted = (shot_of(shot), show)
    alike = [one.id for one in list_jobs(store, state) if (shot_of(one.shot), one.show) == wanted]
    readers = [JobReader(store, JobPaths.of(state, name).home) for name in alike[:JOBS]]
    attempts = {reader.paths.job_id: reader.attempts() for reader in readers}
    rate = _preemptions_per_hour([one for found in attempts.values() for one in found])
    for reader in readers:
        starts = [one.spent.start_seconds for one in attempts[reader.paths.job_id] if one.frames_done]
        seconds = _frame_seconds(reader) if starts else ()
        if seconds:
            start = statistics.median(starts)  # the first on a node is slower than those after it
            return Measured(Costs(start, seconds, rate), reader.paths.job_id)
    return Measured(GUESS)


def _preemptions_per_hour(attempts: list[AttemptRecord]) -> float:
    """Counted, on top of the guess as if that had been `GUESS_HOURS` of watching: a minute's luck says little."""
    hours = sum((one.ended or one.heartbeat) - one.started for one in attempts) / 3600
    count = sum(one.failure is FailureClass.PREEMPTED for one in attempts)
    return (count + GUESS_HOURS * GUESS.preemptions_per_hour) / (hours + GUESS_HOURS)


def shot_of(name: str) -> str:
    """The shot without the script's version: ``sh010_comp_v012`` and ``…_v013`` are one."""
    return re.sub(r"[._-]?v\d+", "", name.lower())


def _frame_seconds(reader: JobReader) -> tuple[float, ...]:
    """Of finished frames, evenly spread over the job's, in their order; those of earlier jobs are left out."""
    try:
        spec = reader.spec()
    except JobError:
        return ()  # of another release
    done = reader.committed()
    frames = [frame for frame in spec.frame_set if all(key in done for key in spec.commits(frame))]
    chosen = (
        sorted({frames[number * (len(frames) - 1) // (SAMPLES - 1)] for number in range(SAMPLES)}) if frames else []
    )
    records = reader.commit_records(key for frame in chosen for key in spec.commits(frame))
    found = []
    for frame in chosen:
        own = [records[key] for key in spec.commits(frame) if key in records]
        if own and not any(record.adopted_from for record in own):
            found.append(seconds_of(own))
    return tuple(found)
