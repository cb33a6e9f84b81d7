"""An honest map: which system makes a frame cheapest, by what a frame reads and by the size of the farm.

Each cell compares the filer (with the cheapest number of servers, used half of its hours), copying everything first,
and just in time. A small farm pays there for a whole server of 4 TiB, which no small studio would buy: so each cell
says as well what wins where the filer may be as small as `SMALLEST_FILER` of that, with bandwidth and price in
proportion, as long as it holds the shot. A further question, for buckets that span regions, is whether Rapid Cache
pays: that is arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.simulate.cloud import MB, SMALLEST_FILER, Cloud
from benchmarks.simulate.figures import cheapest_filer
from benchmarks.simulate.model import run
from benchmarks.simulate.money import GIB, per_frame
from jit_render.cost import Prices

MB_PER_SECOND = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
NODES = (3, 10, 30, 100, 300, 1_000)
_FRAMES_OF_A_SHOW = 500
_FRAMES_PER_NODE = 8


def choices(
    of: Cloud, prices: Prices, told: Callable[[], None], *, nodes: Sequence[int] = NODES
) -> list[dict[str, Any]]:
    """USD a frame of each system by megabytes read per second of computing and number of nodes."""
    cells = []
    for rate in MB_PER_SECOND:
        frame_bytes = rate * MB * of.load.compute_seconds
        load = replace(
            of.load,
            frame_bytes=frame_bytes,
            shared_bytes=0.0,
            show_bytes=frame_bytes * _FRAMES_OF_A_SHOW,
            output_bytes=min(of.load.output_bytes, frame_bytes),
        )
        for count in nodes:
            cells.append(_cell(replace(of, load=load), rate, count, prices))
            told()
    return cells


def _cell(of: Cloud, rate: float, nodes: int, prices: Prices) -> dict[str, Any]:
    filers, on_filer = cheapest_filer(of, nodes, prices)
    world = of.world(nodes, _FRAMES_PER_NODE)
    usd = {
        "gluster": on_filer,
        "copy-all": per_frame(run("copy-all", world, 1), prices, of.terms),
        "jit": per_frame(run("jit", world, 1), prices, of.terms),
    }
    cell = {"mb_per_second": rate, "nodes": nodes, "filers": filers, "usd_per_frame": usd, "best": _best(usd)}
    holds = of.load.show_bytes / (prices.glusterfs.disk_gib * GIB)
    filers, on_own = cheapest_filer(of, nodes, prices, least=max(SMALLEST_FILER, holds))
    own = {**usd, "gluster": on_own}
    return {**cell, "own_filer": {"filers": filers, "usd_per_frame": own, "best": _best(own)}}


def _best(usd: dict[str, float]) -> str:
    return min(usd, key=lambda system: usd[system])


def rapid_cache_pays_from(prices: Prices, hours: float) -> float:
    """How often each byte must be read by nodes, in `hours`, for Rapid Cache to cost less than a multi-region bucket.

    Read r times, a GiB costs ``r t`` without it, and ``i + t + h hours + r c`` with it (t: transfer, i: taken in,
    h: held an hour, c: read from the cache).
    """
    transfer, read = prices.rate("transfer_na_na"), prices.rate("rapid_cache_read")
    once = prices.rate("rapid_cache_ingest") + transfer + prices.rate("rapid_cache_hour") * hours
    return once / (transfer - read)
