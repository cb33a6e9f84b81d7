"""From the artist's disk to the bucket: only what differs, never over what somebody else wrote, and read once."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from jit_render.farm.hash_cache import open_hashes
from jit_render.farm.ingest import ingest, ingest_for
from jit_render.farm.ingest_report import Choices, IngestReport
from jit_render.farm.local_files import LocalFile, find_named, find_pushed
from jit_render.farm.reading import open_plain
from jit_render.model.clock import SystemClock
from jit_render.model.errors import PermissionDenied, TransientStoreError, UnmappedPath, UsageError
from jit_render.model.identity import ObjectUrl
from jit_render.model.pathmap import PathMap
from jit_render.model.settings import Settings
from jit_render.report.ingest import ingest_json, ingest_lines
from jit_render.store import open_store
from jit_render.testing.fake_clock import FakeClock
from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.faults import Fault

LARGE = 8 * 1024 * 1024 + 1  # the first size that is sent in a session
LONG_AGO = 1_500_000_000


class Desk:
    """An artist's machine with a show on its disk, and the bucket that the show stands for."""

    def __init__(self, root: Path, gcs: FakeGcs) -> None:
        self.root = root
        self.gcs = gcs
        self.show = root / "show"
        (self.show / "plates").mkdir(parents=True)
        (self.show / "renders").mkdir()
        self.settings = Settings.model_validate(
            {
                "paths": [
                    {"prefix": [str(self.show), "P:\\show"], "target": "gs://show/assets"},
                    {"prefix": str(self.show / "renders"), "target": "gs://show/renders", "mode": "write"},
                ],
                "ingest": {"hashes": str(root / "hashes"), "uploaders": 4},
                "store": {"endpoint": gcs.url, "timeout": 5.0, "deadline": 20.0},
            }
        )
        self.store = open_store(self.settings.store, FakeClock())
        self.opened: Counter[str] = Counter()

    def write(self, name: str, data: bytes = b"pixels", *, at: float = 0.0) -> Path:
        path = self.show / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if at:
            os.utime(path, (at, at))
        return path

    def push(self, *names: str, on_open: Callable[[str], None] = lambda _: None, **choices) -> IngestReport:
        def opener(path: str):
            self.opened[path] += 1
            on_open(path)
            return open_plain(path)

        found = find_pushed(PathMap(rules=self.settings.paths), [str(self.show / name) for name in names or ("",)])
        given = Choices(opener=opener, **choices)
        return ingest(self.settings, self.store, found, clock=SystemClock(), choices=given)

    def object(self, name: str) -> bytes:
        return self.gcs.get("show", f"assets/{name}")


@pytest.fixture
def gcs():
    with FakeGcs(buckets=["show"]) as server:
        yield server


@pytest.fixture
def desk(tmp_path, gcs):
    made = Desk(tmp_path, gcs)
    yield made
    made.store.close()


def names(left) -> list[str]:
    return [Path(one.path).name for one in left]


def test_what_the_bucket_lacks_is_uploaded_and_found_there_the_next_time(desk, gcs):
    desk.write("plates/a.1.exr", b"one")
    desk.write("plates/deep/a.2.exr", b"")
    first = desk.push()
    assert (first.files, first.unchanged, first.bytes_uploaded) == (2, 0, 3)
    assert (desk.object("plates/a.1.exr"), desk.object("plates/deep/a.2.exr")) == (b"one", b"")
    second = desk.push()
    assert (second.unchanged, second.brought, second.is_whole) == (2, (), True)
    assert gcs.count("write") == 2


def test_a_second_ingest_reads_nothing_and_lists_each_folder_once(desk, gcs):
    for number in range(1200):
        name = f"plates/{'ab'[number % 2]}/p.{number}.exr"
        desk.write(name, b"%d" % number)
        gcs.put("show", f"assets/{name}", b"%d" % number)
    for number in range(3):
        with desk.write(f"plates/large.{number}.exr", b"").open("r+b") as file:
            file.truncate(LARGE)
        gcs.put("show", f"assets/plates/large.{number}.exr", bytes(LARGE))
    first = desk.push()
    assert (first.unchanged, len(desk.opened)) == (1203, 1203)
    desk.opened.clear()
    gcs.reset_counts()
    second = desk.push()
    assert (second.unchanged, second.bytes_read, desk.opened) == (1203, 0, Counter())
    assert [seen.kind for seen in gcs.requests] == ["list"] * 3
    assert gcs.count("list") == 3


@pytest.mark.parametrize("how", ["again", "another file", "time set back"])
def test_a_change_within_the_same_second_and_size_is_noticed(desk, how):
    path = desk.write("plates/a.exr", b"old", at=LONG_AGO)
    desk.push()
    before = path.stat()
    if how == "again":
        path.write_bytes(b"new")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    elif how == "another file":
        path.with_name("b").write_bytes(b"new")
        os.utime(path.with_name("b"), ns=(before.st_atime_ns, before.st_mtime_ns))
        path.with_name("b").rename(path)
    else:
        path.write_bytes(b"new")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    report = desk.push(overwrite=True)
    assert (len(report.brought), desk.object("plates/a.exr")) == (1, b"new")


def test_what_is_remembered_says_nothing_of_the_bucket(desk, gcs):
    desk.write("plates/a.exr", b"mine")
    desk.push()
    gcs.remove("show", "assets/plates/a.exr")
    assert len(desk.push().brought) == 1
    assert sum(desk.opened.values()) == 1


def test_a_stale_copy_never_replaces_what_is_younger_unless_told_to(desk, gcs):
    desk.write("plates/a.exr", b"stale", at=LONG_AGO)
    desk.write("plates/longer.exr", b"stale, too", at=LONG_AGO)
    for name in ("a.exr", "longer.exr"):
        gcs.put("show", f"assets/plates/{name}", b"fresh")
    report = desk.push()
    assert (names(report.kept), report.brought, report.is_whole) == (["a.exr", "longer.exr"], (), False)
    assert any("kept back" in line for line in ingest_lines(report))
    assert desk.object("plates/a.exr") == b"fresh"
    assert len(desk.push(overwrite=True).brought) == 2
    assert desk.object("plates/a.exr") == b"stale"


def test_a_younger_file_replaces_the_object_and_that_is_told(desk, gcs):
    old = gcs.put("show", "assets/plates/a.exr", b"old")
    desk.write("plates/a.exr", b"new", at=time.time() + 60)
    report = desk.push()
    assert report.brought[0].replaces == str(old.generation)
    assert any(line.startswith("replaces") for line in ingest_lines(report))
    assert desk.object("plates/a.exr") == b"new"


def test_an_object_that_changes_meanwhile_is_not_written_over(desk, gcs):
    desk.write("plates/a.exr", b"mine")
    desk.write("plates/b.exr", b"same")

    def somebody(path: str) -> None:
        name = Path(path).name
        gcs.put("show", f"assets/plates/{name}", b"theirs" if name == "a.exr" else b"same")

    report = desk.push(on_open=somebody)
    assert (names(report.refused), report.unchanged) == (["a.exr"], 1)
    assert "changed by somebody else meanwhile" in report.refused[0].why
    assert desk.object("plates/a.exr") == b"theirs"


class WrittenTo(io.FileIO):
    """A file to which somebody adds a byte whenever a piece of it has been read, `most` times in all."""

    most = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if data and self.most:
            self.most -= 1
            with Path(self.name).open("ab") as file:
                file.write(b"+")
        return data


def test_a_file_that_is_written_while_it_is_read_is_read_again_or_named(desk):
    once = desk.write("plates/once.exr", b"begin")
    always = desk.write("plates/always.exr", b"begin")
    opened: Counter[str] = Counter()

    def opener(path: str):
        opened[path] += 1
        stream = WrittenTo(path)
        stream.most = 100 if path == str(always) else opened[path] == 1
        return stream

    found = find_named(PathMap(rules=desk.settings.paths), [str(once), str(always)])
    report = ingest(desk.settings, desk.store, found, clock=SystemClock(), choices=Choices(opener=opener))
    assert names(report.refused) == ["always.exr"]
    assert "keeps changing" in report.refused[0].why
    assert desk.object("plates/once.exr") == b"begin+"


def test_a_large_upload_that_was_cut_goes_on_in_its_session(desk, gcs):
    path = desk.write("plates/large.exr", os.urandom(1 << 20) * 70)
    gcs.faults.set([Fault(kind="chunk", after=1, times=-1)])
    with pytest.raises(TransientStoreError):
        desk.push()
    assert gcs.objects("show") == {}
    gcs.faults.set([])
    gcs.reset_counts()
    report = desk.push()
    assert (len(report.brought), gcs.count("session")) == (1, 0)
    assert desk.object("plates/large.exr") == path.read_bytes()


def test_what_is_no_file_is_told_and_never_opened(desk, monkeypatch):
    desk.write("plates/good.exr")
    os.mkfifo(desk.show / "plates" / "pipe.exr")
    (desk.show / "plates" / "gone.exr").symlink_to("nowhere")
    (desk.show / "latest").symlink_to("plates")
    (desk.show / "link.exr").symlink_to("plates/good.exr")
    (desk.show / "plates" / "two\nlines.exr").write_bytes(b"")
    Path(os.fsdecode(os.fsencode(desk.show) + b"/plates/\xff.exr")).write_bytes(b"")
    desk.write("renders/comp.1.exr")
    monkeypatch.chdir(desk.show)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("plates/socket")
        report = desk.push()
    assert sorted(Path(one.path).name for one in report.brought) == ["good.exr", "link.exr"]
    assert len(report.refused) == 3
    assert sorted(names(report.skipped)) == ["latest", "pipe.exr", "renders", "socket"]
    assert all(line.isprintable() for line in ingest_lines(report))
    assert str(ingest_json(report)).isprintable()
    assert len(desk.push("latest").brought) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named_and_the_rest_goes(desk):
    desk.write("plates/a.exr").chmod(0)
    desk.write("plates/b.exr")
    report = desk.push()
    assert (names(report.refused), len(report.brought)) == (["a.exr"], 1)


def test_what_cannot_be_pushed_at_all_is_said_at_once(desk):
    with pytest.raises(UnmappedPath, match="under no mapped prefix"):
        desk.push("/etc/hosts")
    with pytest.raises(UsageError, match="is where jobs write"):
        desk.push("renders")
    assert names(desk.push("plates/none.exr").refused) == ["none.exr"]


def test_a_bucket_that_refuses_us_stops_the_whole(desk, gcs):
    for number in range(50):
        desk.write(f"plates/a.{number}.exr", b"%d" % number)
    gcs.deny("show", "storage.objects.create")
    with pytest.raises(PermissionDenied):
        desk.push()
    assert gcs.count("write") < 50


def test_a_dry_run_uploads_nothing(desk, gcs):
    desk.write("plates/a.exr")
    assert (len(desk.push(dry_run=True).brought), gcs.objects("show")) == (1, {})


def test_a_windows_name_is_found_under_this_machines_prefix(desk):
    desk.write("plates/a.0001.exr")
    report = ingest_for(
        desk.settings,
        desk.store,
        ["P:\\SHOW\\plates\\a.0001.exr", "/usr/share/x", f"{desk.show}/renders/r.exr", f"{desk.show}/plates/no.exr"],
        clock=SystemClock(),
    )
    assert [one.object for one in report.brought] == ["gs://show/assets/plates/a.0001.exr"]
    assert report.is_whole


def test_a_folder_that_stands_for_the_bucket_is_in_its_place(tmp_path):
    (tmp_path / "show").mkdir()
    (tmp_path / "show" / "a.exr").write_bytes(b"x")
    rule = {"prefix": "/mnt/x", "target": f"file://{tmp_path}/show"}
    linked = {"prefix": str(tmp_path / "show"), "target": f"file://{tmp_path}/show"}
    settings = Settings.model_validate({"paths": [rule, linked], "ingest": {"hashes": str(tmp_path / "h")}})
    store = open_store(settings.store)
    report = ingest_for(settings, store, [f"{tmp_path}/show/a.exr"], clock=SystemClock())
    assert (report.files, report.unchanged) == (1, 1)


@pytest.mark.parametrize("harm", ["garbage", "file", "loose"])
def test_a_harmed_hash_cache_costs_a_reading_and_no_more(desk, harm):
    desk.write("plates/a.exr")
    folder = desk.root / "hashes"
    if harm == "file":
        folder.write_bytes(b"")
    else:
        desk.push()
        if harm == "garbage":
            next(folder.rglob("cache.db")).write_bytes(b"no database" * 1000)
        else:
            folder.chmod(0o777)
    report = desk.push()
    assert report.is_whole
    assert bool(report.note) == (harm == "file")
    if harm != "file":
        assert folder.stat().st_mode & 0o777 == 0o700


def test_the_hash_cache_is_bounded(desk):
    (file,) = find_named(PathMap(rules=desk.settings.paths), [str(desk.write("plates/a.exr"))]).files.values()
    hashes = open_hashes(desk.root / "small", 1)
    many = [
        (type(file)(f"/p/{number}", ObjectUrl("gs://b", "k"), number, 0, 0, number), number) for number in range(12_000)
    ]
    for start in range(0, len(many), 500):
        hashes.remember(many[start : start + 500])
    assert hashes.crc32c(many[-1][0]) == 11_999
    assert hashes.crc32c(many[0][0]) is None
    hashes.close()
    assert sum(path.stat().st_size for path in (desk.root / "small").rglob("cache.db")) < 3 << 20


def test_a_busy_hash_cache_forgets_what_it_was_told_then_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr("jit_render.farm.hash_cache.LOCK_SECONDS", 0.02)
    file = local_file(tmp_path / "a.exr", b"pixels")
    hashes = open_hashes(tmp_path / "hashes", 1 << 20)
    (database,) = (tmp_path / "hashes").rglob("cache.db")
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        hashes.remember([(file, 1)])
        other.execute("ROLLBACK")
    assert "busy" in hashes.problem
    hashes.remember([(file, 2)])
    assert hashes.crc32c(file) == 2
    hashes.close()


def local_file(path: Path, data: bytes) -> LocalFile:
    path.write_bytes(data)
    return LocalFile.of(str(path), ObjectUrl.parse("gs://show/a.exr"), path.stat())
