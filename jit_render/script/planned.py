"""What a plan says: the Writes that render, the files that every frame reads, and what could not be told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, Protocol

from jit_render.model.frames import expand, has_frame, has_view, spell

NO_FRAME = 0
"""The file frame of a name without a frame placeholder."""
ONCE = (NO_FRAME,)


class Files(Protocol):
    """How a plan looks into other files: precomps, gizmos, OCIO configs, folders of tiles. Names are unmapped."""

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none or it cannot be had."""
        ...

    def list(self, folder: str) -> Sequence[str]:
        """The base names in a folder; empty where there is none."""
        ...


class NoFiles:
    """No file can be looked into."""

    def read(self, name: str) -> bytes | None:  # noqa: ARG002 - the protocol's
        return None

    def list(self, folder: str) -> Sequence[str]:  # noqa: ARG002 - the protocol's
        return ()


class PlannedFile(NamedTuple):
    """One file that a frame reads, under its unmapped name."""

    name: str
    node: str
    knob: str
    view: str
    on_error: str
    certain: bool
    origin: str = "node"


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """What one file knob of one node, or one companion of it, reads in the whole job.

    A knob whose name, certainty or frames differ (by view, by an expression in its name) has several.
    """

    node: str
    cls: str
    knob: str
    line: int
    pattern: str
    """The name once evaluated: unmapped, forward slashes, frame and view placeholders left in."""
    on_error: str
    views: tuple[str, ...]
    """The views of the pattern that are read; ``("",)`` where it has no view placeholder."""
    wanted: Mapping[int, tuple[int, ...]]
    """Job frame → frames of the file: ``ONCE`` where the pattern has no frame; a frame left out reads nothing."""
    certain: bool = True
    why: str = ""
    """Why more may be named here than is read, where that is so."""
    origin: str = "node"
    """``node``, or the kind of companion: ocio, gizmo, plugin, font, udim, mtl, usda, script."""

    @property
    def has_frame(self) -> bool:
        return has_frame(self.pattern)

    def file_frames(self) -> tuple[int, ...]:
        """Every frame of the file that is read, ascending."""
        return tuple(sorted({frame for frames in set(self.wanted.values()) for frame in frames}))

    def names(self, frame: int) -> Iterator[tuple[str, str]]:
        """The view and name of each file that one job frame reads."""
        for view in self.views:
            for one in self.wanted.get(frame, ()):
                yield view, expand(self.pattern, one, view if has_view(self.pattern) else None)


@dataclass(frozen=True, slots=True)
class WritePlan:
    """A Write that renders: where to, in which views and frames. ``pattern`` is empty where only Nuke can tell."""

    node: str
    cls: str
    line: int
    pattern: str
    views: tuple[str, ...]
    frames: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Undecidable:
    """What could not be told from the script, and what that means for the plan."""

    text: str
    node: str
    knob: str
    line: int
    why: str


@dataclass(frozen=True)
class Plan:
    """What a job reads, frame by frame."""

    frames: tuple[int, ...]
    views: tuple[str, ...]
    writes: tuple[WritePlan, ...]
    reads: tuple[ReadPlan, ...]
    undecided: tuple[Undecidable, ...] = field(default=())

    def files(self, frame: int) -> Iterator[PlannedFile]:
        """Each file that a job frame reads, each name once; certain reads come first."""
        seen: set[str] = set()
        for read in sorted(self.reads, key=lambda one: not one.certain):
            for view, name in read.names(frame):
                if name not in seen:
                    seen.add(name)
                    yield PlannedFile(name, read.node, read.knob, view, read.on_error, read.certain, read.origin)

    def as_json(self) -> dict[str, Any]:
        """As ``jit-render script --json`` prints it."""
        spelled = cache(_spell)
        return {
            "frames": spelled(self.frames),
            "views": list(self.views),
            "writes": [_write_json(write) for write in self.writes],
            "reads": [_read_json(read) for read in self.reads],
            "undecided": [
                {"node": one.node, "knob": one.knob, "line": one.line, "text": one.text, "why": one.why}
                for one in self.undecided
            ],
        }


def _write_json(write: WritePlan) -> dict[str, Any]:
    return {
        "node": write.node,
        "class": write.cls,
        "line": write.line,
        "file": write.pattern,
        "views": list(write.views),
        "frames": _spell(write.frames),
    }


def _read_json(read: ReadPlan) -> dict[str, Any]:
    """``wanted`` gives the file's frames for each job frame; it is null for a name without a frame."""
    spelled = cache(_spell)
    wanted = {str(frame): spelled(frames) for frame, frames in read.wanted.items()} if read.has_frame else None
    return {
        "node": read.node,
        "class": read.cls,
        "knob": read.knob,
        "line": read.line,
        "pattern": read.pattern,
        "on_error": read.on_error,
        "views": [view for view in read.views if view],
        "origin": read.origin,
        "certain": read.certain,
        "why": read.why,
        "job_frames": _spell(read.wanted),
        "file_frames": _spell(read.file_frames()) if read.has_frame else "",
        "wanted": wanted,
    }


def _spell(frames: Iterable[int]) -> str:
    return spell(frames)
