"""The functions of numeric expressions that can be computed without an image."""

from __future__ import annotations

import math
from collections.abc import Callable

from jit_render.model.errors import Undecided


def _guarded(function: Callable[..., float]) -> Callable[..., float]:
    def call(*values: float) -> float:
        try:
            return function(*values)
        except (ValueError, OverflowError, ZeroDivisionError):
            raise Undecided("a function in it has no value there") from None

    return call


def _clamp(value: float, low: float = 0.0, high: float = 1.0) -> float:
    return max(low, min(high, value))


def _smoothstep(low: float, high: float, value: float) -> float:
    along = _clamp((value - low) / (high - low))
    return along * along * (3 - 2 * along)


def _rint(value: float) -> float:
    return float(round(value))  # half to even, as C's rint


def _sign(value: float) -> float:
    return math.copysign(1.0, value) if value else 0.0


def _whole(value: float) -> float:
    return math.trunc(value)


_ANY = 64
_OF_ONE = ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "sqrt", "exp", "log10")
FUNCTIONS: dict[str, tuple[int, int, Callable[..., float]]] = {
    name: (least, most, _guarded(function))
    for name, least, most, function in (
        *((name, 1, 1, getattr(math, name)) for name in _OF_ONE),
        *((name, 2, 2, getattr(math, name)) for name in ("atan2", "hypot", "fmod", "pow")),
        *((name, 1, 1, getattr(math, name)) for name in ("degrees", "radians", "fabs")),
        ("abs", 1, 1, abs),
        ("log", 1, 1, math.log),
        ("log2", 1, 1, math.log2),
        ("mod", 2, 2, math.fmod),
        ("pow2", 1, 1, lambda value: value * value),
        ("floor", 1, 1, math.floor),
        ("ceil", 1, 1, math.ceil),
        ("int", 1, 1, _whole),
        ("trunc", 1, 1, _whole),
        ("rint", 1, 1, _rint),
        ("round", 1, 1, lambda value: math.floor(value + 0.5)),
        ("sign", 1, 1, _sign),
        ("min", 1, _ANY, min),
        ("max", 1, _ANY, max),
        ("clamp", 1, 3, _clamp),
        ("step", 2, 2, lambda edge, value: 0.0 if value < edge else 1.0),
        ("smoothstep", 3, 3, _smoothstep),
        ("lerp", 3, 3, lambda start, end, along: start + (end - start) * along),
        ("mix", 3, 3, lambda start, end, along: start + (end - start) * along),
        ("true", 0, 0, lambda: 1.0),
        ("false", 0, 0, lambda: 0.0),
    )
}
