"""What every store must do. Subclass `StoreSuite` and give it the fixtures `store` and `root`.

::

    class TestMyStore(StoreSuite):
        @pytest.fixture
        def store(self): ...
        @pytest.fixture
        def root(self): ...        # an ObjectUrl of an empty folder, new for each test
        missing_bucket = None      # or an ObjectUrl in a bucket that does not exist

A test of something that a backend says it lacks (`Guarantees`) is skipped.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest

from jit_render.model.errors import (
    BucketNotFound,
    ChecksumMismatch,
    GenerationGone,
    ObjectNotFound,
    PreconditionFailed,
    RangeInvalid,
)
from jit_render.model.identity import ObjectId, ObjectInfo, ObjectUrl
from jit_render.store.crc import crc32c_of_bytes
from jit_render.store.port import ABSENT, Store

PATTERN = bytes(range(251)) * 41_000
"""About 10 MiB, above what any backend here sends in one request; no period of a power of two."""


class Collected:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.data = bytearray()

    def __call__(self, piece: memoryview) -> None:
        self.data += piece


def keys(store: Store, prefix: ObjectUrl, *, recursive: bool = True) -> list[str]:
    """The listing of `prefix`, as names below it."""
    return [info.url.key.removeprefix(prefix.key + "/") for info in store.list(prefix, recursive=recursive)]


def fill(store: Store, root: ObjectUrl, *names: str) -> None:
    for name in names:
        store.write(root / name, name.encode(), if_generation=ABSENT)


class StoreReading:
    """Metadata, listings and reads."""

    missing_bucket: ClassVar[ObjectUrl | None] = None

    def test_what_was_written_is_read_back(self, store: Store, root: ObjectUrl) -> None:
        written = store.write(root / "a/b.json", b"hello", if_generation=ABSENT)
        data, info = store.read(root / "a/b.json")
        assert data == b"hello"
        assert info.id == written.id == store.stat(root / "a/b.json").id
        assert info.size_bytes == written.size_bytes == 5

    def test_an_empty_object_is_an_object(self, store: Store, root: ObjectUrl) -> None:
        info = store.write(root / "empty", b"", if_generation=ABSENT)
        assert store.read(root / "empty")[0] == b""
        taken = Collected()
        store.download(info, taken)
        assert taken.data == b""

    def test_the_backend_knows_the_crc32c(self, store: Store, root: ObjectUrl) -> None:
        written = store.write(root / "a", b"hello", if_generation=ABSENT)
        assert written.crc32c == crc32c_of_bytes(b"hello")
        if store.guarantees(root.root).checksums:
            assert store.stat(root / "a").crc32c == written.crc32c

    def test_the_writer_can_be_read_back(self, store: Store, root: ObjectUrl) -> None:
        if not store.guarantees(root.root).writer_mark:
            pytest.skip("this backend keeps no writer")
        store.write(root / "a", b"1", if_generation=ABSENT, writer="job-1")
        store.write(root / "b", b"1", if_generation=ABSENT)
        assert store.stat(root / "a").writer == "job-1"
        assert [info.writer for info in store.list(root)] == ["job-1", None]

    def test_what_is_not_there_is_not_found(self, store: Store, root: ObjectUrl) -> None:
        fill(store, root, "folder/a")
        for name in ("nothing", "folder", "folder/a/deeper", "folder/nothing"):
            with pytest.raises(ObjectNotFound, match=name):
                store.stat(root / name)
            with pytest.raises(ObjectNotFound, match=name):
                store.read(root / name)

    def test_an_overwritten_generation_is_gone(self, store: Store, root: ObjectUrl) -> None:
        old = store.write(root / "plate", b"old!", if_generation=ABSENT)
        new = store.write(root / "plate", b"new!", if_generation=old.id.generation)
        assert new.id != old.id
        assert store.read(root / "plate", generation=new.id.generation)[0] == b"new!"
        with pytest.raises(GenerationGone, match="plate"):
            store.stat(root / "plate", generation=old.id.generation)
        with pytest.raises(GenerationGone, match="plate"):
            store.read(root / "plate", generation=old.id.generation)
        with pytest.raises(GenerationGone, match="plate"):
            store.download(old, Collected())

    def test_a_removed_generation_is_gone(self, store: Store, root: ObjectUrl) -> None:
        old = store.write(root / "plate", b"", if_generation=ABSENT)
        store.delete(root / "plate")
        with pytest.raises(GenerationGone):
            store.stat(root / "plate", generation=old.id.generation)
        with pytest.raises(GenerationGone):
            store.download(old, Collected())

    def test_a_generation_of_another_backend_is_gone(self, store: Store, root: ObjectUrl) -> None:
        info = store.write(root / "plate", b"1", if_generation=ABSENT)
        foreign = ObjectInfo(ObjectId(info.url, "not-of-here"), 1, None)
        with pytest.raises(GenerationGone):
            store.stat(info.url, generation="not-of-here")
        with pytest.raises(GenerationGone):
            store.download(foreign, Collected())
        with pytest.raises(PreconditionFailed):
            store.write(info.url, b"2", if_generation="not-of-here")

    def test_any_range_can_be_downloaded(self, store: Store, root: ObjectUrl, tmp_path: Path) -> None:
        info = upload(store, root / "big", PATTERN, tmp_path)
        size = len(PATTERN)
        spans: list[tuple[int, int | None]] = [(0, None), (0, 1), (1, size), (size - 1, None), (7, 2_000_003), (5, 5)]
        for start, end in spans:
            taken = Collected()
            store.download(info, taken, start=start, end=end)
            assert taken.data == PATTERN[start:end]

    def test_a_range_outside_the_object_is_refused(self, store: Store, root: ObjectUrl) -> None:
        info = store.write(root / "a", b"hello", if_generation=ABSENT)
        for start, end in ((-1, None), (0, 6), (6, None), (3, 2)):
            with pytest.raises(RangeInvalid):
                store.download(info, Collected(), start=start, end=end)

    def test_an_error_of_the_sink_comes_out_unchanged(self, store: Store, root: ObjectUrl) -> None:
        info = store.write(root / "a", b"hello", if_generation=ABSENT)
        full = OSError(28, "No space left on device")

        def sink(piece: memoryview) -> None:
            del piece
            raise full

        with pytest.raises(OSError, match="No space left") as caught:
            store.download(info, sink)
        assert caught.value is full
        assert store.read(root / "a")[0] == b"hello"

    def test_listings_are_complete_and_ordered_by_key(self, store: Store, root: ObjectUrl) -> None:
        names = ["a", "a.b", "b-c", "b/a", "b/z/deep/x", "b0", "é/ü.exr", "日本/プレート.1001.exr"]
        fill(store, root, *reversed(names))
        assert keys(store, root) == sorted(names)
        assert keys(store, root, recursive=False) == ["a", "a.b", "b-c", "b0"]
        assert keys(store, root / "b") == ["a", "z/deep/x"]

    def test_a_listing_holds_no_sibling_that_shares_its_spelling(self, store: Store, root: ObjectUrl) -> None:
        fill(store, root, "plate/1", "plate2/1", "plate.exr")
        assert keys(store, root / "plate") == ["1"]

    def test_a_folder_that_is_not_there_is_empty(self, store: Store, root: ObjectUrl) -> None:
        fill(store, root, "file")
        assert list(store.list(root / "nothing")) == []
        assert list(store.list(root / "nothing", recursive=False)) == []
        assert list(store.list(root / "file")) == []

    def test_a_listing_tells_what_stat_tells(self, store: Store, root: ObjectUrl) -> None:
        fill(store, root, "a", "b/c")
        assert list(store.list(root)) == [store.stat(root / "a"), store.stat(root / "b/c")]

    def test_odd_but_lawful_names_work(self, store: Store, root: ObjectUrl) -> None:
        for name in ("a b#c?d&e%20f+g", "[x]*.{y}", "'q\"", "~tmp", ".hidden", "x" * 200, "%2Fslash", "a\\b"):
            info = store.write(root / name, name.encode(), if_generation=ABSENT)
            taken = Collected()
            store.download(info, taken)
            assert taken.data == name.encode()
            assert store.stat(root / name).id == info.id
            assert name in keys(store, root)
            store.delete(root / name)

    def test_a_missing_bucket_is_named(self, store: Store, tmp_path: Path) -> None:
        if self.missing_bucket is None:
            pytest.skip("this backend has no buckets")
        url = self.missing_bucket
        file = tmp_path / "file"
        file.write_bytes(PATTERN)
        for work in (
            lambda: store.stat(url),
            lambda: store.read(url),
            lambda: list(store.list(url)),
            lambda: store.write(url, b"1", if_generation=ABSENT),
            lambda: store.upload(url, file, crc32c=crc32c_of_bytes(PATTERN), if_generation=ABSENT),
            lambda: store.delete(url, if_generation="7"),
        ):
            with pytest.raises(BucketNotFound, match=url.root):
                work()


class StoreWriting:
    """Writes, uploads and removals under their preconditions."""

    def test_creation_happens_once(self, store: Store, root: ObjectUrl, tmp_path: Path) -> None:
        store.write(root / "record", b"first", if_generation=ABSENT)
        for size in (10, len(PATTERN)):
            with pytest.raises(PreconditionFailed, match="record"):
                upload(store, root / "record", PATTERN[:size], tmp_path)
        with pytest.raises(PreconditionFailed, match="record"):
            store.write(root / "record", b"first", if_generation=ABSENT)
        assert store.read(root / "record")[0] == b"first"

    def test_of_many_creators_one_wins(self, store: Store, root: ObjectUrl) -> None:
        start = threading.Barrier(8)

        def create(number: int) -> bool:
            start.wait(10)
            try:
                store.write(root / "record", b"%d" % number, if_generation=ABSENT)
            except PreconditionFailed:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(create, range(8)))
        assert won.count(True) == 1
        assert store.read(root / "record")[0] == b"%d" % won.index(True)

    def test_of_many_replacers_each_sees_the_one_before(self, store: Store, root: ObjectUrl) -> None:
        store.write(root / "count", b"0", if_generation=ABSENT)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: _increment(store, root / "count", 5), range(4)))
        assert store.read(root / "count")[0] == b"20"

    def test_a_replacement_needs_the_live_generation(self, store: Store, root: ObjectUrl) -> None:
        first = store.write(root / "a", b"1", if_generation=ABSENT)
        second = store.write(root / "a", b"2", if_generation=first.id.generation)
        with pytest.raises(PreconditionFailed):
            store.write(root / "a", b"3", if_generation=first.id.generation)
        with pytest.raises(PreconditionFailed):
            store.write(root / "never", b"3", if_generation=first.id.generation)
        assert store.stat(root / "a").id == second.id

    def test_files_of_any_size_are_uploaded(self, store: Store, root: ObjectUrl, tmp_path: Path) -> None:
        for size in (0, 1, 8 * 1024 * 1024, len(PATTERN)):
            info = upload(store, root / f"out/{size}", PATTERN[:size], tmp_path, writer="job-1")
            assert (info.size_bytes, info.crc32c) == (size, crc32c_of_bytes(PATTERN[:size]))
            assert store.read(root / f"out/{size}")[0] == PATTERN[:size]
            if store.guarantees(root.root).writer_mark:
                assert store.stat(root / f"out/{size}").writer == "job-1"

    def test_an_upload_replaces_only_its_generation(self, store: Store, root: ObjectUrl, tmp_path: Path) -> None:
        old = store.write(root / "out", b"old", if_generation=ABSENT)
        new = upload(store, root / "out", PATTERN, tmp_path, if_generation=old.id.generation)
        assert store.stat(root / "out").id == new.id
        with pytest.raises(PreconditionFailed):
            upload(store, root / "out", PATTERN[:-1], tmp_path, if_generation=old.id.generation)

    def test_a_file_that_is_not_what_was_said_is_not_uploaded(
        self, store: Store, root: ObjectUrl, tmp_path: Path
    ) -> None:
        file = tmp_path / "file"
        for size in (100, len(PATTERN)):
            file.write_bytes(PATTERN[:size])
            with pytest.raises(ChecksumMismatch):
                store.upload(root / "out", file, crc32c=12345, if_generation=ABSENT)
            with pytest.raises(ObjectNotFound):
                store.stat(root / "out")

    def test_an_unknown_session_begins_anew(self, store: Store, root: ObjectUrl, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_bytes(PATTERN)
        info = store.upload(
            root / "out",
            file,
            crc32c=crc32c_of_bytes(PATTERN),
            if_generation=ABSENT,
            session="http://127.0.0.1:9/upload?upload_id=of-yesterday",
        )
        assert store.stat(root / "out").id == info.id

    def test_removal_is_quiet_about_what_is_gone(self, store: Store, root: ObjectUrl) -> None:
        info = store.write(root / "a", b"1", if_generation=ABSENT)
        store.delete(root / "a")
        store.delete(root / "a")
        store.delete(root / "a", if_generation=info.id.generation)
        store.delete(root / "never/was")
        assert list(store.list(root)) == []

    def test_removal_keeps_to_its_precondition(self, store: Store, root: ObjectUrl) -> None:
        old = store.write(root / "a", b"1", if_generation=ABSENT)
        new = store.write(root / "a", b"2", if_generation=old.id.generation)
        with pytest.raises(PreconditionFailed):
            store.delete(root / "a", if_generation=old.id.generation)
        store.delete(root / "a", if_generation=new.id.generation)
        with pytest.raises(ObjectNotFound):
            store.stat(root / "a")

    def test_a_removed_name_can_be_created_again(self, store: Store, root: ObjectUrl) -> None:
        first = store.write(root / "a", b"1", if_generation=ABSENT)
        store.delete(root / "a")
        second = store.write(root / "a", b"1", if_generation=ABSENT)
        assert first.id != second.id


class StoreSuite(StoreReading, StoreWriting):
    """All of it."""


def upload(
    store: Store, url: ObjectUrl, data: bytes, folder: Path, *, if_generation: str = ABSENT, writer: str | None = None
) -> ObjectInfo:
    """Upload `data` by way of a file in `folder`."""
    file = folder / "to-upload"
    file.write_bytes(data)
    return store.upload(url, file, crc32c=crc32c_of_bytes(data), if_generation=if_generation, writer=writer)


def _increment(store: Store, url: ObjectUrl, times: int) -> None:
    """Count the number in an object up; whoever is overtaken looks again."""
    while times:
        try:
            data, info = store.read(url)
            store.write(url, b"%d" % (int(data) + 1), if_generation=info.id.generation)
            times -= 1
        except (PreconditionFailed, GenerationGone):
            continue
