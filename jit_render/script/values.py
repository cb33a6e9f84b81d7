"""What the raw word of a knob says, before anything is computed.

A word is a list of components, one per number of the knob. A bare component is a literal; a braced one is an
expression and the curve behind it: ``{curve x1001 0 x1010 1}``, ``{frame-1 i}``, ``{"a ? b : c"}``. So
``{0 0 1 1}`` in the script (one pair of braces gone: ``0 0 1 1``) is an array of four numbers, and ``{{frame-1}}``
(``{frame-1}``) one expression. A knob that differs by view is ``(default {…} right {…})``, or the same words
without parentheses.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from jit_render.model.errors import ScriptError
from jit_render.script.curves import Curve, read_curve
from jit_render.script.words import Braced, list_words

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z")
_HEX = re.compile(r"0[xX][0-9a-fA-F]{1,16}\Z")
_WORDS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "on": 1.0, "off": 0.0}
_VIEW_NAME = re.compile(r"[^\W\d]\w*\Z")


class Component(NamedTuple):
    """One number of a knob: a literal, or an expression over a curve. ``text`` is how the script says it."""

    text: str
    literal: float | None = None
    expression: str = ""
    """``curve`` for a plain animation; empty for a bare word."""
    curve: Curve | None = None

    @property
    def is_constant(self) -> bool:
        return self.literal is not None


def read_literal(text: str) -> float | None:
    """The number that `text` spells (decimal, hexadecimal, true or false); None for anything else."""
    text = text.strip()
    if _NUMBER.match(text):
        return float(text)
    if _HEX.match(text):
        return float(int(text, 16))
    return _WORDS.get(text)


@lru_cache(maxsize=8192)
def read_components(raw: str) -> tuple[Component, ...]:
    """The components of a raw word. A word that is no list is one component of text."""
    try:
        words = list_words(raw)
    except ScriptError:
        return (Component(raw),)
    return tuple(_component(word) for word in words)


def for_view(raw: str, view: str) -> str:
    """The part of a raw word that `view` sees."""
    if "default" not in raw and not raw.startswith("("):
        return raw
    views = _per_view(raw)
    if not views:
        return raw
    return views.get(view, views.get("default", next(iter(views.values()))))


def views_of(raw: str) -> frozenset[str]:
    """The views that a raw word tells apart (without ``default``)."""
    return frozenset(_per_view(raw)) - {"default"} if "default" in raw or raw.startswith("(") else frozenset()


@lru_cache(maxsize=1024)
def _per_view(raw: str) -> dict[str, str]:
    text = raw.strip()
    in_parentheses = text.startswith("(") and text.endswith(")")
    try:
        words = list_words(text[1:-1] if in_parentheses else text)
    except ScriptError:
        return {}
    names = words[::2]
    if len(words) < 2 or len(words) % 2 or not all(map(_VIEW_NAME.match, names)):
        return {}
    if not in_parentheses and "default" not in names:
        return {}
    return dict(zip(names, words[1::2], strict=True))


def _component(word: str) -> Component:
    if not isinstance(word, Braced):
        return Component(word, literal=read_literal(word))
    try:
        words = list_words(word)
    except ScriptError:
        return Component(word, expression=word)
    if not words:
        return Component(word, literal=0.0)
    if len(words) == 1 and (literal := read_literal(words[0])) is not None:
        return Component(word, literal=literal)
    curve = read_curve(words[1:])
    if curve is None:  # words that are no keys: the whole is an expression with spaces in it
        return Component(word, expression=" ".join(words))
    return Component(word, expression=words[0], curve=curve)
