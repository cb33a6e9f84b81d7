"""The same question over many nodes and seeds, in the model, at a day's true length."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.simulate.cloud import cloud
from benchmarks.simulate.interval import interval
from benchmarks.simulate.model import run
from benchmarks.simulate.spot import Law
from benchmarks.simulate.values import Outcome, Spot
from jit_render.farm.chunking import Costs, chunk_length

NODES = 50
FRAMES_PER_NODE = 40
CHUNKS = (1, 8, 40)


def simulate(law: Law, per_day: float, seeds: range) -> list[dict[str, Any]]:
    """Overhead and waste with fixed chunks and with the one that ``--chunk auto`` takes."""
    return [_with_chunk(law, per_day, seeds, name, chunk) for name, chunk in _chunks(per_day).items()]


def _chunks(per_day: float) -> dict[str, int]:
    one = cloud("compositing")
    costs = Costs(
        start_seconds=one.node.start_seconds,
        frame_seconds=(one.load.compute_seconds,),
        preemptions_per_hour=per_day / 24,
    )
    auto = chunk_length(NODES * FRAMES_PER_NODE, NODES, costs)
    return {**{str(chunk): chunk for chunk in CHUNKS}, "auto": auto}


def _with_chunk(law: Law, per_day: float, seeds: range, name: str, chunk: int) -> dict[str, Any]:
    one = cloud("compositing")
    still = replace(one, node=replace(one.node, chunk=chunk), spot=Spot())
    hit = replace(still, spot=Spot(per_day=per_day, law=law))
    calm = [run("jit", still.world(NODES, FRAMES_PER_NODE), seed) for seed in seeds]
    stormy = [run("jit", hit.world(NODES, FRAMES_PER_NODE), seed) for seed in seeds]
    pairs = list(zip(stormy, calm, strict=True))
    return {
        "chunk": name,
        "frames_of_a_task": chunk,
        "preemptions": interval([float(outcome.preemptions) for outcome in stormy]).to_json(),
        "overhead": interval([_overhead(outcome) for outcome in stormy]).to_json(),
        "wasted": interval([_busy(outcome) / _busy(quiet) - 1 for outcome, quiet in pairs]).to_json(),
        "bound": interval([_bound(outcome) for outcome in stormy]).to_json(),
        "wall": interval([outcome.wall_seconds / quiet.wall_seconds - 1 for outcome, quiet in pairs]).to_json(),
    }


def _busy(outcome: Outcome) -> float:
    return outcome.spent.total


def _overhead(outcome: Outcome) -> float:
    """Nodes' seconds that were not computing frames that count, as a share of those that were."""
    return outcome.spent.total / outcome.spent.compute - 1


def _bound(outcome: Outcome) -> float:
    """What restarting by the frame must cost: per preemption half a frame, a boot and a start, as such a share."""
    one = cloud("compositing")
    each = one.load.compute_seconds / 2 + one.node.boot_seconds + one.node.start_seconds
    return outcome.preemptions * each / outcome.spent.compute
