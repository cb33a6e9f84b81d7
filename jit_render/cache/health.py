"""A sick disk: noticed, left alone for a while, tried again. It is never written off for good."""

from __future__ import annotations

import errno
import logging

from jit_render.model.clock import Clock
from jit_render.model.errors import DiskFailing

FAILURES_UNTIL_DOWN = 3
FIRST_REST_SECONDS = 1.0
LONGEST_REST_SECONDS = 60.0
OUT_OF_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
_log = logging.getLogger(__name__)


class DiskHealth:
    """Normal; unstable after a failure; down after three in a row, with one probe after each rest."""

    def __init__(self, place: str, clock: Clock) -> None:
        self._place = place
        self._clock = clock
        self._in_a_row = 0
        self._rest_seconds = FIRST_REST_SECONDS
        self._rest_until = 0.0
        self.errors = 0

    @property
    def state(self) -> str:
        """``normal``, ``unstable`` or ``down``."""
        if self._in_a_row >= FAILURES_UNTIL_DOWN:
            return "down"
        return "unstable" if self._in_a_row else "normal"

    def admit(self) -> None:
        """Let work through, or one probe per rest. Raises DiskFailing."""
        if self.state != "down":
            return
        now = self._clock.monotonic()
        if now < self._rest_until:
            raise DiskFailing(
                f"cache {self._place}: the disk gave I/O errors {self._in_a_row} times in a row; "
                f"it is tried again in {self._rest_until - now:.0f} s. If that goes on, replace the node."
            )
        self._rest_until = now + self._rest_seconds  # the one that goes through now is the probe

    def failed(self, error: OSError) -> DiskFailing:
        """Count `error`; gives what to raise for it."""
        self.errors += 1
        self._in_a_row += 1
        if self.state == "down":
            self._rest_until = self._clock.monotonic() + self._rest_seconds
            self._rest_seconds = min(self._rest_seconds * 2, LONGEST_REST_SECONDS)
            _log.error("cache %s: the disk is failing: %s", self._place, error)
        return DiskFailing(
            f"cache {self._place}: the disk failed ({error.strerror or error}); try again or replace the node."
        )

    def worked(self) -> None:
        """Something was written and read: all is well."""
        self._in_a_row = 0
        self._rest_seconds = FIRST_REST_SECONDS
