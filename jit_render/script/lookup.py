"""Which knob a name means.

As in Nuke: `root`, `parent`, `this` and `input0` walk; a first name that is neither is a knob of the node
itself, else a node inside it, else a node beside it or beside the groups around it, else a knob of one of
those groups. Knob names may hold dots themselves (``highlights.gain``); what is left names a component
(``size.x``, ``translate.1``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from jit_render.script.defaults import default_of
from jit_render.script.nodes import Node, Script
from jit_render.script.values import read_components

_INPUT = re.compile(r"input(\d{0,4})\Z")
_COMPONENTS = {"x": 0, "y": 1, "z": 2, "w": 3, "r": 0, "g": 1, "b": 2, "a": 3, "u": 0, "v": 1, "h": 1, "t": 3}
_BOXES = frozenset({"box", "area", "bbox"})


class Reference(NamedTuple):
    """A knob of a node (empty: the node itself) and the component that is asked for, if one is."""

    node: Node
    knob: str
    component: int | None = None


def look_up(script: Script, node: Node, path: str, *, inside: bool = False) -> Reference | None:
    """What `path` means to an expression on `node`; None where it means nothing.

    ``inside`` leaves out the node's own knobs, as the target of a link knob does.
    """
    names = path.split(".")
    walked, rest = _walk(script, node, names)
    if walked is not None:
        return _in_node(script, walked, rest)
    if len(rest) < len(names):
        return None
    own = None if inside else _knob(node, names)
    if own is not None:
        return own
    scope: Node | None = node if node.children else node.parent
    while True:
        found = script.look_up(names[0], scope)
        if found is not None:
            return _in_node(script, found, names[1:])
        if scope is None:
            break
        scope = scope.parent
    group = node.parent
    while group is not None:
        found_knob = _knob(group, names)
        if found_knob is not None:
            return found_knob
        group = group.parent
    return None


def _walk(script: Script, node: Node, names: Sequence[str]) -> tuple[Node | None, list[str]]:
    """Follow the leading `root`, `parent`, `this` and `input` of `names`: where that leads, and what is left.

    The node is None where the first name is none of them, or where nothing is connected there (the rest is shorter
    then).
    """
    here: Node | None = None
    for index, name in enumerate(names):
        step = here if here is not None else node
        match = _INPUT.match(name)
        if name == "root":
            here = script.root
        elif name == "parent":
            here = step.parent or script.root
        elif name == "this":
            here = step
        elif match is not None and name not in step.knobs:
            number = int(match[1] or 0)
            here = step.inputs[number] if number < len(step.inputs) else None
            if here is None:
                return None, list(names[index + 1 :])
        else:
            return here, list(names[index:])
    return here, []


def _in_node(script: Script, node: Node, names: list[str]) -> Reference | None:
    while True:
        if not names:
            return Reference(node, "")
        known = _knob(node, names)
        if known is not None:
            return known
        child = script.look_up(names[0], None if node is script.root else node)
        walked, rest = _walk(script, node, names)
        if walked is not None:
            node, names = walked, rest
        elif child is not None and child is not node and (node.children or node is script.root):
            node, names = child, names[1:]
        else:
            component = _component(node, names[0], names[1:])
            return Reference(node, names[0], component) if len(names) == 1 or component is not None else None


def _knob(node: Node, names: Sequence[str]) -> Reference | None:
    """The knob of `node` that the longest beginning of `names` names, with at most a component behind it."""
    for length in (len(names), len(names) - 1):
        name = ".".join(names[:length])
        if name and (name in node.knobs or default_of(node, name) is not None or name in node.user_knobs):
            component = _component(node, name, names[length:])
            if length == len(names) or component is not None:
                return Reference(node, name, component)
    return None


def _component(node: Node, knob: str, names: Sequence[str]) -> int | None:
    if len(names) != 1:
        return None
    name = names[0]
    if name.isdigit() and len(name) < 5:
        return int(name)
    if knob in _BOXES and name in {"r", "t"}:
        return 2 if name == "r" else 3
    if name == "w" and len(read_components(node.knobs.get(knob, ""))) < 4:
        return 0  # width, of a width and a height
    return _COMPONENTS.get(name)
