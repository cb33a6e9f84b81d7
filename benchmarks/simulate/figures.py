"""What the model is asked: throughput by farm size, what a filer bears, the claim's four figures, what they hang on.

The claim (an account of a light-field studio, without a method) is against a GlusterFS. Its studio is made comparable
so: *before* is a farm with one filer server and as many nodes as that server feeds, that is, as many as still spend
80 % of their time on computing. *After* is just in time on 280 % more nodes. Where a figure can be read in more than
one way, all are printed, each with the sizes of both farms: a farm of more nodes is faster whatever feeds it, so beside
each comparison of unlike farms stands one of farms of the same size. "More instances" is told as the number of nodes up
to which each system still serves 90 % of what it would if it grew in proportion, with where the search ended.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any

from benchmarks.simulate.cloud import FRAMES_PER_NODE, MOST_NODES, Assumption, Cloud, assumptions
from benchmarks.simulate.interval import Interval, interval, until_narrow
from benchmarks.simulate.model import run
from benchmarks.simulate.money import cost, per_frame
from benchmarks.simulate.values import Outcome, System
from jit_render.cost import Prices

COMPARED: tuple[System, ...] = ("gluster", "copy-all", "jit-cold", "jit")
"""``rclone`` fetches as ``jit-cold`` does in this model; what sets them apart only ``farm`` measures."""
FED = 0.8
LINEAR = 0.9
MORE_INSTANCES = 2.8
"""280 % more."""
FEW = 8
"""Frames a node, where many farms are compared or large ones."""
NARROW = 0.01
"""Savings are told in whole percent, so half an interval of one percent is narrow enough."""
_OURS: System = "jit"
_FILER: System = "gluster"
_MIDDLE = 100
_LUCK = range(1, 4)

Seeds = Sequence[int]


def growth(
    of: Cloud, counts: Sequence[int], seeds: Seeds, prices: Prices, told: Callable[[], None]
) -> list[dict[str, Any]]:
    """Each system at each size: frames an hour, USD a frame by part, and where the nodes' time goes."""
    rows = []
    for nodes in counts:
        many = nodes > 1_000
        for system in COMPARED:
            frames = FEW if many else FRAMES_PER_NODE
            outcomes = until_narrow(
                seeds,
                partial(_run, of, system, nodes, frames_per_node=frames),
                lambda one: (one.frames_per_hour, per_frame(one, prices, of.terms)),
                within=0.0,
            )
            row = {"system": system, "nodes": nodes, "seeds": len(outcomes)}
            rows.append({**row, **_row(outcomes, of, prices)})
            told()
    return rows


def fed(of: Cloud, system: System, seed: int = 1) -> int:
    """The most nodes that spend 80 % of their time computing frames that count; at most `MOST_NODES`."""
    return _most(lambda nodes: _computing(of, system, nodes, seed) >= FED)


def linear(of: Cloud, system: System, seed: int = 1) -> int:
    """The most nodes of which each renders 90 % of what one alone does; at most `MOST_NODES`, where the search ends."""
    alone = _computing(of, system, 1, seed)
    return _most(lambda nodes: _computing(of, system, nodes, seed) >= LINEAR * alone)


def _most(holds: Callable[[int], bool]) -> int:
    low, high = 1, 8
    while holds(high):
        if high == MOST_NODES:
            return high
        low, high = high, min(2 * high, MOST_NODES)
    while high - low > max(1, low // 50):
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def headline(
    of: Cloud, seeds: Seeds, prices: Prices, frames_per_node: int, told: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """The claim's figures with their intervals; shares, so 0.4 is 40 %."""
    before_nodes = fed(of, "gluster")
    after_nodes = min(MOST_NODES, round(before_nodes * (1 + MORE_INSTANCES)))
    enough = of.with_filers(math.ceil(after_nodes / before_nodes))

    farms: dict[str, tuple[System, int, Cloud]] = {
        "ours": ("jit", after_nodes, of),
        "ours, as few": ("jit", before_nodes, of),
        "one filer that feeds its nodes": ("gluster", before_nodes, of),
        "one filer with as many nodes": ("gluster", after_nodes, of),
        "enough filers for as many nodes": ("gluster", after_nodes, enough),
    }
    few, many = f"{before_nodes:,} nodes", f"{after_nodes:,} nodes"
    pairs = {
        f"{few} on one filer, as many of ours": ("ours, as few", "one filer that feeds its nodes"),
        f"{few} on one filer, {many} of ours (unlike farms)": ("ours", "one filer that feeds its nodes"),
        f"{many} on one filer, which starves them, as many of ours": ("ours", "one filer with as many nodes"),
        f"{many} on {enough.terms.filers:g} filers, as many of ours": ("ours", "enough filers for as many nodes"),
    }

    def one_seed(seed: int) -> dict[str, Outcome]:
        told()
        return {name: _run(farm, system, nodes, seed, frames_per_node) for name, (system, nodes, farm) in farms.items()}

    def saved(bundle: dict[str, Outcome]) -> list[float]:
        usd = {name: per_frame(one, prices, farms[name][2].terms) for name, one in bundle.items()}
        return [1 - usd[mine] / usd[other] for mine, other in pairs.values()]

    told_all = until_narrow(seeds, one_seed, saved, within=NARROW)

    outcomes = {name: [bundle[name] for bundle in told_all] for name in farms}
    usd = {name: [per_frame(one, prices, farms[name][2].terms) for one in many] for name, many in outcomes.items()}
    after = outcomes["ours"]
    on_bucket = linear(of, "jit")
    return {
        "shot": of.shot,
        "before_nodes": before_nodes,
        "after_nodes": after_nodes,
        "seeds": len(after),
        "filers_grown": enough.terms.filers,
        "linear": {"on_filer": linear(of, "gluster"), "on_bucket": on_bucket, "quota_ended": on_bucket == MOST_NODES},
        "cost_less": {f"than {name}": _less(usd[mine], usd[other]) for name, (mine, other) in pairs.items()},
        "faster": {f"than {name}": _more(outcomes[mine], outcomes[other]) for name, (mine, other) in pairs.items()},
        "lost_to_preemption": interval([one.spent.lost / one.spent.total for one in after]).to_json(),
        "preempted_a_day": of.spot.per_day,
    }


def sensitivity(of: Cloud, prices: Prices, told: Callable[[], None]) -> list[dict[str, Any]]:
    """What the saving against enough filers would be with one assumption at its low and its high end, widest first."""
    middle = _saving(of, prices)
    rows = []
    for one in assumptions(of):
        ends = {end: _saving(one.put(of, _whole(one, getattr(one, end))), prices) for end in ("low", "high")}
        rows.append(
            {
                "name": one.name,
                "unit": one.unit,
                "source": one.source,
                "value": one.value(of),
                "low": one.low,
                "high": one.high,
                "saving_at_low": ends["low"],
                "saving_at_high": ends["high"],
                "saving": middle,
            }
        )
        told()
    return sorted(rows, key=lambda row: -abs(row["saving_at_high"] - row["saving_at_low"]))


def _whole(one: Assumption, value: float) -> float:
    return round(value) if one.field in {"local_ssds", "chunk", "lookahead"} else value


def _saving(of: Cloud, prices: Prices) -> float:
    """At 100 nodes, against the cheapest number of filers; the mean of a few seeds, as who is taken when is luck."""
    filers, _ = cheapest_filer(of, _MIDDLE, prices)
    ours, theirs = (
        fmean(per_frame(_run(farm, system, _MIDDLE, seed, FEW), prices, farm.terms) for seed in _LUCK)
        for farm, system in ((of, _OURS), (of.with_filers(filers), _FILER))
    )
    return 1 - ours / theirs


def cheapest_filer(of: Cloud, nodes: int, prices: Prices, *, least: float = 1) -> tuple[float, float]:
    """How many filer servers make a frame cheapest, and what it costs then; `least` below 1: one may be that small."""
    load = of.load
    wanted = nodes * (load.frame_bytes + load.output_bytes) / load.compute_seconds / of.filer_bandwidth
    best: tuple[float, float] | None = None
    sizes = (wanted * by for by in (0.25, 0.5, 0.75, 1.0, 1.5))
    for filers in sorted({max(least, round(size) if size >= 1 else size) for size in sizes}):
        larger = of.with_filers(filers)
        found = (filers, per_frame(_run(larger, "gluster", nodes, 1, FEW), prices, larger.terms))
        best = found if best is None or found[1] < best[1] else best
    assert best is not None
    return best


def _run(of: Cloud, system: System, nodes: int, seed: int, frames_per_node: int) -> Outcome:
    return run(system, of.world(nodes, frames_per_node), seed)


def _computing(of: Cloud, system: System, nodes: int, seed: int) -> float:
    """Share of the time between start and end, so that a short job does not count against a large farm."""
    still = replace(of, spot=replace(of.spot, per_day=0.0))
    spent = _run(still, system, nodes, seed, FEW).spent
    return spent.compute / (spent.total - spent.boot - spent.start)


def _row(outcomes: Sequence[Outcome], of: Cloud, prices: Prices) -> dict[str, Any]:
    costs = [cost(one, prices, of.terms) for one in outcomes]
    frames = outcomes[0].frames
    return {
        "frames_per_hour": interval([one.frames_per_hour for one in outcomes]).to_json(),
        "usd_per_frame": interval([sum(parts.values()) / frames for parts in costs]).to_json(),
        "usd_by_part": {part: sum(one[part] for one in costs) / len(costs) / frames for part in costs[0]},
        "time_by_part": {
            part: sum(getattr(one.spent, part) for one in outcomes) / sum(one.spent.total for one in outcomes)
            for part in outcomes[0].spent.__slots__
        },
        "preemptions": interval([float(one.preemptions) for one in outcomes]).to_json(),
    }


def _less(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    return _paired(ours, theirs, lambda one, other: 1 - one / other).to_json()


def _more(ours: Sequence[Outcome], theirs: Sequence[Outcome]) -> dict[str, float]:
    mine, others = ([one.frames_per_hour for one in side] for side in (ours, theirs))
    return _paired(mine, others, lambda one, other: one / other - 1).to_json()


def _paired(ours: Sequence[float], theirs: Sequence[float], by: Callable[[float, float], float]) -> Interval:
    return interval([by(one, other) for one, other in zip(ours, theirs, strict=True)])
