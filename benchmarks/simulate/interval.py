"""Means over seeds and how far they may be off."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")
LEAST_SEEDS = 3

# Student's t for 95 %, two-sided, by degrees of freedom; beyond the table the normal distribution's is near enough.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
_NORMAL = 1.960


class Interval(NamedTuple):
    """A mean and the ends of its 95 % interval; `low` and `high` are the mean where there is one value only."""

    mean: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        return self._asdict()

    def spell(self, form: str = "{:.1f}") -> str:
        """``41.2 (40.0 to 42.3)``."""
        return f"{form.format(self.mean)} ({form.format(self.low)} to {form.format(self.high)})"


def interval(values: Sequence[float]) -> Interval:
    """Of independent runs. Raises ValueError for none."""
    if not values:
        raise ValueError("an interval needs at least one value")
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Interval(mean, mean, mean)
    freedom = len(values) - 1
    t = _T[freedom - 1] if freedom <= len(_T) else _NORMAL
    half = t * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def until_narrow(
    seeds: Iterable[int], run: Callable[[int], T], figures: Callable[[T], Sequence[float]], *, within: float
) -> list[T]:
    """Run seed after seed until every figure's interval is narrow: half of it below `within`, or 1 % of its mean.

    At least three, and no more than there are. To stop where it looks narrow makes an interval a little too narrow;
    with so few looks that is less than what the assumptions are off by.
    """
    runs: list[T] = []
    for seed in seeds:
        runs.append(run(seed))
        if len(runs) >= LEAST_SEEDS and all(
            one.high - one.mean <= max(within, 0.01 * abs(one.mean))
            for one in (interval(values) for values in zip(*map(figures, runs), strict=True))
        ):
            break
    return runs
