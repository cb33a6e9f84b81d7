"""Animation curves, as Nuke writes and draws them.

The text is the serialisation that Foundry's developer guide gives ("Curve serialisation format"): keys in
order, each ``[interpolation] [extrapolation] [x<frame>] <value> [s<left slope>] [t<right slope>]
[u<left handle>] [v<right handle>]``. A letter holds until the next one. A key without a frame lies as far
behind the last as that behind the one before it; the second key lies one frame behind the first (real files
write one value per frame so).

Between two keys the curve is a cubic with the keys' slopes (Bezier handles at a third of the distance, times
u and v). A slope that is not given follows from the key's interpolation, as the description of
``nuke.AnimationKey`` says: K constant, L straight to the neighbours, R Catmull-Rom, C the cubic with
continuous second derivative, H horizontal, S smooth (the default): Catmull-Rom, clamped so that the curve
stays between the values of the two keys. Where a key has one neighbour only, its slope is the straight one,
so that two smooth keys make a straight line. Outside its keys a curve holds (k) or goes on straight (l).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z")
_INTERPOLATIONS = frozenset("KLSRCH")
_EXTRAPOLATIONS = frozenset("kl")
_TANGENTS = frozenset("stuv")
_HANDLE_STEPS = 60  # halvings until a handle's position is exact in double precision


class Key(NamedTuple):
    """One control point; a slope is None where the interpolation gives it."""

    x: float
    y: float
    interpolation: str = "S"
    extrapolation: str = "k"
    left_slope: float | None = None
    right_slope: float | None = None
    left_handle: float = 1.0
    right_handle: float = 1.0


@dataclass(frozen=True)
class Curve:
    """Keys in ascending order of x. Without keys it is 0 everywhere."""

    keys: tuple[Key, ...]

    def at(self, x: float) -> float:
        """The value at frame `x`."""
        if not self.keys:
            return 0.0
        index = bisect_right(self._frames, x) - 1
        if index < 0:
            return self._outside(0, x, self._slopes[0][0])
        if index == len(self.keys) - 1:
            return self._outside(index, x, self._slopes[index][1])
        return self._between(index, x)

    @cached_property
    def _frames(self) -> list[float]:
        return [key.x for key in self.keys]

    @cached_property
    def _slopes(self) -> list[tuple[float, float]]:
        """Left and right slope of each key."""
        cubic = _cubic_slopes(self.keys) if any(key.interpolation == "C" for key in self.keys) else None
        return [self._slope(index, cubic[index] if cubic else 0.0) for index in range(len(self.keys))]

    def _slope(self, index: int, cubic: float) -> tuple[float, float]:
        key = self.keys[index]
        before = _straight(self.keys, index - 1)
        after = _straight(self.keys, index)
        before = after if before is None else before
        after = before if after is None else after
        left, right = before or 0.0, after or 0.0
        if key.interpolation == "C":
            left = right = cubic
        elif key.interpolation == "H":
            left = right = 0.0
        elif key.interpolation in "SR" and 0 < index < len(self.keys) - 1:
            previous, following = self.keys[index - 1], self.keys[index + 1]
            slope = (following.y - previous.y) / (following.x - previous.x)
            left = right = slope if key.interpolation == "R" else _clamped(slope, left, right)
        if key.left_slope is not None or key.right_slope is not None:
            left = key.left_slope if key.left_slope is not None else left
            right = key.right_slope if key.right_slope is not None else left
        return left, right

    def _outside(self, index: int, x: float, slope: float) -> float:
        key = self.keys[index]
        return key.y + slope * (x - key.x) if key.extrapolation == "l" else key.y

    def _between(self, index: int, x: float) -> float:
        key, following = self.keys[index], self.keys[index + 1]
        if key.interpolation == "K" or x == key.x:
            return key.y
        width = following.x - key.x
        slope, next_slope = self._slopes[index][1], self._slopes[index + 1][0]
        if key.interpolation == "L" and key.right_slope is None and following.interpolation in "LK":
            return key.y + (following.y - key.y) * (x - key.x) / width
        handle, next_handle = key.right_handle / 3, 1 - following.left_handle / 3
        along = _bezier_parameter((x - key.x) / width, handle, next_handle)
        return _bezier(
            along,
            key.y,
            key.y + slope * width * handle,
            following.y - next_slope * width * (1 - next_handle),
            following.y,
        )


def read_curve(words: Sequence[str]) -> Curve | None:
    """The curve that `words` describe (what follows its expression); None where they describe none."""
    keys: list[Key] = []
    interpolation, extrapolation = "S", "k"
    x: float | None = None
    for word in words:
        letter, rest = word[:1], word[1:]
        if word in {"i", "I"} and not keys:
            continue  # how the curve editor shows it
        if word in _INTERPOLATIONS:
            interpolation = word
        elif word in _EXTRAPOLATIONS:
            extrapolation = word
        elif letter == "x" and _NUMBER.match(rest):
            x = float(rest)
        elif _NUMBER.match(word):
            keys.append(Key(_next_x(keys) if x is None else x, float(word), interpolation, extrapolation))
            x = None
        elif letter in _TANGENTS and keys and _NUMBER.match(rest):
            keys[-1] = _with_tangent(keys[-1], letter, float(rest))
        else:
            return None
    return Curve(tuple({key.x: key for key in sorted(keys, key=lambda key: key.x)}.values()))


def _with_tangent(key: Key, letter: str, value: float) -> Key:
    if letter == "s":
        return key._replace(left_slope=value)
    if letter == "t":
        return key._replace(right_slope=value)
    return key._replace(left_handle=value) if letter == "u" else key._replace(right_handle=value)


def _next_x(keys: list[Key]) -> float:
    if len(keys) < 2:
        return keys[0].x + 1 if keys else 0.0
    return 2 * keys[-1].x - keys[-2].x


def _straight(keys: tuple[Key, ...], index: int) -> float | None:
    """The slope from key `index` to the next one; None where there is none."""
    if index < 0 or index + 1 >= len(keys):
        return None
    return (keys[index + 1].y - keys[index].y) / (keys[index + 1].x - keys[index].x)


def _clamped(slope: float, before: float, after: float) -> float:
    """`slope`, so that handles at a third of each span stay between the spans' ends."""
    if before * after <= 0:
        return 0.0
    limit = 3 * min(abs(before), abs(after))
    return max(-limit, min(limit, slope))


def _cubic_slopes(keys: tuple[Key, ...]) -> list[float]:
    """Slopes of the natural cubic spline through `keys` (tridiagonal system, Thomas' algorithm)."""
    count = len(keys)
    if count < 2:
        return [0.0] * count
    upper, slopes = [0.0] * count, [0.0] * count
    for index in range(count):
        before = 1 / (keys[index].x - keys[index - 1].x) if index else 0.0
        after = 1 / (keys[index + 1].x - keys[index].x) if index < count - 1 else 0.0
        right = 3 * ((_straight(keys, index - 1) or 0.0) * before + (_straight(keys, index) or 0.0) * after)
        pivot = 2 * (before + after) - (before * upper[index - 1] if index else 0.0)
        upper[index] = after / pivot
        slopes[index] = (right - (before * slopes[index - 1] if index else 0.0)) / pivot
    for index in range(count - 2, -1, -1):
        slopes[index] -= upper[index] * slopes[index + 1]
    return slopes


def _bezier(along: float, start: float, out: float, back: float, end: float) -> float:
    rest = 1 - along
    return rest**3 * start + 3 * rest**2 * along * out + 3 * rest * along**2 * back + along**3 * end


def _bezier_parameter(position: float, out: float, back: float) -> float:
    """Where on the Bezier its horizontal position is `position` (0 to 1)."""
    if abs(out - 1 / 3) < 1e-12 and abs(back - 2 / 3) < 1e-12:
        return position
    low, high = 0.0, 1.0
    for _ in range(_HANDLE_STEPS):
        middle = (low + high) / 2
        if _bezier(middle, 0.0, out, back, 1.0) < position:
            low = middle
        else:
            high = middle
    return (low + high) / 2
