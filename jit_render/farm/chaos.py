"""Preemption on purpose: what Spot does to nodes, at a given rate, the same for the same seed.

Whether an attempt is hit, and when, depends on the seed, the task and the attempt alone. The moment is a point in
the attempt's expected life: a frame of those it was asked for, and a share of that frame's usual time.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chaos:
    """`rate`: the share of attempts that lose their node. `grace`: seconds between the notice and the end."""

    rate: float
    seed: int = 0
    grace: float = 30.0
    silent: float = 0.0
    """The share of the hits that come without a notice: a kill at once."""


@dataclass(frozen=True, slots=True)
class Hit:
    """When one attempt is hit: once its frame number `frame_index` has begun, after `share` of a frame's time."""

    frame_index: int
    share: float
    has_notice: bool


def plan(chaos: Chaos | None, task: int, attempt: int, frames: int) -> Hit | None:
    """What happens to this attempt; None: nothing."""
    if chaos is None:
        return None
    dice = random.Random(f"{chaos.seed}/{task}/{attempt}")  # noqa: S311 - not a secret, and repeatable on purpose
    if dice.random() >= chaos.rate:
        return None
    point = dice.random() * max(1, frames)
    return Hit(int(point), point % 1.0, dice.random() >= chaos.silent)
