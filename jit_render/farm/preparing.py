"""What a submission asks for, before the bucket is asked: the script read, the request checked, the plan made.

"The same thing" is the fingerprint: the script's bytes, the Writes and views, the path map, the environment, the
renderer. A job's id holds its first eight digits, so earlier jobs are found by name; a counter follows.
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
from jit_render.farm.records import state_of
from jit_render.farm.script_files import ScriptFiles
from jit_render.farm.targets import TargetFinder
from jit_render.model.clock import Clock
from jit_render.model.errors import ScriptError
from jit_render.model.frames import FrameSet
from jit_render.model.identity import ObjectUrl, check_key
from jit_render.model.job import Budgets, JobSpec
from jit_render.model.pathmap import PathMap
from jit_render.model.settings import Settings
from jit_render.script import Evaluator, parse
from jit_render.script.plan import Plan, plan
from jit_render.store import Store

SCRIPT_LIMIT = 512 * 1024 * 1024  # bytes; the largest public script is under 30 MB
ID_LIMIT = 63  # of a job's name in Google Batch: [a-z0-9-], first a letter


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
    plan: Plan
    notes: tuple[str, ...] = ()
    """What the person who submits should read."""
    without_inputs: str = "submit with --allow-missing"
    """What may be done instead of bringing inputs that are missing."""


def prepare(
    settings: Settings,
    script_path: Path,
    *,
    frames: str,
    clock: Clock,
    writes: Sequence[str] = (),
    views: Sequence[str] = (),
    options: Options | None = None,
    store: Store | None = None,
) -> Submission:
    """Read and check everything. Raises UsageError and its kin (ScriptError, BadFrameRange, PathRefused).

    `store` is only for what the plan must look into, as precomps; without it they are looked for on this disk.
    """
    options = options or Options()
    state = state_of(settings)
    asked = FrameSet.parse(frames)
    data = read_script(script_path)
    source = str(script_path.absolute())
    script = parse(data, name=script_path.name)
    path_map = PathMap(rules=settings.paths)
    environment = {**settings.render.environment, **options.environment}
    around = {**os.environ, **environment}
    evaluator = Evaluator(script, script_path=source, environment=around)
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
    planned = plan(
        script,
        frames=targets.frames,
        writes=[write.name for write in targets.writes],
        views=views,
        script_path=source,
        environment=around,
        gizmo_path=settings.render.gizmo_path,
        files=ScriptFiles(path_map, store),
        proxy=options.proxy,
    )
    return Submission(named, data, state, options.force, planned, targets.notes)


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
