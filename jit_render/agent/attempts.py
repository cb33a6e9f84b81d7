"""What each attempt at a task has used, committed and failed to upload, as far as this agent knows.

Several connections (the worker's, its renderer's) belong to one attempt; an attempt outlives them, because its
uploads do. The bucket, not this ledger, is the record of what is committed: an agent that starts anew knows only
what it commits itself.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import asdict, dataclass, field
from typing import Any

MOST_ATTEMPTS = 1000  # on one node; the least recently named one is forgotten

CommitTuple = tuple[str, str, int]
"""(write, view, frame)."""


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """One try at one task of the job whose folder is at the URL `job`."""

    job: str
    task: int
    attempt: int


@dataclass(slots=True)
class Tally:
    """Counters, named as in the attempt's record (`model.job.Spent`)."""

    start_seconds: float = 0.0
    render_seconds: float = 0.0
    fetch_wait_seconds: float = 0.0
    upload_wait_seconds: float = 0.0
    bytes_fetched: int = 0
    bytes_from_cache: int = 0
    bytes_uploaded: int = 0
    hits: int = 0
    misses: int = 0
    unplanned: int = 0
    prefetch_useful: int = 0
    prefetch_late: int = 0
    prefetch_wasted: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class UploadFailure:
    """One output that will not reach the bucket without somebody changing something."""

    url: str
    kind: str
    message: str


@dataclass(slots=True)
class Attempt:
    """What is known of one attempt."""

    key: AttemptKey
    tally: Tally = field(default_factory=Tally)
    committed: dict[CommitTuple, None] = field(default_factory=dict)
    failed: list[UploadFailure] = field(default_factory=list)


class Ledger:
    """Every attempt seen lately."""

    def __init__(self) -> None:
        self._attempts: OrderedDict[AttemptKey, Attempt] = OrderedDict()

    def of(self, key: AttemptKey) -> Attempt:
        """The attempt named `key`, begun if it is new."""
        attempt = self._attempts.get(key)
        if attempt is None:
            attempt = self._attempts[key] = Attempt(key)
            if len(self._attempts) > MOST_ATTEMPTS:
                self._attempts.popitem(last=False)
        else:
            self._attempts.move_to_end(key)
        return attempt
