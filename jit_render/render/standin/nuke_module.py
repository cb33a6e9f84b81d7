"""The `nuke` module as init.py files see it in the stand-in: callbacks, nodes and knobs to read, no editing.

Only what Nuke has under the same name is here, and it behaves as documented; what a render cannot do without an
interface (panels, menus) is absent, so that using it fails by name. A test compares the surface with Nuke's types.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from jit_render.model.errors import RenderError
from jit_render.render.standin.callbacks import KINDS, Callbacks
from jit_render.render.standin.engine import upstream
from jit_render.render.standin.nuke_nodes import NukeKnob, NukeNode, Runtime
from jit_render.script.file_knobs import FILE_KNOBS

VERSION = (15, 1, 3)
"""The Nuke whose callback surface this is."""

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
        inner = node.inner
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
        inner = [one.inner for one in chosen]
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
        print(*args, sep=sep, end=end, file=file or sys.stdout, flush=True)

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
