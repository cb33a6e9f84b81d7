"""Watching a job by its records: until it ends, or beside the engine that runs it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from jit_render.farm.status import JobStatus, StatusFollower
from jit_render.model.clock import Clock
from jit_render.model.errors import StoreError
from jit_render.model.identity import ObjectUrl
from jit_render.report.progress import Display
from jit_render.store import Store

LOOK_SECONDS = 2.0


def follow(look: Callable[[], JobStatus], clock: Clock, display: Display, *, timeout_seconds: float = 0) -> JobStatus:
    """Show what `look` finds until the job is over, or for `timeout_seconds` (0: however long). The last look.

    Raises JobNotFound.
    """
    end = clock.monotonic() + timeout_seconds
    try:
        while True:
            status = look()
            display.show(status)
            if status.is_over or (timeout_seconds and clock.monotonic() >= end):
                return status
            clock.sleep(LOOK_SECONDS)
    finally:
        display.close()


@contextmanager
def watching(
    store: Store, home: ObjectUrl, clock: Clock, show: Callable[[JobStatus], None], *, every_seconds: float = 1.0
) -> Iterator[None]:
    """Look at the job from a thread of its own while the block runs. A look that fails is left out."""
    follower = StatusFollower(store, home, clock)
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            with suppress(StoreError):  # the job is what matters; the next look will do
                show(follower.refresh())
            is_over.wait(every_seconds)

    thread = threading.Thread(target=look, name="watching", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
