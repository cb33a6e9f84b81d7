"""Setting the stage for one task on a node: the script at its place, the request for the renderer.

The script is put where names relative to it (``[file dirname [value root.name]]/../plates``) lead to the same objects
as on the artist's machine: see `model/script_place.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import nuke_callbacks
from jit_render.farm.watch import Link
from jit_render.model.errors import ChecksumMismatch
from jit_render.model.frames import expand
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import JobPaths, JobSpec
from jit_render.model.script_place import script_place
from jit_render.model.settings import RenderSettings
from jit_render.render.port import RenderRequest
from jit_render.store import Store
from nuke_callbacks import wire

STORE_VARIABLE = "JIT_RENDER_STORE"  # JSON of the store's settings, for renderers that reach the bucket by themselves
MOST_FRAMES_TOLD = 10_000  # one variable may be 128 KiB long
CALLBACKS = Path(nuke_callbacks.__file__).parent


def place_script(store: Store, home: ObjectUrl, spec: JobSpec, view: Path) -> Path:
    """Write the job's script into its view, whole or not at all. Raises ChecksumMismatch."""
    data, info = store.read(JobPaths(home).script(spec.script_name))
    if hashlib.sha256(data).hexdigest() != spec.script_sha256:
        raise ChecksumMismatch(f"{info.url} is not the script that was submitted; submit the job again.")
    place = view / script_place(spec.path_map, spec.script_source, spec.script_name).script
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=".script-", dir=place.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(temporary).replace(place)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    return place


def renderer_request(
    spec: JobSpec, settings: RenderSettings, *, script: Path, frames: tuple[int, ...], scratch: Path
) -> RenderRequest:
    """What the renderer is asked to do, without the variables that tie it to its attempt."""
    views = dict.fromkeys(view for write in spec.writes for view in write.views)
    return RenderRequest(
        script=script,
        frames=frames,
        writes=tuple(write.name for write in spec.writes),
        views=tuple(views),
        proxy=spec.proxy,
        threads=settings.threads,
        memory_bytes=settings.memory,
        environment={**settings.environment, **spec.environment},
        scratch=scratch,
        plugin_path=(CALLBACKS, *(Path(folder).expanduser() for folder in settings.gizmo_path)),
    )


def attempt_environment(link: Link, frames: tuple[int, ...]) -> dict[str, str]:
    """The variables by which the callbacks find their agent and say who they are."""
    variables = {
        wire.SOCKET_VARIABLE: str(link.socket),
        wire.JOB_VARIABLE: str(link.home),
        wire.TASK_VARIABLE: str(link.task),
        wire.ATTEMPT_VARIABLE: str(link.attempt),
    }
    if len(frames) <= MOST_FRAMES_TOLD:
        variables[wire.FRAMES_VARIABLE] = ",".join(map(str, frames))
    return variables


def outputs_of(spec: JobSpec, frame: int) -> list[tuple[str, list[tuple[str, str]]]]:
    """Per Write of `frame`: its name and its outputs, (view, file name) each; not where only the render can tell."""
    return [
        (write.name, [(view, expand(write.file, frame, view)) for view in write.views])
        for write in spec.writes
        if write.covers(frame) and "[" not in write.file
    ]


def make_scratch(cache: Path) -> Path:
    """A private folder for one attempt, named after this process; those of processes that are gone are removed."""
    base = cache / "scratch"
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in base.iterdir():
        owner = old.name.partition("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=base))
