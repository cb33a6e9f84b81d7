"""The same question over many nodes and seeds, in the model, at a day's true length."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from benchmarks.simulate.cloud import Cloud, cloud
from benchmarks.simulate.interval import interval, until_narrow
from benchmarks.simulate.model import run
from benchmarks.simulate.spot import Law
from benchmarks.simulate.values import Outcome, Spot
from jit_render.farm.chunking import Costs, chunk_length

NODES = 50
FRAMES_PER_NODE = 40
CHUNKS = (1, 8, 40)
WITHIN = 0.0005
"""How narrow half an interval of the waste must be, if more seeds make it so: a twentieth of a percent of the work."""


def simulate(law: Law, per_day: float, seeds: range) -> list[dict[str, Any]]:
    """Overhead and waste with fixed chunks and with the one that ``--chunk auto`` takes."""
    return [_with_chunk(law, per_day, seeds, name, chunk) for name, chunk in _chunks(per_day).items()]


def bound_seconds(of: Cloud) -> tuple[float, float]:
    """What one preemption costs a job: on average, and at most where every frame is as long as the average one.

    The next node's boot, the renderer's start, the first frame's files again; and of the frame in hand half, or all.
    """
    load, node = of.load, of.node
    fetched = (load.frame_bytes + load.shared_bytes) / node.bandwidth
    again = node.boot_seconds + node.start_seconds + fetched
    return again + load.compute_seconds / 2, again + load.compute_seconds + fetched


def _chunks(per_day: float) -> dict[str, int]:
    one = cloud("compositing")
    costs = Costs(
        start_seconds=one.node.start_seconds,
        frame_seconds=(one.load.compute_seconds,),
        preemptions_per_hour=per_day / 24,
    )
    auto = chunk_length(NODES * FRAMES_PER_NODE, NODES, costs)
    return {**{str(chunk): chunk for chunk in CHUNKS}, "auto": auto}


@cache
def _calm(chunk: int, seed: int) -> Outcome:
    """The job that nobody disturbs; the same for every law and rate."""
    one = cloud("compositing")
    still = replace(one, node=replace(one.node, chunk=chunk), spot=Spot())
    return run("jit", still.world(NODES, FRAMES_PER_NODE), seed)


def _stormy(law: Law, per_day: float, chunk: int, seed: int) -> Outcome:
    if not per_day:
        return _calm(chunk, seed)
    one = cloud("compositing")
    hit = replace(one, node=replace(one.node, chunk=chunk), spot=Spot(per_day=per_day, law=law))
    return run("jit", hit.world(NODES, FRAMES_PER_NODE), seed)


def _with_chunk(law: Law, per_day: float, seeds: range, name: str, chunk: int) -> dict[str, Any]:
    def pair(seed: int) -> tuple[Outcome, Outcome]:
        return _stormy(law, per_day, chunk, seed), _calm(chunk, seed)

    pairs = until_narrow(seeds, pair, lambda two: (_wasted(*two),), within=WITHIN)
    stormy = [outcome for outcome, _ in pairs]
    return {
        "chunk": name,
        "frames_of_a_task": chunk,
        "seeds": len(pairs),
        "preemptions": interval([float(outcome.preemptions) for outcome in stormy]).to_json(),
        "overhead": interval([outcome.spent.total / outcome.spent.compute - 1 for outcome in stormy]).to_json(),
        "wasted": interval([_wasted(*two) for two in pairs]).to_json(),
        "expected": interval([_expected(*two)[0] for two in pairs]).to_json(),
        "bound": interval([_expected(*two)[1] for two in pairs]).to_json(),
        "wall": interval([outcome.wall_seconds / quiet.wall_seconds - 1 for outcome, quiet in pairs]).to_json(),
    }


def _wasted(outcome: Outcome, quiet: Outcome) -> float:
    """What nodes spent beyond the same frames without preemption, as a share of that."""
    return outcome.spent.total / quiet.spent.total - 1


def _expected(outcome: Outcome, quiet: Outcome) -> tuple[float, float]:
    """What these preemptions had to cost on average and at most, as such shares."""
    mean, most = bound_seconds(cloud("compositing"))
    longest = outcome.longest_frame - cloud("compositing").load.compute_seconds
    return outcome.preemptions * mean / quiet.spent.total, outcome.preemptions * (most + longest) / quiet.spent.total
