"""The port of renderers: a request becomes a command, its output becomes events, its exit a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from jit_render.model.job import FailureClass


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """Render these frames of these Writes of this script in one process."""

    script: Path
    frames: tuple[int, ...]
    writes: tuple[str, ...]
    """Full names of Write nodes; empty: every enabled one."""
    views: tuple[str, ...] = ()
    """Empty: the views each Write asks for."""
    proxy: bool = False
    threads: int = 0
    memory_bytes: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    """On top of the caller's own."""
    scratch: Path = Path("/tmp")  # noqa: S108 - callers give their own; temporary files of the renderer
    plugin_path: tuple[Path, ...] = ()
    """Folders for NUKE_PATH, the callbacks' folder first."""


@dataclass(frozen=True, slots=True)
class FrameStarted:
    frame: int


@dataclass(frozen=True, slots=True)
class FrameWritten:
    """One file is complete. `frame` is None where the renderer does not say."""

    path: str
    seconds: float
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The callbacks (or the renderer) said why it failed."""

    kind: str
    message: str
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class AbsentNoted:
    """What the bucket lacks of the inputs that this frame of this Write may open; nothing once the frame is done."""

    write: str
    frame: int
    missing: tuple[tuple[str, str, int, str], ...]
    """(node, knob, frame, object) of every absent input."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes that a renderer brought from the bucket and to it by itself, past the agent."""

    bytes_fetched: int
    bytes_uploaded: int
    bytes_same: int = 0
    """Of outputs that were made and came out as what the bucket held."""


Event = FrameStarted | FrameWritten | Failed | AbsentNoted | Moved


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a process ended. `failure` is None for success."""

    exit_code: int
    failure: FailureClass | None
    message: str = ""


class Renderer(Protocol):
    """One kind of renderer. Pure but for looking at the disk to find executables."""

    name: str

    def command(self, request: RenderRequest) -> list[str]:
        """The argument list; no shell. Raises UsageError where the renderer is not installed."""
        ...

    def environment(self, request: RenderRequest) -> dict[str, str]:
        """The whole environment of the process."""
        ...

    def read_line(self, line: str) -> Event | None:
        """What one line of its output tells; None for most lines."""
        ...

    def verdict(self, exit_code: int, failures: tuple[Failed, ...], tail: str) -> Verdict:
        """Class and one-line message from the exit code (negative: a signal), what it said, and its last lines."""
        ...
