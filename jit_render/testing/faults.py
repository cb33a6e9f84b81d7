"""Faults as data: which requests of the fake GCS go wrong, how, where in the transfer, and how often.

A fault is a table (TOML, JSON or a dict)::

    [[fault]]
    kind = "get"            # pattern over: get stat list write session chunk status cancel delete patch rewrite bucket
    bucket = "*"            # patterns as of file names
    name = "plates/*"
    after = 0               # so many matching requests pass first
    times = 1               # then so many go wrong; -1: all
    action = "reset"        # or status = 503
    at = "middle"

Actions: ``reset`` (the connection is reset), ``stall`` (nothing comes any more), ``short`` (it closes early),
``corrupt`` (one byte is wrong, the hash header is true), ``drip`` (a byte every ``seconds``), ``status`` (an error
answer with ``status``, ``reason``, ``message``, ``retry_after``), ``slow`` (all is well after ``seconds``).
``at`` for what the server sends: ``first`` byte, ``middle``, ``last`` byte. For what it receives: ``first`` before
anything is read, ``middle`` when half is read (without a body: when half the answer is sent), ``last`` after it took
effect, so that only its answer is lost.
(``corrupt`` in the ``middle`` of an upload damages what is received; elsewhere it damages the answer.)
"""

from __future__ import annotations

import json
import threading
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

Action = Literal["reset", "stall", "short", "corrupt", "drip", "status", "slow"]
At = Literal["first", "middle", "last"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule; see the module's text for the fields."""

    kind: str = "*"
    bucket: str = "*"
    name: str = "*"
    after: int = 0
    times: int = 1
    action: Action = "status"
    at: At = "first"
    status: int = 503
    reason: str = ""
    message: str = ""
    retry_after: float | None = None
    seconds: float = 0.05

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> Fault:
        """A fault from a table. Raises ValueError for an unknown key."""
        known = {field.name for field in fields(cls)}
        if unknown := set(table) - known:
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
        return cls(**table)

    def matches(self, kind: str, bucket: str, name: str) -> bool:
        return fnmatchcase(kind, self.kind) and fnmatchcase(bucket, self.bucket) and fnmatchcase(name, self.name)


def load(path: Path) -> list[Fault]:
    """The faults of a ``.toml`` or ``.json`` file with a list called ``fault``."""
    text = path.read_text()
    tables = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    return [Fault.parse(table) for table in tables["fault"]]


class FaultScript:
    """The faults of one server and how often each has matched; safe between threads."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._faults: list[tuple[Fault, list[int]]] = []
        self.set(faults)

    def set(self, faults: Iterable[Fault]) -> None:
        """Forget all faults and take these."""
        with self._lock:
            self._faults = [(fault, [0]) for fault in faults]

    def take(self, kind: str, bucket: str, name: str) -> Fault | None:
        """The first fault due for this request. Every matching fault counts the request."""
        due: Fault | None = None
        with self._lock:
            for fault, seen in self._faults:
                if not fault.matches(kind, bucket, name):
                    continue
                if due is None and seen[0] >= fault.after and (fault.times < 0 or seen[0] < fault.after + fault.times):
                    due = fault
                seen[0] += 1
        return due
