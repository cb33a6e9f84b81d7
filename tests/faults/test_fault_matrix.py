"""Every fault of the server, in every operation, at every place, once, thrice and for ever: the whole cross product.

``matrix.toml`` says what each cell must come to. Whatever that is, these hold in all of them: the right bytes or one
line of the right error, within the deadline; no retry storm (few requests, after pauses that are bounded and not
alike); no partial file under any name, no second write.

The cells of one fault and operation run at the same time, each in a bucket of its own: they mostly wait. On a machine
that has other work, too, an answer may then come after the time-out, and a fault that happens once is used up unseen.
So a cell that ended otherwise is looked at once more, alone and with more patience, and that is what counts.
"""

from __future__ import annotations

import asyncio
import itertools
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import google.oauth2.credentials
import pytest

from jit_render.cache import transfer
from jit_render.model.errors import JitRenderError, every_error
from jit_render.model.identity import ObjectId, ObjectInfo, ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.store import gcs, gcs_data, gcs_upload
from jit_render.store.crc import crc32c_of_bytes
from jit_render.store.gcs import GcsStore
from jit_render.store.port import ABSENT
from jit_render.store.retry import LAST_BOUND_SECONDS
from jit_render.testing.cache_house import CacheHouse
from jit_render.testing.fake_clock import HurriedClock
from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.faults import Fault
from jit_render.testing.store_suite import PATTERN

MATRIX = tomllib.loads(Path(__file__).with_name("matrix.toml").read_text())
TIMEOUT_SECONDS = 0.2
PATIENT_SECONDS = 1.0
DEADLINE_SECONDS = 20.0
QUANTUM = 256 * 1024  # the least that a resumable upload confirms
PART = 50_000
SIZES = {"fetch": 300_000, "ranges": 4 * PART, "start": 20_000, "chunk": 2 * QUANTUM + 1000, "query": 2 * QUANTUM}
SIZES["small"] = 200_000  # of what drips from its middle on, each try brings a half: not done after a dozen
# Which request is the first, one in the middle, the last: where an operation makes several.
SEVERAL = {"ranges": (0, 1, 3), "list": (0, 1, 2), "chunk": (0, 1, 2)}
MOST_REQUESTS = 24
"""Of one patience: pauses double, so there are seven or so within the deadline; 24 is one in millions."""
PATIENCES = {"ranges": 4, "list": 3, "chunk": 3}


@dataclass(frozen=True)
class Cell:
    """One case. ``bucket`` is its own."""

    operation: str
    fault: str
    at: str
    times: str
    timeout: float = TIMEOUT_SECONDS

    @property
    def bucket(self) -> str:
        patience = "" if self.timeout == TIMEOUT_SECONDS else "-alone"
        return f"{self.operation}-{self.fault}-{self.at}-{self.times}{patience}"

    @property
    def outcomes(self) -> list[str]:
        named = [row[self.times] for row in MATRIX["row"] if self._is_in(row)]
        return named[-1].split(" or ") if named else []

    def _is_in(self, row: dict) -> bool:
        return (
            self.fault in row["faults"]
            and self.operation in row["operations"]
            and self.at in row.get("at", MATRIX["at"])
            and self.times in row
        )

    @property
    def faults(self) -> list[Fault]:
        after = SEVERAL.get(self.operation, (0, 0, 0))[MATRIX["at"].index(self.at)]
        main = Fault.parse(
            {"kind": MATRIX["operations"][self.operation], "bucket": self.bucket, "at": self.at, "after": after}
            | {"times": MATRIX["times"][self.times]}
            | MATRIX["faults"][self.fault]
        )
        cut = Fault(kind="chunk", bucket=self.bucket, action="reset", at="first")
        return [main, cut] if self.operation == "query" else [main]


def cells(operation: str, fault: str) -> list[Cell]:
    return [Cell(operation, fault, at, times) for at, times in itertools.product(MATRIX["at"], MATRIX["times"])]


class Bench:
    """One store in its own time, on a bucket that goes wrong."""

    def __init__(self, server: FakeGcs, cell: Cell, folder: Path) -> None:
        self.server = server
        self.cell = cell
        self.folder = folder / cell.bucket
        self.folder.mkdir()
        self.clock = HurriedClock()
        settings = StoreSettings(endpoint=server.url, timeout=cell.timeout, deadline=DEADLINE_SECONDS)
        renewable = google.oauth2.credentials.Credentials("stale", refresh_handler=renewed)
        self.store = GcsStore(settings, self.clock, renewable)
        self.root = ObjectUrl.parse(f"gs://{cell.bucket}")
        self.url = self.root / "show/plate.exr"
        self.data = PATTERN[: SIZES.get(cell.operation, 5000)]
        server.create_bucket(cell.bucket)
        if cell.operation == "list":
            self.infos = [self.put(self.root / f"show/p.{number}") for number in range(6)]
        elif cell.operation in {"fetch", "small", "ranges", "stat"}:
            self.infos = [self.put(self.url)]

    def put(self, url: ObjectUrl) -> ObjectInfo:
        version = self.server.put(self.cell.bucket, url.key, self.data)
        return ObjectInfo(ObjectId(url, str(version.generation)), len(self.data), crc32c_of_bytes(self.data))

    def do(self) -> None:
        """The operation, and what must be so if it did not raise."""
        operation = self.cell.operation
        if operation == "stat":
            assert self.store.stat(self.url).id == self.infos[0].id
        elif operation == "list":
            assert [info.id for info in self.store.list(self.root / "show")] == [info.id for info in self.infos]
        elif operation in {"fetch", "small", "ranges"}:
            asyncio.run(self._fetch())
        elif operation == "put":
            self._is_written(self.store.write(self.url, self.data, if_generation=ABSENT, writer="job"))
        else:
            file = self.folder / "out.exr"
            file.write_bytes(self.data)
            crc = crc32c_of_bytes(self.data)
            self._is_written(self.store.upload(self.url, file, crc32c=crc, if_generation=ABSENT, writer="job"))

    async def _fetch(self) -> None:
        house = CacheHouse(self.folder / "cache", self.store)
        async with house.cache() as cache:
            try:
                got = await cache.acquire("s", self.infos[0])
                assert got.path.read_bytes() == self.data
            except JitRenderError:
                assert house.objects() == []
                raise
            finally:
                assert list((house.root / "incoming").iterdir()) == []

    def _is_written(self, info: ObjectInfo) -> None:
        assert self.server.get(self.cell.bucket, self.url.key) == self.data
        assert info.id.generation == str(self.server.objects(self.cell.bucket)[self.url.key].generation)

    def nothing_is_partial(self) -> None:
        for version in self.server.objects(self.cell.bucket).values():
            assert self.server.get(self.cell.bucket, version.name) == self.data

    def asked_few_times(self) -> None:
        requests = self.server.count(MATRIX["operations"][self.cell.operation], self.cell.bucket)
        assert requests <= MOST_REQUESTS * PATIENCES.get(self.cell.operation, 1), "a retry storm"
        pauses = [pause for pause in self.clock.slept if pause > 0]
        assert all(pause <= LAST_BOUND_SECONDS for pause in pauses)
        assert len(set(pauses)) == len(pauses), "pauses that are alike bring all nodes back at once"


def renewed(request: object, scopes: object) -> tuple[str, object]:
    import datetime as dt

    del request, scopes
    return "fresh", dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(hours=1)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeGcs]:
    with FakeGcs() as running:
        yield running


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything large is large from a few kilobytes."""
    monkeypatch.setattr(gcs, "SMALL_BYTES", 10_000)
    monkeypatch.setattr(gcs_upload, "CHUNK_BYTES", QUANTUM)
    monkeypatch.setattr(gcs_data, "PAGE", 2)
    monkeypatch.setattr(transfer, "PART_BYTES", PART)


def ended(server: FakeGcs, cell: Cell, folder: Path) -> str:
    """How the cell's operation ended; raises AssertionError for what must never be."""
    bench = Bench(server, cell, folder)
    began = bench.clock.monotonic()
    try:
        bench.do()
        outcome = "ok"
        said = cell.bucket
    except JitRenderError as error:
        outcome, said = error.kind, str(error)
    finally:
        bench.store.close()
    assert cell.bucket in said
    assert "\n" not in said
    limit = DEADLINE_SECONDS * PATIENCES.get(cell.operation, 1) + 40 * cell.timeout
    assert bench.clock.monotonic() - began < limit, "it took longer than its deadline"
    bench.nothing_is_partial()
    bench.asked_few_times()
    return outcome


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("fault", MATRIX["faults"])
@pytest.mark.parametrize("operation", MATRIX["operations"])
def test_every_fault_ends_in_the_right_bytes_or_the_right_error(
    server: FakeGcs, operation: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if operation == "ranges":
        monkeypatch.setattr("jit_render.cache.carrier.PARTS_FROM_BYTES", PART)
    every = cells(operation, fault)
    server.faults.set([one for cell in every for one in cell.faults])
    with ThreadPoolExecutor(len(every)) as pool:
        outcomes = list(pool.map(lambda cell: ended(server, cell, tmp_path), every))

    for cell, outcome in zip(every, outcomes, strict=True):
        if outcome not in cell.outcomes:
            alone = replace(cell, timeout=PATIENT_SECONDS)
            server.faults.set(alone.faults)
            again = ended(server, alone, tmp_path)
            assert again in cell.outcomes, f"{cell.bucket}: {outcome}; alone: {again}"


def test_every_cell_says_a_known_outcome() -> None:
    pairs = itertools.product(MATRIX["operations"], MATRIX["faults"])
    every = [cell for operation, fault in pairs for cell in cells(operation, fault)]
    assert all(cell.outcomes for cell in every)
    said = {outcome for cell in every for outcome in cell.outcomes}
    assert said <= {"ok", *every_error()}
