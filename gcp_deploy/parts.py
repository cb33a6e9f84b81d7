"""What a deployment is made of: parts that can be looked at, made, mended and removed, in this order.

``jit-deploy plan`` looks at every part; ``up`` makes what is missing and mends what differs, one part after the other;
``down`` removes them backwards. Nothing is remembered between runs: what is there *is* the state, so a run that was
killed goes on by looking again, and nothing is made twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class Verdict(StrEnum):
    """What there is to do about a part."""

    FINE = "ok"
    MISSING = "make"
    DRIFTED = "mend"
    BLOCKED = "wait"
    """It cannot be looked at before something else is made."""


@dataclass(frozen=True, slots=True)
class Look:
    """A part as it was found. `differences` are sentences."""

    verdict: Verdict
    differences: tuple[str, ...] = ()


class Part(Protocol):
    """One thing of a deployment."""

    kind: str
    name: str

    def look(self) -> Look:
        """Compare what is there with what should be. Changes nothing. Raises CloudError."""
        ...

    def make(self) -> None:
        """Make it, or bring it to what it should be; doing it again does no harm. Raises CloudError."""
        ...

    def remove(self) -> bool:
        """End it; False where there was nothing. Raises CloudError."""
        ...


def survey(parts: Sequence[Part], *, tell: Callable[[Part], None] = lambda _part: None) -> list[tuple[Part, Look]]:
    """Look at all parts. What hides behind an API that is off is told as blocked, not as an error."""
    from jit_render.model.errors import CloudDenied

    seen: list[tuple[Part, Look]] = []
    for part in parts:
        tell(part)
        try:
            seen.append((part, part.look()))
        except CloudDenied as error:
            if not any(look.verdict is Verdict.MISSING and other.kind == "API" for other, look in seen):
                raise
            seen.append((part, Look(Verdict.BLOCKED, (f"not to be seen while APIs are off: {str(error)[:80]}",))))
    return seen


def bring_up(parts: Sequence[Part]) -> Iterator[tuple[Part, Look]]:
    """Make each part what it should be, yielding it before it is touched with what was found."""
    for part in parts:
        look = part.look()
        yield part, look
        if look.verdict is not Verdict.FINE:
            part.make()


def differences(wanted: Mapping[str, Any], there: Mapping[str, Any], *, under: str = "") -> tuple[str, ...]:
    """How `there` falls short of `wanted`, which may say less than there is."""
    result: list[str] = []
    for key, value in wanted.items():
        name, has = f"{under}{key}", there.get(key)
        if isinstance(value, Mapping):
            result += differences(value, has if isinstance(has, Mapping) else {}, under=f"{name}.")
        elif not _same(value, has):
            result.append(f"{name} is {_short(has)}, should be {_short(value)}")
    return tuple(result)


def _same(wanted: Any, has: Any) -> bool:
    if isinstance(wanted, str) and "/" in wanted and isinstance(has, str):
        return has == wanted or has.endswith(f"/{wanted}")  # links come with another beginning
    if isinstance(wanted, (list, tuple)) and isinstance(has, (list, tuple)):
        pairs = list(zip(wanted, has, strict=False))
        return len(wanted) == len(has) and all(
            not differences(one, other) if isinstance(one, Mapping) else _same(one, other) for one, other in pairs
        )
    return bool(wanted == has)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
