"""How long Spot VMs live.

*Exponential*: a constant hazard; of the nodes, `per_day` are taken within 24 hours. *Bathtub*: most are taken early or
near the end of a day, few in between. Its form is that of J. Kadupitiya, V. Jadhao and P. Sharma, "Modeling the
temporally constrained preemptions of transient cloud VMs" (HPDC 2020; arXiv 1911.05160), whose lifetimes end at 24
hours at the latest::

    F(t) = A (1 - exp(-t / T1) + exp((t - b) / T2))      T1 ~ 1 h, T2 ~ 0.8 h, b ~ 24 h

Spot VMs of today have no such limit, so only the share `per_day` of the nodes follows that law within its day and
the others outlive it; they meet it anew the next day. That keeps the rate, and puts the losses where the law puts them.
"""

from __future__ import annotations

import bisect
import math
import random
from functools import cache
from typing import Literal

DAY = 24 * 3600.0
Law = Literal["exponential", "bathtub"]
LAWS: tuple[Law, ...] = ("exponential", "bathtub")
_T1, _T2, _END = 1.0, 0.8, 24.0  # hours, as fitted there for n1-highcpu-16
_STEPS = 2_400


def lifetime(law: Law, per_day: float, dice: random.Random) -> float:
    """Seconds until a node is taken; infinity for `per_day` 0. `per_day` is the share taken within 24 hours."""
    if per_day <= 0:
        return math.inf
    if law == "exponential":
        return dice.expovariate(-math.log(1 - min(per_day, 0.999_999)) / DAY)
    days = 0
    while dice.random() >= per_day:
        days += 1
    return (days + _day_part(dice.random())) * DAY


def _day_part(point: float) -> float:
    """The part of a day at which the bathtub's distribution function reaches `point`."""
    values = _bathtub()
    index = min(bisect.bisect_left(values, point), _STEPS)
    return index / _STEPS


@cache
def _bathtub() -> list[float]:
    def law(hours: float) -> float:
        return 1 - math.exp(-hours / _T1) + math.exp((hours - _END) / _T2)

    low, high = law(0.0), law(_END)
    return [(law(_END * step / _STEPS) - low) / (high - low) for step in range(_STEPS + 1)]
