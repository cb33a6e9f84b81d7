"""Copies of nodes: a script to graft into, and the inside of a gizmo for each node of its class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jit_render.script.nodes import Node, Script


def copied(script: Script) -> Script:
    """A script of nodes of its own; knobs, which nobody changes, are shared."""
    root = _bare(script.root, script.root.line)
    made = _copies(script.nodes, {}, None)
    root.children = [made[node] for node in script.root.children]
    return Script(script.name, root, [made[node] for node in script.nodes], script.commands)


def graft(script: Script, group: Node, plant: Node) -> list[Node]:
    """Give `group` a copy of what is in `plant`: its nodes, and its knobs where `group` says nothing of its own.

    The copies stand on the group's line: that is what can be found in the script. Gives all of them.
    """
    inside = _below(plant)
    made = _copies(inside, {plant: group}, group.line)
    group.cls = plant.cls
    group.knobs = {**plant.knobs, **group.knobs}
    group.declared = plant.declared + group.declared
    group._user_knobs = None  # noqa: SLF001 - what it was computed from has changed
    script.adopt(group, [made[node] for node in plant.children])
    return [made[node] for node in inside]


def _below(group: Node) -> list[Node]:
    found: list[Node] = []
    todo = group.children[::-1]
    while todo:
        node = todo.pop()
        found.append(node)
        todo.extend(node.children[::-1])
    return found


def _copies(nodes: Iterable[Node], known: Mapping[Node, Node], line: int | None) -> dict[Node, Node]:
    """Each node's copy, connected to the copies of what it was connected to."""
    nodes = tuple(nodes)
    made = dict(known)
    for node in nodes:
        made[node] = _bare(node, node.line if line is None else line)
    for node in nodes:
        copy = made[node]
        copy.parent = made.get(node.parent, node.parent) if node.parent is not None else None
        copy.inputs = tuple(None if one is None else made.get(one, one) for one in node.inputs)
        copy.children = [made[child] for child in node.children]
        copy.clone_of = made.get(node.clone_of, node.clone_of) if node.clone_of is not None else None
    return made


def _bare(node: Node, line: int) -> Node:
    return Node(node.cls, node.name, line, node.knobs, mask_inputs=node.mask_inputs, declared=node.declared)
