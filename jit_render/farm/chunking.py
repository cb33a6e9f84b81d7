"""How many frames a task should have, so that the least worker time is wasted.

A task pays one start-up (renderer, licence, script) and then renders its frames. Long tasks share the start-up among
many frames; short ones can be dealt out evenly, so that no worker waits long for the last. Waste is what the workers
spend from the job's beginning to its end on anything but frames that count. For N frames of t_1 … t_N seconds (t on
average) in chunks of n on m workers, with a start-up of s and λ preemptions a second of work::

    K(n) = ⌈N / n⌉                                tasks
    B(n) = Σ t_i + K(n) s                         busy time
    lost(n) = λ B(n) (t/2 + s)
    idle(n) = m M(n) - Σ (busy time of each)      M: when the last worker is done
    waste(n) = K(n) s + lost(n) + idle(n)

*lost*: a preemption hits a worker at any moment of its work, on average in the middle of a frame. Frames are committed
one by one, so it costs half a frame and one more start-up, however long the chunk is; what is left goes to the next
free worker. So preemption, which makes long tasks dear where work is kept only at a task's end (the square-root rule of
J. W. Young, "A first order approximation to the optimum checkpoint interval", CACM 17(9), 1974), weighs here only
through K(n), and through what it does to *idle*.

*idle*: an engine gives the next chunk to the first worker that is free. That is R. L. Graham's list scheduling ("Bounds
on multiprocessing timing anomalies", SIAM J. Appl. Math. 17(2), 1969); M(n) is found by doing so, without preemptions
and, with the probability 1 - exp(-λ B) of there being any, with as many as are then to be expected, evenly spread: each
breaks a chunk in its middle, and the rest is dealt out behind all others. How overhead and the wait for the last worker
pull against each other with equal chunks is from C. P. Kruskal and A. Weiss ("Allocating independent subtasks on
parallel processors", IEEE Trans. Software Eng. SE-11(10), 1985), who take the times as independent. Those of a shot are
not: neighbours are alike, and whole stretches are heavier than others, which is what makes long chunks uneven. So
idle(n) is the mean over courses that the shot may take: as measured, and the same rising, falling, with a hill and with
a hollow, each by `unknown` either way at its extremes.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

UNKNOWN_MEASURED = 0.25
"""How far frames may be off the line through a scout's three: a quarter."""
UNKNOWN_GUESSED = 0.5
"""And where nothing was measured: the heaviest three times the lightest."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What is known of a shot. `frame_seconds`: of some frames spread evenly over it, at least one."""

    start_seconds: float
    frame_seconds: tuple[float, ...]
    preemptions_per_hour: float = 0.0
    """Of one worker's work."""
    unknown: float = UNKNOWN_MEASURED


def chunk_length(frames: int, workers: int, costs: Costs) -> int:
    """The n with the least `waste`; of several that are equal, the longest. Never more than each worker's share."""
    longest = max(1, math.ceil(frames / max(1, workers)))
    # Beyond the short ones only the shortest n for each number of tasks is worth a look: longer ones are less even.
    shares = {math.ceil(frames / tasks) for tasks in range(1, math.isqrt(frames) + 2)}
    lengths: list[int] = sorted({*range(1, math.isqrt(frames) + 2), *shares})
    courses = _courses(frames, costs)
    return min(
        (length for length in reversed(lengths) if length <= longest),
        key=lambda length: _waste(length, workers, costs, courses),
    )


def waste(length: int, frames: int, workers: int, costs: Costs) -> float:
    """Expected seconds of worker time that are wasted with chunks of `length` frames; the formula is above."""
    return _waste(length, workers, costs, _courses(frames, costs))


def _waste(length: int, workers: int, costs: Costs, courses: Sequence[Sequence[float]]) -> float:
    frames = len(courses[0]) - 1
    tasks = math.ceil(frames / length)
    work = courses[0][-1]
    busy = work + tasks * costs.start_seconds
    lost = costs.preemptions_per_hour / 3600 * busy * (work / frames / 2 + costs.start_seconds)
    expected = costs.preemptions_per_hour / 3600 * busy
    hit = 1 - math.exp(-expected)
    idle = 0.0
    for cuts, chance in ((0, 1 - hit), (max(1, round(expected / hit)) if hit else 0, hit)):
        if chance:
            deal = _Deal(length, workers, costs.start_seconds, cuts)
            idle += chance * sum(map(deal.idle, courses)) / len(courses)
    return tasks * costs.start_seconds + idle + lost


@dataclass(frozen=True, slots=True)
class _Deal:
    """Chunks dealt out, each to the first worker that is free; `cuts` of them, evenly spread, break in their middle."""

    length: int
    workers: int
    start_seconds: float
    cuts: int

    def idle(self, course: Sequence[float]) -> float:
        """Seconds that workers wait for the last one."""
        frames = len(course) - 1
        tasks = math.ceil(frames / self.length)
        ends = [0.0] * max(1, self.workers)
        rests: list[tuple[float, float]] = []
        for task in range(tasks):
            begin = task * self.length
            seconds = course[min(begin + self.length, frames)] - course[begin]
            if (task + 1) * self.cuts // tasks > task * self.cuts // tasks:
                seconds /= 2
                rests.append((ends[0] + self.start_seconds + seconds, seconds))
            heapq.heapreplace(ends, ends[0] + self.start_seconds + seconds)
        for since, seconds in rests:  # behind all that was waiting already
            heapq.heapreplace(ends, max(ends[0], since) + self.start_seconds + seconds)
        last = max(ends)
        return sum(last - end for end in ends)


def _courses(frames: int, costs: Costs) -> list[list[float]]:
    """Seconds up to each frame, for each course that the shot may take; all take as long in the whole."""
    middles = [(number + 0.5) / frames for number in range(frames)]
    measured = [_between(costs.frame_seconds, at) for at in middles]
    slopes = [[1 - 2 * at for at in middles], [math.cos(2 * math.pi * at) for at in middles]]
    swings = [[0.0] * frames] + [[sign * one for one in slope] for slope in slopes for sign in (1, -1)]
    found = []
    for swing in swings:
        seconds = [one * (1 + costs.unknown * by) for one, by in zip(measured, swing, strict=True)]
        scale = sum(measured) / sum(seconds) if sum(seconds) else 1.0
        found.append([0.0, *accumulate(one * scale for one in seconds)])
    return found


def _between(known: Sequence[float], at: float) -> float:
    """The value at `at` (0 to 1) of the straight lines through `known`."""
    place = at * (len(known) - 1)
    left = min(int(place), len(known) - 1)
    right = min(left + 1, len(known) - 1)
    return known[left] + (known[right] - known[left]) * (place - left)
