"""What a script holds once it is read: nodes in scopes, connected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from jit_render.model.errors import ScriptError
from jit_render.script.words import list_words

GROUPS = frozenset({"Group", "Gizmo", "LiveGroup", "VariableGroup"})
"""Classes whose nodes open a scope that `end_group` closes."""


_LINK = 41  # the type of a knob that shows another node's


class UserKnob(NamedTuple):
    """A knob that a node declares itself: ``addUserKnob {41 size l "Size" T Blur1.size}``."""

    type_id: int
    name: str
    options: tuple[str, ...]

    @property
    def target(self) -> str:
        """What a link knob shows, like ``Blur1.size``; empty for other knobs."""
        return self.option("T") if self.type_id == _LINK else ""

    def option(self, letter: str) -> str:
        """The word after the flag `letter` (l label, t tooltip, T target, M menu); empty without one."""
        for index in range(len(self.options) - 1):
            if self.options[index] == letter:
                return self.options[index + 1]
        return ""


class Command(NamedTuple):
    """A command that makes no node: version, add_layer, raw Tcl."""

    line: int
    words: tuple[str, ...]


@dataclass(eq=False, slots=True, repr=False)
class Node:
    """One node. Compared by identity.

    ``knobs`` holds raw words: one level of braces or quotes is off (a `words.Braced` one had braces), nothing
    is evaluated. A clone's knobs are its original's with its own differences on top. ``inputs`` are the pipe
    inputs 0 to n-1, then the mask inputs. ``line`` counts from 1 (0: the script does not spell it).
    """

    cls: str
    name: str
    line: int
    knobs: dict[str, str]
    parent: Node | None = None
    inputs: tuple[Node | None, ...] = ()
    mask_inputs: int = 0
    children: list[Node] = field(default_factory=list)
    clone_of: Node | None = None
    declared: tuple[str, ...] = ()
    """The words after each `addUserKnob`."""
    _user_knobs: dict[str, UserKnob] | None = None

    def __repr__(self) -> str:
        return f"<{self.cls} {self.full_name!r} line {self.line}>"

    @property
    def full_name(self) -> str:
        """``Group1.Read1``: the names of the groups around it, then its own."""
        names = [self.name]
        group = self.parent
        while group is not None:
            names.append(group.name)
            group = group.parent
        return ".".join(reversed(names))

    @property
    def user_knobs(self) -> dict[str, UserKnob]:
        """The knobs that the node declares itself, by name. Raises ScriptError for a damaged declaration."""
        if self._user_knobs is None:
            knobs: dict[str, UserKnob] = {}
            for words in map(list_words, self.declared):
                if len(words) > 1 and _is_count(words[0]):
                    knobs[words[1]] = UserKnob(int(words[0]), words[1], tuple(words[2:]))
            self._user_knobs = knobs
        return self._user_knobs

    @property
    def is_group(self) -> bool:
        return self.cls in GROUPS

    @property
    def pipe_inputs(self) -> tuple[Node | None, ...]:
        return self.inputs[: len(self.inputs) - self.mask_inputs]

    @property
    def mask_input(self) -> Node | None:
        return self.inputs[len(self.inputs) - self.mask_inputs] if self.mask_inputs else None

    @property
    def output(self) -> Node | None:
        """A group's Output node (its first), or None."""
        return next((child for child in self.children if child.cls == "Output"), None)

    def group_input(self) -> int:
        """Which input of the group around it an Input node stands for: its `number` knob, else its order."""
        peers = [node for node in self.parent.children if node.cls in _INPUTS] if self.parent else [self]
        numbers = {id(node): int(node.knobs["number"]) for node in peers if _is_count(node.knobs.get("number", ""))}
        taken = set(numbers.values())
        free = (number for number in range(len(peers) + len(taken)) if number not in taken)
        for node in peers:
            number = numbers[id(node)] if id(node) in numbers else next(free)
            if node is self:
                return number
        return 0

    @property
    def source(self) -> Node | None:
        """For an Input node: the node outside that feeds it."""
        if self.cls not in _INPUTS or self.parent is None:
            return None
        number = self.group_input()
        return self.parent.inputs[number] if number < len(self.parent.inputs) else None


_INPUTS = frozenset({"Input", "LiveGroupInput"})


class Script:
    """A script that has been read. ``root.children`` are the nodes of the outermost scope (their parent is None)."""

    def __init__(self, name: str, root: Node, nodes: list[Node], commands: tuple[Command, ...]) -> None:
        self.name = name
        self.root = root
        self.nodes = nodes
        """Every node of every scope in the script's order, without Root."""
        self.commands = commands
        """What else the script says, in order: it draws nothing."""
        self._scopes: dict[Node | None, dict[str, Node]] = {}

    def __repr__(self) -> str:
        return f"<Script {self.name!r}, {len(self.nodes)} nodes>"

    @property
    def version(self) -> str:
        """What Nuke wrote it, like ``13.2 v4``; empty where it does not say."""
        return next((" ".join(command.words[1:]) for command in self.commands if command.words[0] == "version"), "")

    def of_class(self, *classes: str) -> Iterator[Node]:
        return (node for node in self.nodes if node.cls in classes)

    def look_up(self, path: str, scope: Node | None = None) -> Node | None:
        """The node of that name as seen from inside the group `scope`; None where there is none.

        ``root`` is Root, ``parent`` and ``this`` walk as they do in Nuke's expressions.
        """
        names = path.split(".")
        node: Node | None = scope
        for index, name in enumerate(names):
            if name == "root":
                node = None
                if index == len(names) - 1:
                    return self.root
                continue
            node = self._scope(node).get(name)
            if node is None:
                return None
        return node

    def find(self, full_name: str) -> Node:
        """The node of that full name. Raises ScriptError where there is none."""
        node = self.look_up(full_name)
        if node is None:
            raise ScriptError(f"{self.name}: there is no node {full_name!r}; `jit-render script` lists them.")
        return node

    def adopt(self, group: Node, children: list[Node]) -> None:
        """Put `children` into `group`, in place of what was in it."""
        group.children = children
        self._scopes.pop(group, None)

    def _scope(self, group: Node | None) -> dict[str, Node]:
        known = self._scopes.get(group)
        if known is None:
            known = {}
            for node in (group or self.root).children:
                known.setdefault(node.name, node)  # a clone has its original's name: the first is the original
            self._scopes[group] = known
        return known


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6
