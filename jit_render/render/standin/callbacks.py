"""Filename filters and render callbacks, in Nuke's order.

Filters: the one added last runs first, those of the node's class before those of ``*``; each may change the name or
answer None. Render callbacks: in the order they were added, those of the node's class, then those of ``*``; an
exception ends the render. `this_node` tells callbacks whose they are; it is kept for each thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jit_render.script import Node

KINDS = ("beforeRender", "beforeFrameRender", "afterFrameRender", "afterRender")

_Entry = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class FilterFailed(Exception):
    """A filename filter raised. Nuke does not document what happens then; going on would open the wrong file."""


@dataclass
class _Scope(threading.local):
    node: Node | None = None
    depth: int = 0


@dataclass
class Callbacks:
    """What init.py registered."""

    _entries: dict[tuple[str, str], list[_Entry]] = field(default_factory=dict)
    _scope: _Scope = field(default_factory=_Scope)

    def add(
        self, kind: str, call: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], node_class: str
    ) -> None:
        """Adding the same again moves it to the end."""
        entries = self._entries.setdefault((kind, node_class), [])
        entry = (call, tuple(args), dict(kwargs))
        if entry in entries:
            entries.remove(entry)
        entries.append(entry)

    def remove(
        self, kind: str, call: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], node_class: str
    ) -> None:
        entries = self._entries.get((kind, node_class), [])
        entry = (call, tuple(args), dict(kwargs))
        if entry in entries:
            entries.remove(entry)

    def run(self, kind: str, node: Node) -> None:
        """Call every callback of that kind for the node; what one raises goes through."""
        for node_class in (node.cls, "*"):
            for call, args, kwargs in tuple(self._entries.get((kind, node_class), ())):
                with self.about(node):
                    call(*args, **kwargs)

    def filtered(self, name: str, node: Node) -> str:
        """The name after all filters. Raises FilterFailed."""
        for node_class in (node.cls, "*"):
            for call, args, kwargs in reversed(self._entries.get(("filename", node_class), ())):
                with self.about(node, in_filter=True):
                    try:
                        changed = call(name, *args, **kwargs)
                    except Exception as error:
                        raise FilterFailed(f"a filename filter failed on {name!r}: {error!r}") from error
                name = name if changed is None else str(changed)
        return name

    @property
    def has_filters(self) -> bool:
        return any(kind == "filename" and entries for (kind, _), entries in self._entries.items())

    @contextmanager
    def about(self, node: Node, *, in_filter: bool = False) -> Iterator[None]:
        """While it lasts, `this_node` is `node` on this thread."""
        before = self._scope.node
        self._scope.node = node
        self._scope.depth += in_filter
        try:
            yield
        finally:
            self._scope.node = before
            self._scope.depth -= in_filter

    @property
    def this_node(self) -> Node | None:
        return self._scope.node

    @property
    def in_filter(self) -> bool:
        return self._scope.depth > 0
