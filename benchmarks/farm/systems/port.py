"""What a system of the comparison is, and what it finds when it is asked."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.farm import shot
from benchmarks.farm.host import Task
from benchmarks.farm.links import Host
from benchmarks.farm.values import Setting
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.store import open_store
from jit_render.testing.gcs_process import FakeGcsProcess

BUCKET = "show"
"""Of the object store; the shot is below its key ``show``."""


@dataclass(frozen=True)
class Bench:
    """What all systems share."""

    setting: Setting
    folder: Path
    """Temporary; everything is below it."""
    plates: Path
    """The shot as plain files, where servers take it from."""
    server: FakeGcsProcess
    """The object store."""

    def frames_of(self, host: Host) -> range:
        """Each host has its own part of the shot."""
        first = shot.FIRST + host.index * self.setting.frames_per_host
        return range(first, first + self.setting.frames_per_host)

    def read(self, key: str) -> bytes:
        """An object's bytes. Raises ObjectNotFound."""
        store = open_store(StoreSettings(endpoint=self.server.url))
        with contextlib.closing(store):
            return store.read(ObjectUrl(f"gs://{BUCKET}", key))[0]

    def place(self, system: str, hosts: int, host: Host) -> Path:
        """A host's own disk for one run."""
        path = self.folder / "hosts" / f"{system}-{hosts}" / host.name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def script(self, show: str, out: str) -> str:
        one = self.setting
        return shot.script(show, out, one.shot_frames, one.layers, (one.width, one.height))

    def environment(self) -> dict[str, str]:
        return {"JIT_RENDER_STANDIN_SECONDS_PER_FRAME": str(self.setting.compute_seconds)}

    def standin(self, place: Path, show: Path, out: Path, frames: range) -> list[str]:
        """The renderer on plain paths, from `show` to `out`; its script goes to `place`."""
        script = place / "shot.nk"
        script.write_text(self.script(str(show), str(out)), encoding="utf-8")
        span = f"-F{frames[0]}-{frames[-1]}"
        command = [sys.executable, "-m", "jit_render.render.standin", "-x", "-m", "1", "-X", "Write1"]
        return [*command, span, str(script)]


@dataclass(frozen=True)
class JitFacts:
    """What only jit knows of a host's work."""

    planned_bytes: int
    fetched_bytes: int
    fetch_wait_seconds: float
    renderer_cpu_seconds: float


class Prepared(Protocol):
    """One run, ready to start."""

    @property
    def tasks(self) -> Mapping[int, Task]:
        """Of each host, by its index."""

    def outputs(self, frames: Sequence[int]) -> Mapping[int, bytes]:
        """The frames as they are in storage. Raises where one is not there."""

    def facts(self, host: Host) -> JitFacts | None:
        """Known after the run."""


class System(Protocol):
    """One way of getting a shot to render hosts."""

    name: str

    def missing(self) -> str:
        """Why it cannot be measured here; empty where it can."""

    def prepare(self, hosts: Sequence[Host]) -> Prepared: ...


@dataclass(frozen=True)
class Plain:
    """A run whose outputs are read by a function of the file's name."""

    tasks: Mapping[int, Task]
    read: _Read = field(repr=False)

    def outputs(self, frames: Sequence[int]) -> Mapping[int, bytes]:
        return {frame: self.read(shot.OUTPUT % frame) for frame in frames}

    def facts(self, _host: Host) -> JitFacts | None:
        return None


class _Read(Protocol):
    def __call__(self, name: str, /) -> bytes: ...
