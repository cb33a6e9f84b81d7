"""Fixtures of the whole-system tests."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from house import House, processes

from jit_render.testing.fake_gcs import FakeGcs


@pytest.fixture
def gcs() -> Iterator[FakeGcs]:
    """A strict object server with the bucket `show`, which keeps every version."""
    with FakeGcs() as server:
        server.create_bucket("show", versioning=True)
        yield server


@pytest.fixture
def house(tmp_path: Path, gcs: FakeGcs) -> Iterator[House]:
    """A show on disk, a script and a configuration over the object server; all its processes end with the test."""
    built = House(tmp_path, store_url="gs://show", endpoint=gcs.url).build()
    yield built
    for pid in processes(tmp_path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def stocked(house: House, gcs: FakeGcs) -> House:
    """The same with the show only in the bucket: nothing on disk can be read past the cache."""
    stock(house, gcs)
    return house


def stock(house: House, gcs: FakeGcs) -> None:
    hidden = house.hide()
    for path in hidden.rglob("*"):
        if path.is_file():
            gcs.put("show", f"assets/{path.relative_to(hidden)}", path.read_bytes())
