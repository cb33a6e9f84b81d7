"""YAML without its surprises: the tables that TOML and JSON spell, and the line that each value stands on.

YAML 1.1, which PyYAML reads, makes a truth of ``no`` and ``on``, a number of ``1_000`` and ``12:30``, a date of
``2026-01-01``. Here numbers are what YAML 1.2's core schema calls numbers, and everything else is the text that it
looks like. A bare ``yes``, ``no``, ``on`` or ``off`` means text to one reader and a truth to the next: it is refused.
So are a key that stands twice, tags, and aliases (a file of a page has no need of them, and a few lines of aliases of
aliases fill any memory).
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from jit_render.model.errors import ConfigError

Place = tuple[str | int, ...]
"""Keys and indices from the top down."""

_PLAIN = "tag:yaml.org,2002:"
_AMBIGUOUS = re.compile(r"(?i:yes|no|on|off)")
_NUMBERS = (
    ("null", re.compile(r"~|null|Null|NULL|"), "~nN\0"),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), "tTfF"),
    ("int", re.compile(r"[-+]?[0-9]+"), "-+0123456789"),
    ("float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), "-+.0123456789"),
)


DEEPEST = 50  # a pipeline has six levels; the interpreter's own limit is for its whole process to choose


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - as the base class has it
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(
                problem="an alias (*name) is not taken; write the value out", problem_mark=event.start_mark
            )
        if self._depth == DEEPEST:
            raise RecursionError
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


for _tag, _spelling, _first in _NUMBERS:
    anchored = re.compile(rf"^(?:{_spelling.pattern})$")
    _Loader.add_implicit_resolver(_PLAIN + _tag, anchored, ["" if one == "\0" else one for one in _first])


def load_yaml(text: str, name: str) -> tuple[Any, dict[Place, int]]:
    """The value that `text` spells, and the lines of all its parts, from 1. Raises ConfigError."""
    lines: dict[Place, int] = {}
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            return (None if node is None else _value(node, (), lines)), lines
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" (at line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ConfigError(f"{name} is no YAML: {error.problem or error.context}{where}.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is no YAML: {' '.join(str(error).split())}.") from None


def _value(node: yaml.Node, place: Place, lines: dict[Place, int]) -> Any:
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode) and node.tag == f"{_PLAIN}map":
        return _table(node, place, lines)
    if isinstance(node, yaml.SequenceNode) and node.tag == f"{_PLAIN}seq":
        return [_value(one, (*place, number), lines) for number, one in enumerate(node.value)]
    if not isinstance(node, yaml.ScalarNode):
        raise _refusal(node, f"the tag {node.tag} is not taken")
    return _scalar(node)


def _table(node: yaml.MappingNode, place: Place, lines: dict[Place, int]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            raise _refusal(key_node, "a key is text; quote it")
        if key in table:
            raise _refusal(key_node, f"the key {key!r} stands here a second time; keep one of the two")
        table[key] = _value(value_node, (*place, key), lines)
        lines[(*place, key)] = key_node.start_mark.line + 1
    return table


def _scalar(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    kind = node.tag.removeprefix(_PLAIN)
    if kind == "str":
        if node.style is None and _AMBIGUOUS.fullmatch(text):
            raise _refusal(
                node, f"a bare {text} is a truth to some and text to others; write true or false, or '{text}'"
            )
        return text
    if kind == "null":
        return None
    try:
        if kind == "bool":
            return {"true": True, "false": False}[text.lower()]
        if kind in {"int", "float"}:
            return int(text) if kind == "int" else float(text)
    except (KeyError, ValueError):
        pass
    raise _refusal(node, f"the tag {node.tag} is not taken")


def _refusal(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
