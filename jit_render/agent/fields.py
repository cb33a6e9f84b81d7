"""What a request must hold, checked at the door: nothing that came over the socket is trusted to have a type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from jit_render.model.errors import ProtocolError

Message = dict[str, Any]
_T = TypeVar("_T")


def text(message: Message, key: str, default: str | None = None) -> str:
    value = message.get(key, default)
    if not isinstance(value, str):
        raise _wrong(message, key, "a string")
    return value


def integer(message: Message, key: str, default: int | None = None) -> int:
    value = message.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(message, key, "a whole number")
    return value


def number(message: Message, key: str, default: float | None = None) -> float:
    value = message.get(key, default)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _wrong(message, key, "a number")
    return float(value)


def flag(message: Message, key: str) -> bool:
    value = message.get(key, False)
    if not isinstance(value, bool):
        raise _wrong(message, key, "true or false")
    return value


def digest(message: Message, key: str) -> str:
    """64 hexadecimal digits; empty where the key is missing."""
    value = text(message, key, "")
    if value and (len(value) != 64 or set(value) - set("0123456789abcdef")):
        raise _wrong(message, key, "64 hexadecimal digits, or empty")
    return value


def pairs(message: Message, key: str) -> list[tuple[str, str]]:
    """``[[text, text], …]``."""
    return _each(message, key, _pair, "a list of pairs of strings")


def integers(message: Message, key: str) -> list[int]:
    return _each(message, key, _integer, "a list of whole numbers")


def _each(message: Message, key: str, read: Callable[[Any], _T], meant: str) -> list[_T]:
    value = message.get(key, [])
    if not isinstance(value, list):
        raise _wrong(message, key, meant)
    try:
        return [read(entry) for entry in value]
    except (TypeError, ValueError):
        raise _wrong(message, key, meant) from None


def _pair(entry: Any) -> tuple[str, str]:
    first, second = entry
    if not isinstance(entry, list) or not isinstance(first, str) or not isinstance(second, str):
        raise TypeError
    return first, second


def _integer(entry: Any) -> int:
    if not isinstance(entry, int) or isinstance(entry, bool):
        raise TypeError
    return entry


def _wrong(message: Message, key: str, meant: str) -> ProtocolError:
    return ProtocolError(f"{message.get('verb')}: {key!r} must be {meant}; got {str(message.get(key))[:80]!r}.")
