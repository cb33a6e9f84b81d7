"""Which files a node and all that is upstream of it read and write in a range of frames.

Nuke's documentation of `Node.fileDependencies`: every node upstream with a file knob, all views, time shifts and
holds followed, Write files included. Names are as the script says them, frame and view filled in, no filter.
"""

from __future__ import annotations

from jit_render.render.standin.call import Frame
from jit_render.render.standin.engine import Engine
from jit_render.script import Node
from jit_render.script.file_knobs import FILE_KNOBS
from jit_render.script.timing import is_disabled, pulls, read_frame

_Place = tuple[Node, Frame, str]


def file_dependencies(engine: Engine, node: Node, first: int, last: int) -> list[tuple[Node, list[str]]]:
    """Nodes in the order they are met, each with its files in the order of frames."""
    found: dict[Node, dict[str, None]] = {}
    seen: set[_Place] = set()
    for frame in range(first, last + 1):
        for view in engine.views:
            todo: list[_Place] = [(node, frame, view)]
            while todo:
                place = todo.pop()
                if place not in seen:
                    seen.add(place)
                    todo += _sources(engine, place, found)[::-1]
    return [(one, list(names)) for one, names in found.items() if names]


def _sources(engine: Engine, place: _Place, found: dict[Node, dict[str, None]]) -> list[_Place]:
    node, frame, view = place
    if not is_disabled(node, engine.evaluator, frame, view):
        _note_files(engine, place, found)
        if node.is_group and node.output is not None:
            return [(node.output, frame, view)]
        if node.cls == "Input":
            return [(node.source, frame, view)] if node.source is not None else []
    wanted = pulls(node, engine.evaluator, frame, view)
    return [(source, pull.frame, pull.view) for pull in wanted if (source := node.inputs[pull.pipe]) is not None]


def _note_files(engine: Engine, place: _Place, found: dict[Node, dict[str, None]]) -> None:
    node, frame, view = place
    for knob in FILE_KNOBS.get(node.cls, ()):
        if knob == "proxy" or knob not in node.knobs:
            continue
        shown: Frame | None = read_frame(node, engine.evaluator, frame, view) if node.cls == "Read" else frame
        if shown is None:
            continue
        name = engine.names.concrete(node, knob, shown, view)
        if name:
            found.setdefault(node, {})[name] = None
