"""What is particular to the URLs that fsspec serves."""

from __future__ import annotations

import uuid

import fsspec
import pytest

from jit_render.model.errors import (
    BucketNotFound,
    ConfigError,
    GenerationGone,
    JitRenderError,
    ObjectNotFound,
    PermissionDenied,
    PreconditionFailed,
    StoreError,
    TransientStoreError,
)
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.store import open_store
from jit_render.store.anyfs import AnyFsStore
from jit_render.store.anyfs_errors import mapped
from jit_render.store.port import ABSENT
from jit_render.testing.fake_clock import FakeClock
from jit_render.testing.store_suite import Collected


@pytest.fixture
def root():
    return ObjectUrl.parse(f"memory://show-{uuid.uuid4().hex}")


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock):
    return AnyFsStore("memory", StoreSettings(deadline=20), clock)


def test_an_unknown_scheme_is_a_wrong_configuration():
    with pytest.raises(ConfigError, match="nonsense://"):
        open_store(StoreSettings()).stat(ObjectUrl.parse("nonsense://b/a"))


def test_two_stores_of_one_process_see_the_same_memory(store: AnyFsStore, root: ObjectUrl):
    written = store.write(root / "a", b"1", if_generation=ABSENT, writer="job")
    other = open_store(StoreSettings())
    assert other.stat(root / "a") == written


def test_what_others_wrote_has_no_crc32c(store: AnyFsStore, root: ObjectUrl):
    fsspec.filesystem("memory").pipe_file(f"/{root.root.removeprefix('memory://')}/a", b"theirs")
    data, info = store.read(root / "a")
    assert (data, info.crc32c, info.writer) == (b"theirs", None, None)


def test_an_object_overwritten_between_the_pieces_is_gone(store: AnyFsStore, root: ObjectUrl):
    info = store.write(root / "a", bytes(20 << 20), if_generation=ABSENT)
    taken = Collected()

    def sink(piece: memoryview) -> None:
        store.write(root / "a", b"new", if_generation=info.id.generation)
        taken(piece)

    with pytest.raises(GenerationGone):
        store.download(info, sink)
    assert len(taken.data) == 16 << 20


def test_a_backend_without_a_create_mode_is_looked_at_first(
    store: AnyFsStore, root: ObjectUrl, monkeypatch: pytest.MonkeyPatch
):
    whole = store._fs.pipe_file

    def without_mode(path: str, value: bytes) -> None:
        whole(path, value)

    monkeypatch.setattr(store._fs, "pipe_file", without_mode)
    store.write(root / "a", b"1", if_generation=ABSENT)
    with pytest.raises(PreconditionFailed):
        store.write(root / "a", b"2", if_generation=ABSENT)
    assert store.read(root / "a")[0] == b"1"


def test_what_passes_is_tried_again(
    store: AnyFsStore, clock: FakeClock, root: ObjectUrl, monkeypatch: pytest.MonkeyPatch
):
    store.write(root / "a", b"1", if_generation=ABSENT)
    whole, calls = store._fs.info, []

    def flaky(path: str) -> dict:
        calls.append(path)
        if len(calls) < 4:
            raise ConnectionResetError(104, "Connection reset by peer")
        return whole(path)

    monkeypatch.setattr(store._fs, "info", flaky)
    assert store.stat(root / "a").size_bytes == 1
    assert len(clock.slept) == 3


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError("x"), ObjectNotFound),
        (FileNotFoundError("The specified bucket does not exist"), BucketNotFound),
        (PermissionError("Access Denied"), PermissionDenied),
        (IsADirectoryError("x"), StoreError),
        (OSError(5, "Input/output error"), TransientStoreError),
        (TimeoutError(), TransientStoreError),
        (RuntimeError("Unable to locate credentials"), PermissionDenied),
        (RuntimeError("odd"), StoreError),
    ],
)
def test_errors_of_backends_become_ours(error: Exception, kind: type[JitRenderError], root: ObjectUrl):
    problem = mapped(error, "read", root / "a")
    assert type(problem) is kind
    assert root.root in str(problem)
