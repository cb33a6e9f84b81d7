"""Small objects, fetched on the agent's own loop where the store has a lane for them.

Handing a small object to a thread and back costs more than fetching it. So it is taken, checked and written between
two turns of the loop, which costs the loop a fraction of a millisecond. Nothing here repairs anything: wrong bytes,
a full or failing disk, whatever the store would try again, all are left to the way by the threads, which begins anew.

A disk that makes its writers wait would make everybody's answers wait, so the lane rests after a write that waited
and took longer than `LONGEST_HOLD_SECONDS`, `REST_TIMES` as long as it was held: a fiftieth of the loop's time is all
that is risked, and one wait of a busy disk does not send thousands of objects the way that costs three times as much.
A write that only lost the processor to a renderer for so long is no sign of a slow disk.
"""

from __future__ import annotations

import asyncio
import logging
import resource

from jit_render.cache.transfer import Transfer
from jit_render.model.errors import JitRenderError
from jit_render.model.identity import ObjectInfo
from jit_render.store.port import SmallLane, Store

LONGEST_HOLD_SECONDS = 0.02
LONGEST_REST_SECONDS = 10.0
REST_TIMES = 50
_log = logging.getLogger(__name__)


class SmallFetches:
    """Used on the loop's thread."""

    def __init__(self) -> None:
        self._lanes: dict[SmallLane, None] = {}
        self._rest_until = 0.0

    def lane(self, store: Store, info: ObjectInfo) -> SmallLane | None:
        """What would take `info` now."""
        lane = store.small_lane(info.url.root)
        if lane is None or not lane.takes(info) or asyncio.get_running_loop().time() < self._rest_until:
            return None
        return lane

    async def fetch(self, transfer: Transfer) -> bool:
        """Fetch and publish; False: nothing was done, go by the threads."""
        loop = asyncio.get_running_loop()
        lane = self.lane(transfer.store, transfer.info)
        if lane is None:
            return False
        self._lanes[lane] = None

        def take(data: memoryview) -> None:
            began, waits = loop.time(), _waits()
            try:
                transfer.at_once(data)
            finally:
                held = loop.time() - began
                if held > LONGEST_HOLD_SECONDS and _waits() > waits:
                    self._rest_until = loop.time() + min(REST_TIMES * held, LONGEST_REST_SECONDS)

        try:
            return await lane.fetch(transfer.info, take)
        except (JitRenderError, OSError) as error:
            _log.debug("%s goes by a thread: %s", transfer.info.id, error)
            return False

    def close(self) -> None:
        """Let go of the connections."""
        for lane in self._lanes:
            lane.close()
        self._lanes.clear()


def _waits() -> int:
    """How often this thread has given up the processor by itself, as it does to wait for a disk."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
