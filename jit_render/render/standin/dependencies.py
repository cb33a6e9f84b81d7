"""Which files a node and all that is upstream of it read and write in a range of frames.

Nuke's documentation of `Node.fileDependencies`: every node upstream with a file knob, all views, time shifts and
holds followed, Write files included. Names are as the script says them, frame and view filled in, no filter.
"""

from __future__ import annotations

from jit_render.render.standin import timing
from jit_render.render.standin.call import Call, Frame
from jit_render.render.standin.engine import Engine
from jit_render.render.standin.names import FILE_KNOBS
from jit_render.script import Node


def file_dependencies(engine: Engine, node: Node, first: int, last: int) -> list[tuple[Node, list[str]]]:
    """Nodes in the order they are met, each with its files in the order of frames."""
    found: dict[Node, dict[str, None]] = {}
    seen: set[tuple[Node, Frame, str]] = set()
    for frame in range(first, last + 1):
        for view in engine.views:
            todo: list[tuple[Node, Frame]] = [(node, frame)]
            while todo:
                one, moment = todo.pop()
                if (one, moment, view) in seen:
                    continue
                seen.add((one, moment, view))
                todo += _sources(engine, one, moment, view, found)[::-1]
    return [(one, list(names)) for one, names in found.items() if names]


def _sources(
    engine: Engine, node: Node, frame: Frame, view: str, found: dict[Node, dict[str, None]]
) -> list[tuple[Node, Frame]]:
    if timing.is_disabled(engine.evaluator, node, frame, view):
        return [(source, frame) for source in node.inputs[:1] if source is not None]
    call = Call(engine, node, frame, view)
    _note_files(engine, call, found)
    if node.is_group and node.output is not None:
        return [(node.output, frame)]
    if node.cls == "Input":
        return [(node.source, frame)] if node.source is not None else []
    pulls = timing.pulls(call)
    return [(source, pull.frame) for pull in pulls if (source := node.inputs[pull.pipe]) is not None]


def _note_files(engine: Engine, call: Call, found: dict[Node, dict[str, None]]) -> None:
    for knob in FILE_KNOBS.get(call.node.cls, ()):
        if knob == "proxy" or knob not in call.node.knobs:
            continue
        frame: Frame | None = timing.read_frame(call) if call.node.cls == "Read" else call.frame
        if frame is None:
            continue
        name = engine.names.concrete(call.node, knob, frame, call.view)
        if name:
            found.setdefault(call.node, {})[name] = None
