"""Whatever goes wrong between here and Cloud Storage, the end is the right bytes or the right error, in time."""

from __future__ import annotations

import itertools
import tomllib
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jit_render.model.errors import every_error
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.store import gcs_upload
from jit_render.store.crc import crc32c_of_bytes
from jit_render.store.gcs import GcsStore
from jit_render.store.port import ABSENT
from jit_render.testing.fake_clock import HurriedClock
from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.faults import Fault
from jit_render.testing.store_suite import PATTERN, Collected

TIMEOUT_SECONDS = 0.2
SIZES = {"download": 50_000, "download big": 3_000_000, "read": 5_000}


def cases(file: str) -> Iterator[object]:
    for case in tomllib.loads(Path(__file__).with_name(file).read_text())["case"]:
        table = case.pop("fault")
        choices = [value if isinstance(value, list) else [value] for value in table.values()]
        for operation, *values in itertools.product(case["operations"], *choices):
            fault = Fault.parse(dict(zip(table, values, strict=True)))
            if not concerns(operation, fault.kind):
                continue
            shown = " ".join(str(value) for value in (operation, *values))
            yield pytest.param(operation, fault, case, id=f"{shown}: {case['outcome']}")


def concerns(operation: str, kind: str) -> bool:
    """Whether the operation makes requests of that kind."""
    makes = {"write": {"write"}, "upload": {"session", "chunk"}, "delete": {"delete", "stat"}}.get(operation)
    if makes is None:
        makes = {"get"} if operation in SIZES else {operation}
    return kind in makes


@pytest.fixture(scope="module")
def gcs():
    with FakeGcs(buckets=["show"]) as server:
        yield server


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gcs_upload, "CHUNK_BYTES", 4 * 1024 * 1024)


class Bench:
    """One store on the faulty server, and an object to work with."""

    def __init__(self, gcs: FakeGcs, deadline: float) -> None:
        self.gcs = gcs
        self.clock = HurriedClock()
        settings = StoreSettings(endpoint=gcs.url, timeout=TIMEOUT_SECONDS, deadline=deadline)
        self.store = GcsStore(settings, self.clock)
        self.root = ObjectUrl.parse(f"gs://show/{uuid.uuid4().hex}")

    def prepare(self, operation: str) -> ObjectInfo | None:
        self.gcs.faults.set([])
        if operation in {"write", "upload"}:
            return None
        self.gcs.put("show", f"{self.root.key}/plate", PATTERN[: SIZES.get(operation, 100)])
        return self.store.stat(self.root / "plate")

    def run(self, operation: str, info: ObjectInfo | None, tmp_path: Path) -> None:
        """Do it, and check what came of it."""
        url = self.root / "plate"
        if info is None:
            self._write(operation, url, tmp_path)
        elif operation.startswith("download"):
            taken = Collected()
            self.store.download(info, taken)
            assert taken.data == PATTERN[: info.size_bytes]
        elif operation == "read":
            assert self.store.read(url) == (PATTERN[: info.size_bytes], info)
        elif operation == "stat":
            assert self.store.stat(url) == info
        elif operation == "list":
            assert list(self.store.list(self.root)) == [info]
        else:
            self.store.delete(url)
            self.gcs.faults.set([])

    def _write(self, operation: str, url: ObjectUrl, tmp_path: Path) -> None:
        data = PATTERN[:9_000_000] if operation == "upload" else PATTERN[:3000]
        file = tmp_path / "out"
        file.write_bytes(data)
        before = self.gcs.objects_model.bucket("show")
        if operation == "upload":
            info = self.store.upload(url, file, crc32c=crc32c_of_bytes(data), if_generation=ABSENT, writer="job")
        else:
            info = self.store.write(url, data, if_generation=ABSENT, writer="job")
        assert self.gcs.get("show", url.key) == data
        assert info.id.generation == str(before.live[url.key].generation)


def play(gcs: FakeGcs, operation: str, fault: Fault, case: dict, tmp_path: Path) -> None:
    deadline = case.get("deadline", 20.0)
    bench = Bench(gcs, deadline)
    info = bench.prepare(operation)
    own = fault if operation == "list" else replace(fault, name=f"{bench.root.key}*")
    gcs.faults.set([own])  # a late request of the test before must not use it up
    started = bench.clock.monotonic()
    try:
        if case["outcome"] == "ok":
            bench.run(operation, info, tmp_path)
        else:
            with pytest.raises(every_error()[case["outcome"]]) as caught:
                bench.run(operation, info, tmp_path)
            assert type(caught.value).__name__ == case["outcome"]
            assert "\n" not in str(caught.value)
            assert "plate" in str(caught.value) or operation == "list"
        assert sum(bench.clock.slept) >= case.get("slept", 0.0)
        assert bench.clock.monotonic() - started < deadline + 10 * TIMEOUT_SECONDS
    finally:
        gcs.faults.set([])
        bench.store.close()


@pytest.mark.parametrize(("operation", "fault", "case"), list(cases("store_reads.toml")))
def test_reading(gcs: FakeGcs, operation: str, fault: Fault, case: dict, tmp_path: Path):
    play(gcs, operation, fault, case, tmp_path)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(("operation", "fault", "case"), list(cases("store_writes.toml")))
def test_writing(gcs: FakeGcs, operation: str, fault: Fault, case: dict, tmp_path: Path):
    play(gcs, operation, fault, case, tmp_path)
