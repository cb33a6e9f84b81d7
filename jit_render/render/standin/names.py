"""File names of knobs: as the script says them, and as the filename filters turn them for opening.

Nuke passes a File_knob's text through the filters before its op stores it; whether placeholders are replaced by then
is not documented, so both are offered. `pattern`: the filter sees the name as written, once for each text that the
knob takes, and frame and view are filled into its answer. `concrete`: the filter sees each frame's and view's own
name, again at every use.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

from jit_render.model.errors import Undecided
from jit_render.model.frames import expand
from jit_render.render.standin.callbacks import Callbacks
from jit_render.script import Evaluator, Node, Script
from jit_render.script.file_knobs import FILE_KNOBS
from jit_render.script.timing import Frame

_TYPE = re.compile(r"^(?P<type>[a-z0-9]{2,6}):(?=[/\\.%#\w])(?![/\\]{2})")
_ABSOLUTE = re.compile(r"^(?:[A-Za-z]:[/\\]|[/\\])")

class FilterTiming(StrEnum):
    """When the filename filter is called, and with what."""

    PATTERN = "pattern"
    CONCRETE = "concrete"


class FileNames:
    """The file names of one script's knobs."""

    def __init__(self, script: Script, evaluator: Evaluator, callbacks: Callbacks, timing: FilterTiming) -> None:
        self._script = script
        self._evaluator = evaluator
        self._callbacks = callbacks
        self._timing = timing
        self._stored: dict[tuple[int, str, str], str] = {}

    def load(self, frame: Frame, view: str) -> None:
        """What opening a script does: plug-ins are looked for and every File_knob is stored, empty ones too."""
        for cls in dict.fromkeys(node.cls for node in self._script.nodes):
            self._callbacks.filtered(f"{cls}.so", self._script.root)
        for node in (self._script.root, *self._script.nodes):
            for knob in FILE_KNOBS.get(node.cls, ()):
                try:
                    self.opened(node, knob, frame, view)
                except Undecided:  # met again, with its message, if the node is rendered
                    self._callbacks.filtered(node.knobs.get(knob, ""), node)

    @property
    def are_filtered(self) -> bool:
        """Whether anybody registered a filename filter."""
        return self._callbacks.has_filters

    def written(self, node: Node, knob: str, frame: Frame, view: str) -> str:
        """The absolute name as the script says it: Tcl evaluated, placeholders kept, no filter; '' for none."""
        return self._with_type(node, knob, frame, view)[1]

    def concrete(self, node: Node, knob: str, frame: Frame, view: str) -> str:
        """As `written`, for one frame and view."""
        return expand(self.written(node, knob, frame, view), _whole(frame), view)

    def opened(self, node: Node, knob: str, frame: Frame, view: str) -> str:
        """What the op opens: through the filters, for one frame and view."""
        kind, name = self._with_type(node, knob, frame, view)
        if self._timing is FilterTiming.CONCRETE:
            concrete = expand(name, _whole(frame), view)
            return _split_type(self._callbacks.filtered(kind + concrete, node))[1]
        key = (id(node), knob, kind + name)
        if key not in self._stored:
            self._stored[key] = _split_type(self._callbacks.filtered(kind + name, node))[1]
        return expand(self._stored[key], _whole(frame), view)

    def _with_type(self, node: Node, knob: str, frame: Frame, view: str) -> tuple[str, str]:
        text = self._evaluator.string(node, knob, frame=frame, view=view, default="").strip()
        kind, name = _split_type(text)
        return kind, self._absolute(name, frame, view) if name else ""

    def _absolute(self, name: str, frame: Frame, view: str) -> str:
        if _ABSOLUTE.match(name):
            return name
        folder = self._evaluator.string(self._script.root, "project_directory", frame=frame, view=view, default="")
        base = folder.strip().rstrip("/") or str(Path.cwd())
        return f"{base}/{name.removeprefix('./')}"


def _split_type(name: str) -> tuple[str, str]:
    """``exr:/path`` → (``exr:``, ``/path``); Windows drives and URLs are no types."""
    match = _TYPE.match(name)
    return (match[0], name[match.end() :]) if match else ("", name)


def _whole(frame: Frame) -> int:
    return round(frame)
