"""From a script on the artist's disk to a job in the bucket.

`prepare` (preparing.py) finds everything that is wrong with the request without touching the bucket. `submit` sees to
it that the planned inputs are there, looks at what earlier submissions of the same thing have left and does the least
that is right:

* every frame is already there: nothing;
* the last job of these frames is merely unfinished: that one goes on;
* otherwise a new job, into which the frames that are still right are adopted; with `force`, none is.

"The same thing" is the fingerprint. The spec is created last: a job without one does not exist, and an interrupted
submission leaves only a script and a manifest that the next one finds and uses, or passes by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jit_render.farm.attempts import Pulse
from jit_render.farm.pinning import put_manifest
from jit_render.farm.planning import Inputs, look
from jit_render.farm.preparing import ID_LIMIT, Options, Submission, job_id, prepare
from jit_render.farm.records import JobReader, add_to_index, encode
from jit_render.farm.reuse import Generations, Valid, adopt, pins_are_live, still_valid
from jit_render.model.clock import Clock
from jit_render.model.errors import JobConflict, JobNotFound, PreconditionFailed
from jit_render.model.frames import FrameSet
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import CommitRecord, FailureClass, JobPaths, JobSpec
from jit_render.store import ABSENT, Store

__all__ = ["ID_LIMIT", "Options", "Submission", "Submitted", "job_id", "prepare", "submit"]

_RACES = 5

Action = Literal["new", "resumed", "nothing"]


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of it."""

    spec: JobSpec
    home: ObjectUrl
    action: Action
    there: int
    """How many of the asked frames need no rendering."""
    message: str


def submit(store: Store, submission: Submission, clock: Clock, inputs: Inputs | None = None) -> Submitted:
    """Store the job, or find the one that already does this. Raises StoreError, JobConflict, MissingInput.

    `inputs`: what the bucket has of the plan, where it has been asked already.
    """
    inputs = inputs or look(store, submission.plan, submission.spec)
    if not submission.spec.allow_missing:
        inputs.check(submission.without_inputs)
    for _ in range(_RACES):
        done = _try_to_submit(store, submission, clock, inputs)
        if done is not None:
            add_to_index(store, submission.state, done.spec)
            return done
    raise JobConflict(f"{submission.spec.id}: others keep submitting the same job; try again.")


def _try_to_submit(store: Store, submission: Submission, clock: Clock, inputs: Inputs) -> Submitted | None:
    spec, frames = submission.spec, submission.spec.frame_set
    earlier, number = _earlier(store, submission)
    mine = [reader for reader in earlier if reader.spec().fingerprint == spec.fingerprint]
    adopted: dict[int, tuple[JobReader, tuple[CommitRecord, ...]]] = {}
    if not submission.force:
        generations = Generations(store, inputs.generations())
        for reader in reversed(mine):
            valid = still_valid(reader, frames, generations)
            if len(valid.frames) == len(frames):
                return _nothing_to_do(reader, len(frames))
            same_way = reader.spec().latest == spec.latest
            if reader is mine[-1] and same_way and _goes_on(reader, valid, frames, generations, clock):
                return _resumed(reader, len(valid.frames), len(frames))
            for frame, records in valid.frames.items():
                adopted.setdefault(frame, (reader, records))
    if any(not write.per_frame for write in spec.writes):
        adopted = {}
    return _create(store, submission, number, adopted, inputs)


def _earlier(store: Store, submission: Submission) -> tuple[list[JobReader], int]:
    """The jobs with this shot and these eight digits, oldest first, and the first number that is free."""
    found: list[JobReader] = []
    number = 1
    while True:
        name = job_id(submission.spec.shot, submission.spec.fingerprint, number)
        reader = JobReader(store, JobPaths.of(submission.state, name).home)
        try:
            reader.spec()
        except JobNotFound:
            return found, number
        found.append(reader)
        number += 1


def _goes_on(reader: JobReader, valid: Valid, frames: FrameSet, generations: Generations, clock: Clock) -> bool:
    """Whether an unfinished job is the right one to go on with.

    Not when the shot itself failed in it: the artist submits again because something was mended, and a job keeps
    reading the versions that it has once read. Nor when what it has pinned for the frames to come was overwritten.
    """
    if set(reader.spec().frame_set) != set(frames) or not valid.all_committed_are_valid or reader.is_cancelled():
        return False
    left = reader.missing()
    if not left or not pins_are_live(reader, left, generations):
        return False
    last = {attempt.task: attempt for attempt in reader.attempts()}.values()
    pulse = Pulse(clock)
    if any(pulse.is_alive(attempt) for attempt in last):
        return True
    return all(attempt.failure not in {FailureClass.MISSING_INPUT, FailureClass.RENDER_ERROR} for attempt in last)


def _nothing_to_do(reader: JobReader, count: int) -> Submitted:
    message = f"{count} of {count} frames are already there (job {reader.paths.job_id})."
    return Submitted(reader.spec(), reader.paths.home, "nothing", count, message)


def _resumed(reader: JobReader, there: int, count: int) -> Submitted:
    message = f"job {reader.paths.job_id} goes on: {there} of {count} frames are already there."
    return Submitted(reader.spec(), reader.paths.home, "resumed", there, message)


def _create(
    store: Store,
    submission: Submission,
    number: int,
    adopted: dict[int, tuple[JobReader, tuple[CommitRecord, ...]]],
    inputs: Inputs,
) -> Submitted | None:
    """The new job; None when somebody else took its id meanwhile."""
    name = job_id(submission.spec.shot, submission.spec.fingerprint, number)
    spec = submission.spec.model_copy(update={"id": name})
    reader = JobReader(store, JobPaths.of(submission.state, name).home)
    pinned = put_manifest(store, reader.paths, inputs.manifest().encode(spec.tasks()))
    spec = spec.model_copy(update={"inputs": pinned, "inputs_missing": len(inputs.missing)})
    try:
        _put_script(store, reader.paths.script(spec.script_name), submission.script)
        store.write(reader.paths.spec, encode(spec), if_generation=ABSENT)
    except PreconditionFailed:
        return None
    there = adopt(store, reader, adopted)
    count = len(spec.frame_set)
    some = f"; {there} of {count} frames are already there" if there else ""
    return Submitted(spec, reader.paths.home, "new", there, f"job {name}: {spec.frame_set.echo()}{some}.")


def _put_script(store: Store, url: ObjectUrl, script: bytes) -> None:
    """Raises PreconditionFailed when another script lies there."""
    try:
        store.write(url, script, if_generation=ABSENT)
    except PreconditionFailed:
        there, info = store.read(url)
        if there != script:
            store.write(url, script, if_generation=info.id.generation)
