"""Numeric expressions of knobs: text to a closure.

Nuke's own expression language, not Tcl's: everything is a floating point number, names are knobs, and
``frame``, ``x`` and ``t`` are the frame. With ``integers=True`` it computes as Tcl's `expr` does (whole numbers
divide to whole numbers). What needs an image, or Nuke's own random numbers, cannot be told here.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from jit_render.model.errors import Undecided
from jit_render.script.functions import FUNCTIONS

DEEPEST = 60  # nested parentheses and operators; more is an attack, not an expression


class Names(Protocol):
    """What an expression may ask its surroundings."""

    def variable(self, name: str) -> float | None:
        """The value of a plain name; None where it is a knob's or nobody's."""
        ...

    def knob(self, path: str, at: float | None) -> float:
        """The value of a knob like ``parent.Blur1.size.x``, at another frame if `at` is given."""
        ...

    def curve(self, at: float | None) -> float:
        """The value that the keys of this knob would have without its expression."""
        ...


Closure = Callable[[Names], float]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>\$?[^\W\d]\w*(?:\.\w+)*)"
    r"|(?P<mark>\*\*|&&|\|\||[<>=!]=|[-+*/%^<>!?:(),]))"
)
_UNKNOWABLE = frozenset({"noise", "random", "turbulence", "fBm", "integral"})
_CONSTANTS = {"pi": math.pi, "e": math.e, "true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "$gui": 0.0}


@lru_cache(maxsize=4096)
def compile_expression(text: str, *, integers: bool = False) -> Closure:
    """The meaning of `text`. Raises Undecided where it is no expression or asks for what only Nuke knows."""
    return _Parser(text, integers=integers).parse()


class _Parser:
    """Precedence climbing; one method per kind of thing."""

    def __init__(self, text: str, *, integers: bool) -> None:
        self.text = text
        self.integers = integers
        self.depth = 0
        self.tokens = self._tokens()
        self.index = 0

    def parse(self) -> Closure:
        closure = self._choice()
        if self.index < len(self.tokens):
            raise self._error(f"{self.tokens[self.index][1]!r} is not expected there")
        return closure

    def _tokens(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        position, end = 0, len(self.text.rstrip())
        while position < end:
            match = _TOKEN.match(self.text, position)
            if match is None:
                raise self._error(f"{self.text[position : position + 12].strip()!r} cannot be read")
            found.append((match.lastgroup or "", match[match.lastgroup or 0]))
            position = match.end()
        return found

    def _error(self, why: str) -> Undecided:
        return Undecided(why, text=self.text)

    def _take(self, *marks: str) -> str:
        """The next mark where it is one of `marks`; else an empty string."""
        if self.index < len(self.tokens):
            kind, text = self.tokens[self.index]
            if kind == "mark" and text in marks:
                self.index += 1
                return text
        return ""

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            raise self._error(f"{mark!r} is missing")

    def _choice(self) -> Closure:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self._error("it nests too deeply")
        condition = self._binary(0)
        if self._take("?"):
            yes = self._choice()
            self._expect(":")
            no = self._choice()
            self.depth -= 1
            return lambda names: yes(names) if condition(names) else no(names)
        self.depth -= 1
        return condition

    def _binary(self, level: int) -> Closure:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        operators = _LEVELS[level]
        while mark := self._take(*operators):
            combine = _DIVIDE_WHOLE if mark == "/" and self.integers else operators[mark]
            left = combine(left, self._binary(level + 1))
        return left

    def _unary(self) -> Closure:
        signs: list[str] = []
        while sign := self._take("-", "+", "!"):
            signs.append(sign)
        value = self._power()
        for sign in reversed(signs):
            value = _signed(sign, value)
        return value

    def _power(self) -> Closure:
        base = self._atom()
        if self._take("^", "**"):
            self.depth += 1
            if self.depth > DEEPEST:
                raise self._error("it nests too deeply")
            exponent = self._unary()
            self.depth -= 1
            return _TO_THE_POWER(base, exponent)
        return base

    def _atom(self) -> Closure:
        if self._take("("):
            inner = self._choice()
            self._expect(")")
            return inner
        if self.index >= len(self.tokens):
            raise self._error("it ends too early")
        kind, text = self.tokens[self.index]
        self.index += 1
        if kind == "number":
            return self._number(text)
        if kind == "name":
            return self._call(text) if self._take("(") else _name(text)
        raise self._error(f"{text!r} is not expected there")

    def _number(self, text: str) -> Closure:
        whole = int(text, 16) if text[:2] in {"0x", "0X"} else None
        if whole is None and self.integers and text.isdigit() and len(text) < 19:
            whole = int(text)
        value = float(text) if whole is None else whole if self.integers else float(whole)
        return lambda _: value

    def _call(self, name: str) -> Closure:
        arguments: list[Closure] = []
        if not self._take(")"):
            arguments.append(self._choice())
            while self._take(","):
                arguments.append(self._choice())
            self._expect(")")
        if name in FUNCTIONS:
            least, most, function = FUNCTIONS[name]
            if not least <= len(arguments) <= most:
                raise self._error(f"{name}() does not take {len(arguments)} values")
            return lambda names: function(*[argument(names) for argument in arguments])
        if name in _UNKNOWABLE:
            raise self._error(f"only Nuke knows the values of {name}()")
        if len(arguments) > 1:
            raise self._error(f"the function {name}() is not known")
        at = arguments[0] if arguments else None
        if name in {"curve", "y", "value"}:
            return lambda names: names.curve(at(names) if at is not None else None)
        return lambda names: names.knob(name, at(names) if at is not None else None)


def _name(name: str) -> Closure:
    if name in {"curve", "y"}:
        return lambda names: names.curve(None)

    def look_up(names: Names) -> float:
        value = names.variable(name)
        if value is None:
            value = _CONSTANTS.get(name)
        return names.knob(name, None) if value is None else value

    return look_up


def _signed(sign: str, value: Closure) -> Closure:
    if sign == "-":
        return lambda names: -value(names)
    if sign == "!":
        return lambda names: 0.0 if value(names) else 1.0
    return value


def _both(left: Closure, right: Closure) -> Closure:
    return lambda names: 1.0 if left(names) and right(names) else 0.0


def _either(left: Closure, right: Closure) -> Closure:
    return lambda names: 1.0 if left(names) or right(names) else 0.0


def _computed(operate: Callable[[float, float], float]) -> Combine:
    def combine(left: Closure, right: Closure) -> Closure:
        def value(names: Names) -> float:
            try:
                return operate(left(names), right(names))
            except (ZeroDivisionError, OverflowError, ValueError):
                raise Undecided("it divides by zero or leaves the range of numbers") from None

        return value

    return combine


def _compared(compare: Callable[[float, float], bool]) -> Combine:
    return lambda left, right: lambda names: 1.0 if compare(left(names), right(names)) else 0.0


def _remainder(left: float, right: float) -> float:
    return left % right if isinstance(left, int) and isinstance(right, int) else math.fmod(left, right)


def _divide_whole(left: float, right: float) -> float:
    return left // right if isinstance(left, int) and isinstance(right, int) else left / right


Combine = Callable[[Closure, Closure], Closure]

_TO_THE_POWER = _computed(math.pow)
_DIVIDE_WHOLE = _computed(_divide_whole)
_LEVELS: tuple[dict[str, Combine], ...] = (
    {"||": _either},
    {"&&": _both},
    {"==": _compared(operator.eq), "!=": _compared(operator.ne)},
    {
        "<": _compared(operator.lt),
        ">": _compared(operator.gt),
        "<=": _compared(operator.le),
        ">=": _compared(operator.ge),
    },
    {"+": _computed(operator.add), "-": _computed(operator.sub)},
    {"*": _computed(operator.mul), "/": _computed(operator.truediv), "%": _computed(_remainder)},
)
