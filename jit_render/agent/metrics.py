"""Prometheus metrics on loopback: the agent's own counters, read when somebody asks.

Nothing is counted twice: a collector turns `Node.stats` into samples. The scrape runs in a thread of the HTTP
server; the counters belong to the event loop's thread and are read there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jit_render.agent.node import Node

SCRAPE_SECONDS = 5.0
# What only grows; everything else may fall.
_COUNTERS = frozenset(
    {
        *("uploaded_entries", "uploaded_bytes", "upload_retries", "failed_entries"),
        *("cache_hits", "cache_misses", "cache_evictions", "cache_evicted_bytes"),
        *("cache_quarantined", "cache_fetched_bytes", "cache_fetches", "cache_disk_errors"),
        *("cache_verified_entries", "cache_verified_bytes"),
    }
)


class _NodeCollector(Collector):
    def __init__(self, node: Node, loop: asyncio.AbstractEventLoop) -> None:
        self._node = node
        self._loop = loop

    def collect(self) -> Iterator[Metric]:
        asked = asyncio.run_coroutine_threadsafe(self._read(), self._loop)
        for name, value in asked.result(SCRAPE_SECONDS).items():
            title, says = f"jit_render_{name}", name.replace("_", " ")
            if name in _COUNTERS:
                yield CounterMetricFamily(title, says, value=value)
            else:
                yield GaugeMetricFamily(title, says, value=value)

    async def _read(self) -> dict[str, float]:
        stats = self._node.stats()
        cache: dict[str, Any] = stats.pop("cache")
        flat = stats | {f"cache_{name}": value for name, value in cache.items()}
        return {name: float(value) for name, value in flat.items() if isinstance(value, int | float)}


def serve_metrics(node: Node, port: int) -> tuple[int, Callable[[], None]]:
    """Serve on 127.0.0.1 at `port` (-1: any free one); the port, and how to stop. Raises OSError."""
    registry = CollectorRegistry()
    server, thread = start_http_server(max(port, 0), addr="127.0.0.1", registry=registry)
    registry.register(_NodeCollector(node, asyncio.get_running_loop()))

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return int(server.server_port), stop
