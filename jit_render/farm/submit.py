"""From a script on the artist's disk to a job in the bucket.

`prepare` reads the script and finds everything that is wrong with the request without touching the bucket.
`submit` looks at what earlier submissions of the same thing have left and does the least that is right:

* every frame is already there: nothing;
* the last job of these frames is merely unfinished: that one goes on;
* otherwise a new job, into which the frames that are still right are adopted; with `force`, none is.

"The same thing" is the fingerprint: the script's bytes, the Writes and views, the path map, the environment, the
renderer. A job's id holds its first eight digits, so earlier jobs are found by name; a counter follows. The spec
is created last: a job without one does not exist, and an interrupted submission leaves only a script that the
next one finds and uses.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import jit_render
from jit_render.farm.attempts import is_alive
from jit_render.farm.records import JobReader, add_to_index, encode, state_of
from jit_render.farm.reuse import Generations, Valid, adopt, still_valid
from jit_render.farm.targets import TargetFinder
from jit_render.model.clock import Clock
from jit_render.model.errors import JobConflict, JobNotFound, PreconditionFailed, ScriptError
from jit_render.model.frames import FrameSet
from jit_render.model.identity import ObjectUrl, check_key
from jit_render.model.job import Budgets, CommitRecord, FailureClass, JobPaths, JobSpec
from jit_render.model.pathmap import PathMap
from jit_render.model.settings import Settings
from jit_render.script import Evaluator, parse
from jit_render.store import ABSENT, Store

SCRIPT_LIMIT = 512 * 1024 * 1024  # bytes; the largest public script is under 30 MB
ID_LIMIT = 63  # of a job's name in Google Batch: [a-z0-9-], first a letter
_RACES = 5

Action = Literal["new", "resumed", "nothing"]


@dataclass(frozen=True, slots=True)
class Options:
    """What a submission may choose; 0, "" and None mean what the settings say."""

    chunk: int = 0
    proxy: bool = False
    allow_missing: bool = False
    latest: bool = False
    force: bool = False
    show: str = ""
    user: str = ""
    renderer: Literal["", "nuke", "standin"] = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    budgets: Budgets | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that could be submitted. Its id is a first choice; `submit` may count on."""

    spec: JobSpec
    script: bytes
    state: ObjectUrl
    force: bool
    notes: tuple[str, ...] = ()
    """What the person who submits should read."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of it."""

    spec: JobSpec
    home: ObjectUrl
    action: Action
    there: int
    """How many of the asked frames need no rendering."""
    message: str


def prepare(
    settings: Settings,
    script_path: Path,
    *,
    frames: str,
    clock: Clock,
    writes: Sequence[str] = (),
    views: Sequence[str] = (),
    options: Options | None = None,
) -> Submission:
    """Read and check everything. Raises UsageError and its kin (ScriptError, BadFrameRange, PathRefused)."""
    options = options or Options()
    state = state_of(settings)
    asked = FrameSet.parse(frames)
    data = read_script(script_path)
    source = str(script_path.absolute())
    script = parse(data, name=script_path.name)
    path_map = PathMap(rules=settings.paths)
    environment = {**settings.render.environment, **options.environment}
    evaluator = Evaluator(script, script_path=source, environment={**os.environ, **environment})
    targets = TargetFinder(script, evaluator, path_map, asked).find(writes, views)
    renderer = options.renderer or settings.render.renderer
    spec = JobSpec(
        id="unnamed",
        shot=script_path.stem,
        show=options.show or settings.job.show,
        user=options.user or _user(),
        created=clock.wall(),
        script_name=check_key(script_path.name, source),
        script_source=source,
        script_sha256=hashlib.sha256(data).hexdigest(),
        fingerprint="",
        frames=str(targets.frames),
        writes=targets.writes,
        chunk=options.chunk or settings.job.chunk,
        renderer=renderer,
        renderer_version=_version(renderer, settings.render.nuke),
        path_map=path_map,
        environment=environment,
        proxy=options.proxy,
        allow_missing=options.allow_missing,
        latest=options.latest,
        budgets=options.budgets or Budgets(),
    )
    digest = fingerprint(spec)
    named = spec.model_copy(update={"fingerprint": digest, "id": job_id(spec.shot, digest)})
    return Submission(named, data, state, options.force, targets.notes)


def read_script(path: Path) -> bytes:
    """The script's bytes. Raises ScriptError saying why there are none."""
    try:
        if path.is_dir():
            raise ScriptError(f"{path} is a folder; name a .nk script.")
        if path.stat().st_size > SCRIPT_LIMIT:
            raise ScriptError(f"{path} is {path.stat().st_size // 1024**2} MiB long; that is no .nk script.")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ScriptError(f"{path}: the script cannot be read: {reason}.") from None


def fingerprint(spec: JobSpec) -> str:
    """64 hex digits, equal for jobs whose same frame has the same pixels, given the same inputs."""
    parts = spec.model_dump(
        mode="json",
        include={
            "script_sha256",
            "script_source",
            "writes",
            "path_map",
            "environment",
            "renderer",
            "renderer_version",
            "proxy",
            "allow_missing",
        },
    )
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def job_id(shot: str, digest: str, number: int = 1) -> str:
    """``sh010-comp-1f3a99c0``, ``…-2``: at most 63 of a-z, 0-9 and -, a letter first."""
    tail = f"-{digest[:8]}" + (f"-{number}" if number > 1 else "")
    slug = re.sub(r"[^a-z0-9]+", "-", shot.lower()).strip("-")
    slug = slug if slug[:1].isalpha() else f"shot-{slug}".strip("-")
    return slug[: ID_LIMIT - len(tail)].rstrip("-") + tail


def submit(store: Store, submission: Submission, clock: Clock) -> Submitted:
    """Store the job, or find the one that already does this. Raises StoreError, JobConflict."""
    for _ in range(_RACES):
        done = _try_to_submit(store, submission, clock)
        if done is not None:
            add_to_index(store, submission.state, done.spec)
            return done
    raise JobConflict(f"{submission.spec.id}: others keep submitting the same job; try again.")


def _try_to_submit(store: Store, submission: Submission, clock: Clock) -> Submitted | None:
    spec, frames = submission.spec, submission.spec.frame_set
    earlier, number = _earlier(store, submission)
    mine = [reader for reader in earlier if reader.spec().fingerprint == spec.fingerprint]
    adopted: dict[int, tuple[JobReader, tuple[CommitRecord, ...]]] = {}
    if not submission.force:
        generations = Generations(store)
        for reader in reversed(mine):
            valid = still_valid(reader, frames, generations)
            usable = {} if spec.allow_missing else valid.frames
            if len(usable) == len(frames):
                return _nothing_to_do(reader, len(frames))
            if reader is mine[-1] and _goes_on(reader, valid, frames, clock):
                return _resumed(reader, len(valid.frames), len(frames))
            for frame, records in usable.items():
                adopted.setdefault(frame, (reader, records))
    if any(not write.per_frame for write in spec.writes):
        adopted = {}
    return _create(store, submission, number, adopted)


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


def _goes_on(reader: JobReader, valid: Valid, frames: FrameSet, clock: Clock) -> bool:
    """Whether an unfinished job is the right one to go on with.

    Not when the shot itself failed in it: the artist submits again because something was mended, and a job
    keeps reading the versions that it has once read.
    """
    if set(reader.spec().frame_set) != set(frames) or not valid.all_committed_are_valid or reader.is_cancelled():
        return False
    if not reader.missing():
        return False
    last = {attempt.task: attempt for attempt in reader.attempts()}.values()
    if any(is_alive(attempt, clock.wall()) for attempt in last):
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
) -> Submitted | None:
    """The new job; None when somebody else took its id meanwhile."""
    name = job_id(submission.spec.shot, submission.spec.fingerprint, number)
    spec = submission.spec.model_copy(update={"id": name})
    reader = JobReader(store, JobPaths.of(submission.state, name).home)
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


def _version(renderer: str, nuke: str) -> str:
    if renderer == "standin":
        return jit_render.__version__
    found = re.search(r"(\d+\.\d+(?:v\d+)?)", nuke)
    return found[1] if found else ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


