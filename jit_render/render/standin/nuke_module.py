"""The `nuke` module as init.py files see it in the stand-in: callbacks, nodes and knobs to read, no editing.

Only what Nuke has under the same name is here, and it behaves as documented; what a render cannot do without an
interface (panels, menus) is absent, so that using it fails by name. A test compares the surface with Nuke's types.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from jit_render.model.errors import RenderError, Undecided
from jit_render.render.standin.callbacks import KINDS, Callbacks
from jit_render.render.standin.dependencies import file_dependencies
from jit_render.render.standin.engine import Engine, upstream
from jit_render.render.standin.names import FILE_KNOBS, FileNames
from jit_render.script import Evaluator, Node, Script
from jit_render.script.values import read_literal

VERSION = (15, 1, 3)
"""The Nuke whose callback surface this is."""

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
        "use_limit": "false", "first": "1", "last": "1", "render_order": "1", "reading": "false", "colorspace": "default",
        "datatype": "16 bit half", "compression": "Zip (1 scanline)", "disable": "false", "beforeRender": "",
        "beforeFrameRender": "", "afterFrameRender": "", "afterRender": "",
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

    def getText(self) -> str:  # noqa: N802 - Nuke's name
        return str(self._computed(self._raw()))

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


def build(runtime: Runtime) -> ModuleType:
    """A fresh `nuke` module over `runtime`."""
    module = ModuleType("nuke", "Nuke's Python surface, as far as a render without an interface has it.")
    module.__path__ = []
    surface: dict[str, Any] = {
        "GUI": False,
        "INTERACTIVE": False,
        "NUKE_VERSION_MAJOR": VERSION[0],
        "NUKE_VERSION_MINOR": VERSION[1],
        "NUKE_VERSION_RELEASE": VERSION[2],
        "NUKE_VERSION_STRING": "{}.{}v{}".format(*VERSION),
        "REPLACE": 1,
        "REPLACE_VIEWS": 2,
        "env": _environment(runtime),
        "rawArgs": runtime.raw_args,
        "Node": NukeNode,
        "Knob": NukeKnob,
        **_registration(runtime.callbacks),
        **_looking(runtime),
        **_plugins(runtime),
        **_messages(runtime.callbacks),
    }
    for name, value in surface.items():
        setattr(module, name, value)
    return module


def install(runtime: Runtime) -> ModuleType:
    """Put `nuke` and `nuke.localization` where ``import`` finds them."""
    module = build(runtime)
    localization = ModuleType("nuke.localization")
    state = {"mode": "off"}
    localization.setMode = lambda mode: state.update(mode=str(mode))  # type: ignore[attr-defined] # a module made here
    localization.mode = lambda: state["mode"]  # type: ignore[attr-defined] # a module made here
    module.localization = localization  # type: ignore[attr-defined] # a module made here
    sys.modules["nuke"] = module
    sys.modules["nuke.localization"] = localization
    return module


def _environment(runtime: Runtime) -> dict[str, Any]:
    return {
        "gui": False,
        "studio": False,
        "nukex": False,
        "interactive": False,
        "threads": 1,
        "ExecutablePath": sys.executable,
        "NukeVersionMajor": VERSION[0],
        "NukeVersionMinor": VERSION[1],
        "NukeVersionRelease": VERSION[2],
        "NukeVersionString": "{}.{}v{}".format(*VERSION),
        "LINUX": sys.platform == "linux",
        "MACOS": sys.platform == "darwin",
        "WIN32": sys.platform == "win32",
        "PluginExtension": "so",
        "rawArgs": runtime.raw_args,
    }


def _registration(callbacks: Callbacks) -> dict[str, Any]:
    """add… and remove… of the filename filter and of each render callback."""

    def adder(kind: str, default: str) -> Callable[..., None]:
        def add(call: Callable[..., Any], args: Any = (), kwargs: Any = None, nodeClass: str = default) -> None:  # noqa: N803 - Nuke's name
            callbacks.add(kind, call, args, kwargs or {}, nodeClass)

        return add

    def remover(kind: str, default: str) -> Callable[..., None]:
        def remove(call: Callable[..., Any], args: Any = (), kwargs: Any = None, nodeClass: str = default) -> None:  # noqa: N803 - Nuke's name
            callbacks.remove(kind, call, args, kwargs or {}, nodeClass)

        return remove

    surface: dict[str, Any] = {}
    for kind, title, default in (
        ("filename", "FilenameFilter", "*"),
        *((kind, kind[0].upper() + kind[1:], "Write") for kind in KINDS),
    ):
        surface[f"add{title}"] = adder(kind, default)
        surface[f"remove{title}"] = remover(kind, default)
    return surface


def _looking(runtime: Runtime) -> dict[str, Any]:
    def root() -> NukeNode:
        return runtime.wrapped(runtime.opened()[0].root)

    def this_node() -> NukeNode:
        node = runtime.callbacks.this_node
        return root() if node is None else runtime.wrapped(node)

    def to_node(name: str) -> NukeNode | None:
        script = runtime.opened()[0]
        node = script.root if name == "root" else script.look_up(name)
        return None if node is None else runtime.wrapped(node)

    def all_nodes(filter: str | None = None, group: Any = None, recurseGroups: bool = False) -> list[NukeNode]:  # noqa: A002, ARG001, N803 - Nuke's names
        nodes = runtime.opened()[0].nodes
        return [
            runtime.wrapped(node)
            for node in nodes
            if (recurseGroups or node.parent is None) and filter in (None, node.cls)
        ]

    def filename(node: NukeNode, i: int = 0) -> str | None:
        inner = node._node  # noqa: SLF001 - the module and its nodes are one
        knobs = FILE_KNOBS.get(inner.cls, ())
        if not knobs:
            return None
        names = runtime.opened()[2]
        if i == 0:
            return names.written(inner, knobs[0], runtime.frame, runtime.view) or None
        return names.concrete(inner, knobs[0], runtime.frame, runtime.view) or None

    def frame(f: int | None = None) -> int:
        if f is not None:
            raise RuntimeError("nuke.frame(f) sets the frame, which the stand-in does only by itself")
        return runtime.frame

    def views() -> list[str]:
        return list(runtime.views)

    def dependencies(nodes: Any, what: int = 0) -> list[NukeNode]:  # noqa: ARG001 - Nuke's signature
        chosen = nodes if isinstance(nodes, (list, tuple)) else [nodes]
        inner = [one._node for one in chosen]  # noqa: SLF001 - the module and its nodes are one
        return [runtime.wrapped(node) for node in upstream(inner) if node not in inner]

    return {
        "root": root,
        "thisNode": this_node,
        "thisClass": lambda: this_node().Class(),
        "thisView": lambda: runtime.view,
        "toNode": to_node,
        "allNodes": all_nodes,
        "filename": filename,
        "frame": frame,
        "views": views,
        "dependencies": dependencies,
    }


def _plugins(runtime: Runtime) -> dict[str, Any]:
    def add_path(paths: Any, addToSysPath: bool = True) -> None:  # noqa: N803 - Nuke's name
        for path in [paths] if isinstance(paths, (str, os.PathLike)) else paths:
            run_init(runtime, str(path), add_to_sys_path=addToSysPath)

    return {
        "pluginPath": lambda: list(runtime.plugin_path),
        "pluginAddPath": add_path,
        "pluginAppendPath": add_path,
    }


def run_init(runtime: Runtime, folder: str, *, add_to_sys_path: bool = True) -> None:
    """Put a folder on the plug-in path and execute its init.py, if it has one. What that raises goes through."""
    if folder in runtime.plugin_path:
        return
    runtime.plugin_path.append(folder)
    if add_to_sys_path:
        sys.path.insert(0, folder)
    init = Path(folder) / "init.py"
    if init.is_file():
        code = compile(init.read_bytes(), str(init), "exec")
        exec(code, {"__name__": "__main__", "__file__": str(init), "__builtins__": __builtins__})  # noqa: S102 - its purpose


def _messages(callbacks: Callbacks) -> dict[str, Any]:
    def say(*args: Any, sep: str = " ", end: str = "\n", file: Any = None) -> None:
        print(*args, sep=sep, end=end, file=file or sys.stdout, flush=True)  # noqa: T201 - tprint prints

    def report(kind: str) -> Callable[[str], None]:
        return lambda message: print(f"{kind}: {message}", file=sys.stderr, flush=True)  # noqa: T201 - so does Nuke

    def in_main_thread(call: Callable[..., Any], args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        if callbacks.in_filter:
            raise RuntimeError("executeInMainThread inside a filename filter would wait for itself in Nuke")
        return call(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))

    def without_result(call: Callable[..., Any], args: Any = (), kwargs: Mapping[str, Any] | None = None) -> None:
        in_main_thread(call, args, kwargs)

    return {
        "tprint": say,
        "debug": report("DEBUG"),
        "warning": report("WARNING"),
        "error": report("ERROR"),
        "executeInMainThread": without_result,
        "executeInMainThreadWithResult": in_main_thread,
    }


def plugin_folders(environment: Mapping[str, str]) -> Iterator[str]:
    """The folders of NUKE_PATH."""
    for folder in environment.get("NUKE_PATH", "").split(os.pathsep):
        if folder:
            yield folder


def start(runtime: Runtime, environment: Mapping[str, str]) -> None:
    """Install the module and execute the init.py of every folder. Raises RenderError naming the one that failed."""
    install(runtime)
    for folder in plugin_folders(environment):
        try:
            run_init(runtime, folder)
        except Exception as error:
            raise RenderError(f"{folder}/init.py failed: {type(error).__name__}: {error}") from error
