"""What cannot be uploaded before somebody changes something: put aside, told, and dropped once it is of no use.

It is of no use when another attempt has committed the same frames, before or after. What is left is tried again by
the next agent, which tells of it again: an attempt's drain names a refusal whatever agents have died in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

from jit_render.agent.attempts import Ledger, UploadFailure
from jit_render.agent.commit import is_committed
from jit_render.agent.entry import Entry
from jit_render.agent.outputs import is_link_to
from jit_render.agent.spool import Spool
from jit_render.cache import ViewTree
from jit_render.model.errors import JitRenderError
from jit_render.store.port import Store

LOG = logging.getLogger(__name__)

_T = TypeVar("_T")


class Aside:
    """The failures of this agent's time; `spool.failed` on disk holds them."""

    def __init__(self, spool: Spool, store: Store, ledger: Ledger, view: ViewTree, threads: Executor) -> None:
        self.count = 0
        self._spool = spool
        self._store = store
        self._ledger = ledger
        self._view = view
        self._threads = threads
        self._entries: dict[str, Entry] = {}

    async def put(self, entry: Entry, error: JitRenderError) -> None:
        """`entry` cannot be uploaded for the reason `error`."""
        self._hide(entry)
        try:
            if await self._is_moot(entry):
                LOG.info("%s: %s: %s; others have committed its frames", entry.files[0].url, error.kind, error)
                await self._in_thread(lambda: self._spool.remove(entry))
                return
            LOG.error("%s: %s: %s; kept in %s", entry.files[0].url, error.kind, error, self._spool.failed)
            self._tell(entry, error)
            await self._in_thread(lambda: self._spool.fail(entry, error))
            self._entries[entry.name] = entry
        except OSError as problem:
            LOG.error("%s: cannot be put aside: %s", entry.files[0].url, problem)  # noqa: TRY400 - one line tells it

    def drop(self, entry: Entry, error: JitRenderError) -> None:
        """The bytes of `entry` are lost for the reason `error`; its attempt is told."""
        self._hide(entry)
        LOG.error("%s: %s: %s", entry.files[0].url, error.kind, error)
        self._tell(entry, error)

    async def forget(self, committed: Entry) -> None:
        """What was put aside of the frames that are `committed` now is of no use."""
        done = set(committed.keys)
        for entry in list(self._entries.values()):
            if entry.attempt.job == committed.attempt.job and done.issuperset(entry.keys):
                del self._entries[entry.name]
                with contextlib.suppress(OSError):  # the next agent will find the same
                    await self._in_thread(partial(self._spool.forget, entry))

    def _tell(self, entry: Entry, error: JitRenderError) -> None:
        failures = [UploadFailure(str(file.url), error.kind, str(error)) for file in entry.files]
        self._ledger.of(entry.attempt).failed.extend(failures)
        self.count += 1

    def _hide(self, entry: Entry) -> None:
        """Nobody on this node shall read what will not be in the bucket."""
        for file in entry.files:
            with contextlib.suppress(OSError, JitRenderError):
                place = self._view.place(entry.job_id, file.url)
                if is_link_to(place, file.path):
                    place.unlink(missing_ok=True)

    async def _is_moot(self, entry: Entry) -> bool:
        """Whether what `entry` would commit is committed. No answer means no."""
        with contextlib.suppress(JitRenderError):
            return await self._in_thread(lambda: is_committed(self._store, entry))
        return False

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
