"""Partial responses: the ``fields`` parameter, e.g. ``items(name,size),nextPageToken`` or ``items/name``."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


def select(value: dict[str, Any], fields: str | None) -> dict[str, Any]:
    """Only those parts of `value` that `fields` names; all of it without `fields`."""
    if not fields or fields == "*":
        return value
    picked: dict[str, Any] = _pick(value, _parse(fields))
    return picked


@lru_cache(maxsize=64)
def _parse(fields: str) -> dict[str, str]:
    """Each name of the first level and what is selected below it ("" for all)."""
    wanted: dict[str, str] = {}
    depth, begin = 0, 0
    for at, letter in enumerate(fields + ","):
        depth += (letter == "(") - (letter == ")")
        if letter != "," or depth:
            continue
        part, begin = fields[begin:at].strip(), at + 1
        name, opened, inner = part.partition("(")
        if "/" in name:
            name, _, rest = part.partition("/")
            wanted[name] = rest
        elif name:
            wanted[name] = inner.removesuffix(")") if opened else ""
    return wanted


def _pick(value: Any, wanted: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_pick(item, wanted) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _pick(item, _parse(wanted[key])) if wanted[key] else item for key, item in value.items() if key in wanted
    }
