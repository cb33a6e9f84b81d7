"""The chosen chunk against jobs played through by brute force: random courses of the shot, real queues, preemptions."""

from __future__ import annotations

import heapq
import math
import random
import statistics
from dataclasses import replace

import pytest

from jit_render.farm.chunking import Costs, chunk_length, waste

SHOTS = [
    (100, 2, Costs(30, (60,))),
    (100, 4, Costs(30, (60,), 1.0, 0.5)),
    (100, 10, Costs(60, (10,), 1.0)),
    (48, 2, Costs(2, (1,), 0.0, 0.5)),
    (1000, 20, Costs(60, (30,), 0.5)),
    (240, 8, Costs(120, (300,), 2.0)),
    (37, 4, Costs(10, (5,), 6.0)),
    (500, 50, Costs(90, (120,), 1.0)),
    (100, 1, Costs(30, (10,), 3.0)),
    (100, 4, Costs(30, (20, 60, 180), 1.0)),
    (400, 16, Costs(20, (5, 5, 40), 1.0)),
]
TIMES = 12


def play(length: int, frames: int, workers: int, costs: Costs, seed: int) -> float:
    """Play one job through, event by event; the share of worker time that was wasted, of the work."""
    world = random.Random(seed)
    lean, hill = (world.uniform(-1, 1) * costs.unknown for _ in range(2))
    seconds = []
    for frame in range(frames):
        at = (frame + 0.5) / frames
        course = max(0.1, 1 + lean * (1 - 2 * at) + hill * math.cos(2 * math.pi * at))
        seconds.append(_along(costs.frame_seconds, at) * course * world.uniform(0.8, 1.2))
    dice = random.Random(f"{seed}/{length}")
    free = [0.0] * workers
    waiting = [(0.0, begin, min(frames, begin + length)) for begin in range(0, frames, length)]
    end = 0.0
    while waiting:
        since, begin, stop = heapq.heappop(waiting)
        now = max(since, heapq.heappop(free))
        rate = costs.preemptions_per_hour / 3600
        death = now + (dice.expovariate(rate) if rate else math.inf)
        now += costs.start_seconds
        while begin < stop and now + seconds[begin] <= death:
            now += seconds[begin]
            begin += 1
        now = now if begin == stop else death
        if begin < stop:
            heapq.heappush(waiting, (death, begin, stop))
        heapq.heappush(free, now)
        end = max(end, now)
    return (workers * end - sum(seconds)) / sum(seconds)


def _along(known: tuple[float, ...], at: float) -> float:
    place = at * (len(known) - 1)
    left = int(place)
    return known[left] + (known[min(left + 1, len(known) - 1)] - known[left]) * (place - left)


def mean(length: int, frames: int, workers: int, costs: Costs) -> float:
    return statistics.fmean(play(length, frames, workers, costs, seed) for seed in range(TIMES))


def test_no_other_length_wastes_much_less_when_jobs_are_played_through():
    regrets = []
    for frames, workers, costs in SHOTS:
        chosen = chunk_length(frames, workers, costs)
        lengths = {*range(1, 12), *(math.ceil(frames / tasks) for tasks in range(1, 20)), chosen}
        within = (length for length in lengths if length * workers <= frames * 1.5)
        played = {length: mean(length, frames, workers, costs) for length in within}
        regrets.append(played[chosen] - min(played.values()))
    assert max(regrets) < 0.12
    assert statistics.fmean(regrets) < 0.03


def test_what_is_expected_is_near_what_is_played():
    for frames, workers, costs in SHOTS:
        chosen = chunk_length(frames, workers, costs)
        work = frames * statistics.fmean(_along(costs.frame_seconds, (n + 0.5) / frames) for n in range(frames))
        assert waste(chosen, frames, workers, costs) / work == pytest.approx(
            mean(chosen, frames, workers, costs), rel=0.5, abs=0.05
        )


def test_one_worker_takes_all_at_once_and_dear_starts_make_long_chunks():
    assert chunk_length(100, 1, Costs(5, (1,))) == 100
    cheap, dear = (chunk_length(400, 4, Costs(start, (10,))) for start in (0.1, 300))
    assert cheap < dear <= 100
    assert chunk_length(1, 8, Costs(5, (1,))) == 1
    assert chunk_length(3, 8, Costs(0, (0,))) == 1


def test_an_uneven_shot_is_cut_finer_than_an_even_one():
    even = Costs(10, (60,), unknown=0.0)
    assert chunk_length(200, 5, even) == 40
    assert chunk_length(200, 5, replace(even, frame_seconds=(10, 60, 110))) < 40
