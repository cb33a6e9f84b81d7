"""A pipeline as a job of the farm: its file is the script, its outputs the Writes, its cameras their views.

Everything else is the farm's own: the plan (the source and the side inputs, widened by what temporal operations look
at), the pins, the fingerprint, tasks, retries and records.
"""

from __future__ import annotations

import getpass
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jit_render.farm.preparing import Submission, job_id
from jit_render.farm.records import state_of
from jit_render.model.clock import Clock
from jit_render.model.errors import ConfigError, UsageError
from jit_render.model.frames import FrameSet, has_frame, has_view
from jit_render.model.job import JobSpec, WriteTarget
from jit_render.model.pathmap import PathMap, PathRule
from jit_render.model.settings import Settings
from jit_render.script.plan import Plan
from jit_render.script.planned import ONCE, ReadPlan, WritePlan
from preprocess.assets import asset_names
from preprocess.environment import Wishes
from preprocess.names import is_url, mapped_name, rules_for
from preprocess.passes import Tree, tool
from preprocess.pipeline import Pipeline, check_camera, rewrite_placeholders

MAIN = "main"
"""The camera of a sequence that has one only."""
TASKS_PER_WORKER = 3
"""A task's start costs a second; with so many, the last ones of a job end at about the same time."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line says. `chunk` 0: so that each worker gets a few tasks."""

    path: Path
    frames: str
    cameras: tuple[str, ...]
    chunk: int = 0
    show: str = ""
    wishes: Wishes = field(default_factory=Wishes)


def submission_of(settings: Settings, pipeline: Pipeline, data: bytes, request: Request, clock: Clock) -> Submission:
    """The job that could be submitted. Raises UsageError and its kin; touches no bucket."""
    frames = FrameSet.parse(request.frames)
    rules = path_rules(settings, pipeline)
    path_map = PathMap(rules=rules)
    check_places(pipeline, path_map)
    chunk = request.chunk or max(
        1, min(settings.job.chunk, -(-len(frames) // (TASKS_PER_WORKER * settings.farm.workers)))
    )
    spec = JobSpec(
        id="unnamed",
        shot=pipeline.name,
        show=request.show or settings.job.show,
        user=_user(),
        created=clock.wall(),
        script_name=request.path.name,
        script_source=str(request.path.absolute()),
        script_sha256=hashlib.sha256(data).hexdigest(),
        fingerprint="",
        frames=str(frames),
        writes=tuple(
            WriteTarget(name=one.name, file=mapped_name(one.file), views=request.cameras) for one in pipeline.outputs
        ),
        chunk=chunk,
        renderer="preprocess",
        renderer_version=tool(),
        path_map=path_map,
        environment=request.wishes.variables(),
    )
    digest = _fingerprint(spec, pipeline, staged=request.wishes.staged)
    named = spec.model_copy(update={"fingerprint": digest, "id": job_id(spec.shot, digest)})
    plan = plan_of(pipeline, frames, request.cameras)
    # Scripts have a switch for what is missing; a pipeline makes no picture of nothing.
    instead = "leave them out by --frames and --cameras"
    return Submission(named, data, state_of(settings), request.wishes.force, plan, without_inputs=instead)


def cameras_of(pipeline: Pipeline, asked: str) -> tuple[str, ...]:
    """The cameras of ``A001-A016,B002``, or those of the file. Raises UsageError."""
    cameras = expand_cameras(asked) if asked else pipeline.source.cameras
    by_channel = isinstance(pipeline.source.channels, dict)
    if not has_view(pipeline.source.file) and not by_channel:
        if asked:
            raise UsageError(
                f"--cameras {asked}: source.file {pipeline.source.file!r} has no %V, so there is one camera."
            )
        return cameras or (MAIN,)
    if not cameras and isinstance(pipeline.source.channels, dict):
        return tuple(pipeline.source.channels)
    if not cameras:
        raise UsageError("which cameras? Say --cameras, like A001-A016, or set source.cameras in the pipeline.")
    return cameras


def expand_cameras(text: str) -> tuple[str, ...]:
    """``A001-A004,B002`` as names: the numbers at the end count up. Raises UsageError."""
    names: list[str] = []
    for part in filter(None, (one.strip() for one in text.split(","))):
        names += _span(part)
    try:
        return tuple(dict.fromkeys(check_camera(name) for name in names))
    except ValueError as error:
        raise UsageError(f"--cameras {text!r}: {error}.") from None


def _span(part: str) -> list[str]:
    first, dash, last = part.partition("-")
    head, tail = first.rstrip("0123456789"), last.rstrip("0123456789")
    start, end = first[len(head) :], last[len(tail) :]
    if not (dash and start and end and head == tail):
        return [part]
    if not 0 <= int(end) - int(start) < 100_000:
        raise UsageError(f"--cameras {part!r} counts downwards or too far; write it like A001-A016.")
    return [f"{head}{number:0{len(start)}d}" for number in range(int(start), int(end) + 1)]


def path_rules(settings: Settings, pipeline: Pipeline) -> tuple[PathRule, ...]:
    """The settings' rules and those for what the pipeline names by URL."""
    read = [pipeline.source.file]
    tree = Tree.of(pipeline)
    read += [rewrite_placeholders(use.template) for step in tree.steps for use in step.operation.assets().values()]
    written = [name for output in pipeline.outputs for name in (output.file, output.sequence) if name]
    return (*settings.paths, *rules_for(read, written))


def check_places(pipeline: Pipeline, path_map: PathMap) -> None:
    """Raises PathRefused, ConfigError for what cannot be read or written."""
    path_map.resolve(mapped_name(pipeline.source.file))
    for output in pipeline.outputs:
        for name in filter(None, (output.file, output.sequence)):
            mapped = path_map.resolve(mapped_name(name))
            if mapped.mode != "write" and not is_url(name):
                raise ConfigError(
                    f"output {output.name}: {name!r} is under {mapped.prefix}, which is mapped for reading only; "
                    'write elsewhere, or set mode = "write" in its [[paths]] rule.'
                )


def plan_of(pipeline: Pipeline, frames: FrameSet, cameras: Sequence[str]) -> Plan:
    """What the job's frames read, as the planner of scripts says it; neighbours may be missing, as at a shot's ends."""
    tree = Tree.of(pipeline)
    reads = [_read("source", "file", pipeline.source.file, {frame: (frame,) for frame in frames}, cameras)]
    if tree.radius:
        around = [offset for offset in range(-tree.radius, tree.radius + 1) if offset]
        wanted = {frame: tuple(frame + offset for offset in around) for frame in frames}
        reads.append(_read("source", "neighbours", pipeline.source.file, wanted, cameras, certain=False))
    for step in tree.steps:
        for knob, use in step.operation.assets().items():
            name = rewrite_placeholders(use.template)
            wanted = {frame: (frame,) if has_frame(name) else ONCE for frame in frames}
            assert asset_names(step.operation, frames.first, cameras[0])[knob]
            reads.append(_read(f"{step.stage}.{step.operation.kind}", knob, name, wanted, cameras))
    writes = tuple(
        WritePlan(output.name, "output", 0, mapped_name(output.file), tuple(cameras), tuple(frames))
        for output in pipeline.outputs
    )
    return Plan(tuple(frames), tuple(cameras), writes, tuple(reads))


def _read(
    node: str, knob: str, name: str, wanted: dict[int, tuple[int, ...]], cameras: Sequence[str], *, certain: bool = True
) -> ReadPlan:
    views = tuple(cameras) if has_view(name) else ("",)
    wanted = wanted if has_frame(name) else dict.fromkeys(wanted, ONCE)
    on_error = "error" if certain else "black"
    return ReadPlan(node, "pipeline", knob, 0, mapped_name(name), on_error, views, wanted, certain)


def _fingerprint(spec: JobSpec, pipeline: Pipeline, *, staged: bool) -> str:
    """Equal for pipelines that mean the same, whatever their comments and their file's name."""
    parts = {
        "pipeline": pipeline.canonical(),
        "cameras": [write.views for write in spec.writes],
        "path_map": spec.path_map.model_dump(mode="json"),
        "tool": spec.renderer_version,
        "staged": staged,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
