"""How a job went, in a dozen aligned lines: what is done, what it took, where the frames are, what is wrong."""

from __future__ import annotations

from jit_render.farm.holding import told
from jit_render.farm.status import JobStatus, WriteStatus
from jit_render.model.errors import PathRefused
from jit_render.model.frames import spell
from jit_render.model.job import JobSpec, Spent, WriteTarget
from jit_render.report.words import FEW_VIEWS, count, duration, share, size

Lines = list[tuple[str, str]]
MOST_TROUBLES = 8


def summarise(status: JobStatus, spec: JobSpec, *, wall_seconds: float | None = None) -> list[str]:
    """Lines for people. `wall_seconds`: how long the command took, where it ran the job."""
    rows = [
        *_frames(status),
        *_time(status, wall_seconds),
        *_bytes(status),
        *_attempts(status),
        *_places(status, spec),
    ]
    width = max(len(label) for label, _ in rows)
    lines = [f"{status.job}: {status.state}"]
    lines += [f"  {label.ljust(width)}  {text}" for label, text in rows]
    if status.state == "held" and status.hold is not None:
        return [*lines, f"  {told(status.job, status.hold)}"]
    return lines + _troubles(status) + [f"  {note}" for note in status.notes]


def exit_code_of(status: JobStatus) -> int:
    """What a command that waited for the job ends with: 0, 1, 3 or 75; the gravest trouble decides."""
    if status.state == "done":
        return 0
    codes = {attempt.exit_code for attempt in status.troubles}
    return next((code for code in (1, 2, 3) if code in codes), 1 if status.state in {"cancelled", "held"} else 75)


def _frames(status: JobStatus) -> Lines:
    rows = [("frames", f"{status.frames_done} of {status.frames_total} done")]
    if status.frames_failed:
        rows[0] = ("frames", f"{rows[0][1]}, {status.frames_failed} failed")
    by_write: dict[str, list[WriteStatus]] = {}
    for one in status.writes:
        by_write.setdefault(one.write, []).append(one)
    for name, views in by_write.items() if len(status.writes) > 1 else ():
        if len(views) > FEW_VIEWS:
            told = f"{sum(one.done for one in views):,} of {sum(one.total for one in views):,}"
            rows.append((f"  {name}", f"{told} in {len(views)} views"))
        else:
            rows += [(f"  {name} {one.view}", f"{one.done} of {one.total}") for one in views]
    return rows


def _time(status: JobStatus, wall_seconds: float | None) -> Lines:
    spent = status.spent
    rows = [("time", duration(status.seconds if wall_seconds is None else wall_seconds))]
    if status.attempts and status.frames_done:
        per_frame = spent.render_seconds / status.frames_done
        waits = f"{duration(spent.fetch_wait_seconds)} of it waiting for files"
        rows.append(("per frame", f"{per_frame:.2f} s in a renderer, {waits} in all"))
    return rows


def _bytes(status: JobStatus) -> Lines:
    spent = status.spent
    asked = spent.hits + spent.misses
    moved = [("fetched", size(spent.bytes_fetched)), ("uploaded", _sent(spent))]
    if not asked:
        return moved if spent.bytes_fetched else []  # a renderer that needs no cache
    return [
        ("cache", f"{spent.hits:,} of {count(asked, 'file')} were on the node already ({share(status.hit_rate)})"),
        ("fetched", f"{size(spent.bytes_fetched)}, and {size(spent.bytes_from_cache)} from the cache"),
        ("uploaded", size(spent.bytes_uploaded)),
        *_plan(status),
    ]


def _sent(spent: Spent) -> str:
    sent = size(spent.bytes_uploaded)
    if not spent.bytes_same:
        return sent
    return f"{sent}; {size(spent.bytes_same)} came out the same as in the bucket, which stays"


def _plan(status: JobStatus) -> Lines:
    """How well the plan and what was fetched ahead of need met the frames."""
    spent = status.spent
    ahead = spent.prefetch_useful + spent.prefetch_late + spent.prefetch_wasted
    rows = []
    if ahead:
        told = f"{spent.prefetch_late:,} of them late, {spent.prefetch_wasted:,} for nothing"
        rows.append(("fetched ahead", f"{count(ahead, 'file')}, {told}"))
    if spent.unplanned:
        rows.append(("unplanned", f"{count(spent.unplanned, 'read')}; --plan-diff tells which"))
    return rows


def _attempts(status: JobStatus) -> Lines:
    if not status.attempts:
        return []
    ended = ", ".join(f"{number} {kind.replace('_', ' ')}" for kind, number in sorted(status.failures.items()))
    lost = f"; {count(status.frames_lost, 'frame')} begun and lost" if status.frames_lost else ""
    fine = status.attempts - sum(status.failures.values()) - len(status.running)
    return [("attempts", ", ".join(filter(None, [f"{fine} done", ended])) + lost)]


def _places(status: JobStatus, spec: JobSpec) -> Lines:
    rows = [("in the bucket", place) for write in spec.writes for place in [_place(write, spec)] if place]
    return [*rows, ("records", status.home)]


def _place(write: WriteTarget, spec: JobSpec) -> str:
    try:
        mapped = spec.path_map.find(write.file)
    except PathRefused:
        return ""
    return str(mapped.url) if mapped else ""


def _troubles(status: JobStatus) -> list[str]:
    """What each failed task says; tasks that say the same share a line."""
    tasks: dict[tuple[str, str], list[int]] = {}
    for attempt in status.troubles:
        kind = attempt.failure.value.replace("_", " ") if attempt.failure else "ended"
        tasks.setdefault((kind, attempt.message), []).append(attempt.task)
    lines = [
        f"  {'task' if len(numbers) == 1 else 'tasks'} {spell(numbers)} ({kind}): {message}"
        for (kind, message), numbers in tasks.items()
    ]
    more = len(lines) - MOST_TROUBLES
    return lines[:MOST_TROUBLES] + ([f"  ... and {count(more, 'more message')}"] if more > 0 else [])
