"""Nodes and knobs of the loaded script as Python callbacks see them: to be read, not to be changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jit_render.model.errors import Undecided
from jit_render.render.standin.callbacks import Callbacks
from jit_render.render.standin.dependencies import file_dependencies
from jit_render.render.standin.engine import Engine
from jit_render.render.standin.names import FileNames
from jit_render.script import Evaluator, Node, Script
from jit_render.script.file_knobs import FILE_KNOBS
from jit_render.script.values import read_literal

_DEFAULTS: dict[str, dict[str, str]] = {
    "Root": {
        "name": "", "project_directory": "", "first_frame": "1", "last_frame": "100", "frame": "1", "fps": "24",
        "format": "", "proxy": "false", "views": "main #ffffff",
    },
    "Read": {
        "file": "", "proxy": "", "first": "1", "last": "1", "before": "hold", "after": "hold", "frame": "",
        "frame_mode": "expression", "on_error": "error", "colorspace": "default", "raw": "false",
        "premultiplied": "false", "auto_alpha": "false", "format": "", "disable": "false",
    },
    "Write": {
        "file": "", "proxy": "", "file_type": "", "channels": "rgb", "views": "", "create_directories": "false",
        "use_limit": "false", "first": "1", "last": "1", "render_order": "1", "reading": "false",
        "colorspace": "default", "datatype": "16 bit half", "compression": "Zip (1 scanline)", "disable": "false",
        "beforeRender": "", "beforeFrameRender": "", "afterFrameRender": "", "afterRender": "",
    },
}  # fmt: skip
_TEXT = frozenset({"name", "file_type", "channels", "views", "label", "colorspace", "format", "project_directory"})


@dataclass
class Runtime:
    """What the module's functions look at. `open` fills the second half once a script is loaded."""

    callbacks: Callbacks = field(default_factory=Callbacks)
    plugin_path: list[str] = field(default_factory=list)
    raw_args: list[str] = field(default_factory=list)
    script: Script | None = None
    evaluator: Evaluator | None = None
    names: FileNames | None = None
    engine: Engine | None = None
    views: tuple[str, ...] = ("main",)
    frame: int = 1
    view: str = "main"
    nodes: dict[Node, NukeNode] = field(default_factory=dict)

    def opened(self) -> tuple[Script, Evaluator, FileNames]:
        if self.script is None or self.evaluator is None or self.names is None:
            raise RuntimeError("no script is open yet")
        return self.script, self.evaluator, self.names

    def wrapped(self, node: Node) -> NukeNode:
        """One object per node, so that `is` works as in Nuke."""
        return self.nodes.setdefault(node, NukeNode(self, node))


class NukeKnob:
    """One knob, to be read."""

    def __init__(self, runtime: Runtime, node: Node, name: str) -> None:
        self._runtime, self._node, self._name = runtime, node, name

    def name(self) -> str:
        return self._name

    def node(self) -> NukeNode:
        return self._runtime.wrapped(self._node)

    def Class(self) -> str:  # noqa: N802 - Nuke's name
        if self._name in FILE_KNOBS.get(self._node.cls, ()):
            return "File_Knob"
        value = self.value()
        return "Boolean_Knob" if isinstance(value, bool) else "String_Knob" if isinstance(value, str) else "Double_Knob"

    def toScript(self) -> str:  # noqa: N802 - Nuke's name
        return self._raw()

    def value(self) -> Any:
        """Text of a file knob as the script says it; else the value at the current frame."""
        raw = self._raw()
        if self._name in FILE_KNOBS.get(self._node.cls, ()):
            return raw
        if self._name not in _TEXT:
            if raw in ("true", "false"):
                return raw == "true"
            number = read_literal(raw)
            if number is not None:
                return int(number) if number.is_integer() and "." not in raw else number
        return self._computed(raw)

    getValue = value  # noqa: N815 - Nuke's name

    def evaluate(self, frame: float | None = None) -> str:
        """A text or file knob's value with expressions done, frame and view filled in."""
        _, evaluator, names = self._runtime.opened()
        moment = self._runtime.frame if frame is None else frame
        if self._name in FILE_KNOBS.get(self._node.cls, ()):
            return names.concrete(self._node, self._name, moment, self._runtime.view)
        return evaluator.string(self._node, self._name, frame=moment, view=self._runtime.view, default=self._raw())

    def _raw(self) -> str:
        if self._name == "name" and self._node.cls != "Root":
            return self._node.name
        return str(self._node.knobs.get(self._name, _DEFAULTS.get(self._node.cls, {}).get(self._name, "")))

    def _computed(self, raw: str) -> Any:
        _, evaluator, _ = self._runtime.opened()
        frame, view = self._runtime.frame, self._runtime.view
        try:
            if raw.startswith("{"):
                return evaluator.number(self._node, self._name, frame=frame, view=view)
            return evaluator.string(self._node, self._name, frame=frame, view=view, default=raw)
        except Undecided:
            return raw


class NukeNode:
    """One node, to be read."""

    def __init__(self, runtime: Runtime, node: Node) -> None:
        self._runtime, self._node = runtime, node

    @property
    def inner(self) -> Node:
        """The script's own node (not in Nuke)."""
        return self._node

    def __repr__(self) -> str:
        return f"<{self._node.cls} at {self.fullName()}>"

    def __getitem__(self, name: str) -> NukeKnob:
        found = self.knob(name)
        if found is None:
            raise NameError(f"knob {name} does not exist")
        return found

    def name(self) -> str:
        if self._node.cls == "Root" and self._runtime.evaluator is not None:
            return self._runtime.evaluator.script_path
        return self._node.name

    def fullName(self) -> str:  # noqa: N802 - Nuke's name
        return self.name() if self._node.cls == "Root" else self._node.full_name

    def Class(self) -> str:  # noqa: N802 - Nuke's name
        return self._node.cls

    def knob(self, name: str) -> NukeKnob | None:
        return NukeKnob(self._runtime, self._node, name) if name in self._knob_names() else None

    def knobs(self) -> dict[str, NukeKnob]:
        return {name: NukeKnob(self._runtime, self._node, name) for name in self._knob_names()}

    def _knob_names(self) -> list[str]:
        own = ("name", "disable", "label", *FILE_KNOBS.get(self._node.cls, ()), *_DEFAULTS.get(self._node.cls, {}))
        return list(dict.fromkeys((*own, *self._node.knobs, *self._node.user_knobs)))

    def inputs(self) -> int:
        return len(self._node.inputs)

    def input(self, index: int) -> NukeNode | None:
        found = self._node.inputs[index] if index < len(self._node.inputs) else None
        return None if found is None else self._runtime.wrapped(found)

    def firstFrame(self) -> int:  # noqa: N802 - Nuke's name
        return int(self["first_frame" if self._node.cls == "Root" else "first"].value())

    def lastFrame(self) -> int:  # noqa: N802 - Nuke's name
        return int(self["last_frame" if self._node.cls == "Root" else "last"].value())

    def fileDependencies(self, start: int, end: int) -> list[list[Any]]:  # noqa: N802 - Nuke's name
        """``[[node, [file, …]], …]`` of this node and all upstream, in every view, for a range of frames."""
        engine = self._runtime.engine
        if engine is None:
            raise RuntimeError("no script is open yet")
        found = file_dependencies(engine, self._node, int(start), int(end))
        return [[self._runtime.wrapped(node), files] for node, files in found]
