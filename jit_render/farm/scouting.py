"""A look ahead: three frames tell what the whole shot will take.

The first, the middle and the last frame are rendered, and the job stands still; everything about it is as if it had
been interrupted, and ``jit-render resume`` goes on. From what the three took follows what the rest will take: frame
times of a shot change slowly as a rule (a camera comes near, a crowd grows), so they are joined by straight lines, and
what lies below is the expectation: the middle frame counts for half, the outer two for a quarter each. The range is
what would come of it were all frames like the quickest of the three, or like the slowest. Three frames see no peak.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from jit_render.farm.pinning import index_of, pinned
from jit_render.farm.records import JobReader
from jit_render.model.errors import UsageError
from jit_render.model.frames import FrameSet
from jit_render.model.job import CommitRecord, JobSpec


@dataclass(frozen=True, slots=True)
class ScoutedFrame:
    """What one frame took. `bytes_read` is what it was planned to read; None for a job without a plan."""

    frame: int
    seconds: float
    bytes_read: int | None
    bytes_written: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of a quantity, for all frames that are left."""

    expected: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Findings:
    """What a scout has found. Seconds are a renderer's; with `workers` of them it takes `wall` from now."""

    frames: tuple[ScoutedFrame, ...]
    frames_left: int
    tasks_left: int
    start_seconds: float
    """From a worker's start to its first frame: the agent, the renderer, the script."""
    workers: int
    seconds: Estimate
    wall: Estimate
    bytes_written: Estimate


def scouted_frames(spec: JobSpec) -> FrameSet:
    """First, middle and last of the job. Raises UsageError for a job that cannot be rendered in parts."""
    movies = [write.name for write in spec.writes if not write.per_frame]
    if movies:
        raise UsageError(f"{movies[0]} writes a movie, which is rendered in one piece; scout with another Write.")
    frames = sorted(spec.frame_set)
    return FrameSet.of(sorted({frames[0], frames[len(frames) // 2], frames[-1]}))


def findings(reader: JobReader, frames: FrameSet, workers: int) -> Findings:
    """What the records say of the scouted `frames`; those that are not done are left out. Raises StoreError."""
    spec = reader.spec()
    left = reader.missing()
    tasks = sum(bool(set(left).intersection(task)) for task in spec.tasks())
    found = _measured(reader, frames)
    starts = [attempt.spent.start_seconds for attempt in reader.attempts() if attempt.frames_done]
    start = statistics.fmean(starts) if starts else 0.0
    seconds = _estimate([one.seconds for one in found], len(left), more=tasks * start)
    used = max(1, min(workers, tasks))
    return Findings(
        frames=tuple(found),
        frames_left=len(left),
        tasks_left=tasks,
        start_seconds=start,
        workers=used,
        seconds=seconds,
        wall=Estimate(seconds.expected / used, seconds.least / used, seconds.most / used),
        bytes_written=_estimate([one.bytes_written for one in found], len(left)),
    )


def _measured(reader: JobReader, frames: FrameSet) -> list[ScoutedFrame]:
    spec = reader.spec()
    by_frame = {frame: spec.commits(frame) for frame in frames}
    records = reader.commit_records(key for keys in by_frame.values() for key in keys)
    planned = pinned(reader, index_of(reader), frames) if spec.inputs else None
    found = []
    for frame, keys in by_frame.items():
        own = [records[key] for key in keys if key in records]
        if len(own) == len(keys):
            read = None if planned is None else sum(info.size_bytes for info in planned[frame])
            sizes = {output.url: output.size_bytes for record in own for output in record.outputs}
            found.append(ScoutedFrame(frame, seconds_of(own), read, sum(sizes.values())))
    return found


def seconds_of(records: Sequence[CommitRecord]) -> float:
    """How long a renderer was at one frame: its Writes one after another, the views of each in one go."""
    longest: dict[str, float] = {}
    for record in records:
        longest[record.write] = max(record.render_seconds, longest.get(record.write, 0.0))
    return sum(longest.values())


def _estimate(measured: Sequence[float], frames: int, *, more: float = 0.0) -> Estimate:
    if not measured:
        return Estimate(0.0, 0.0, 0.0)
    middle = measured[len(measured) // 2]
    mean = (measured[0] + 2 * middle + measured[-1]) / 4
    return Estimate(frames * mean + more, frames * min(measured) + more, frames * max(measured) + more)
