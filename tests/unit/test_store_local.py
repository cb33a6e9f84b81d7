"""What is particular to ``file://``."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jit_render.model.errors import (
    ChecksumMismatch,
    DiskFull,
    GenerationGone,
    HostilePath,
    ObjectNotFound,
    PermissionDenied,
    PreconditionFailed,
    StoreError,
    TransientStoreError,
)
from jit_render.model.identity import ObjectUrl
from jit_render.store.local import LocalStore
from jit_render.store.local_errors import mapped
from jit_render.store.port import ABSENT
from jit_render.testing.store_suite import Collected


@pytest.fixture
def store():
    return LocalStore()


@pytest.fixture
def root(tmp_path: Path):
    return ObjectUrl.parse(f"file://{tmp_path}")


def has_attributes(folder: Path) -> bool:
    probe = folder / "probe"
    probe.touch()
    try:
        os.setxattr(probe, "user.probe", b"1")
    except OSError:
        return False
    finally:
        probe.unlink()
    return True


def test_a_file_put_by_hand_is_an_object(store: LocalStore, root: ObjectUrl, tmp_path: Path):
    (tmp_path / "plate.1001.exr").write_bytes(b"by hand")
    data, info = store.read(root / "plate.1001.exr")
    assert (data, info.crc32c, info.writer) == (b"by hand", None, None)


def test_a_file_changed_by_hand_keeps_neither_generation_nor_crc32c(store: LocalStore, root: ObjectUrl, tmp_path: Path):
    old = store.write(root / "a", b"ours", if_generation=ABSENT, writer="job")
    with (tmp_path / "a").open("r+b") as file:
        file.write(b"hand")
    os.utime(tmp_path / "a")
    info = store.stat(root / "a")
    assert (info.crc32c, info.writer) == (None, None)
    assert info.id != old.id
    with pytest.raises(GenerationGone):
        store.download(old, Collected())


def test_rot_on_the_disk_is_noticed(store: LocalStore, root: ObjectUrl, tmp_path: Path):
    if not has_attributes(tmp_path):
        pytest.skip("this file system keeps no user attributes")
    store.write(root / "a", b"ours", if_generation=ABSENT)
    status = (tmp_path / "a").stat()
    (tmp_path / "a").write_bytes(b"ourz")
    os.utime(tmp_path / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(ChecksumMismatch, match="what the disk holds"):
        store.read(root / "a")


def test_a_download_ends_when_the_file_changes_under_it(store: LocalStore, root: ObjectUrl, tmp_path: Path):
    info = store.write(root / "a", bytes(3 << 20), if_generation=ABSENT)
    taken = bytearray()

    def sink(piece: memoryview) -> None:
        taken.extend(piece)
        with (tmp_path / "a").open("r+b") as file:
            file.truncate(2 << 20)

    with pytest.raises(GenerationGone):
        store.download(info, sink)
    assert len(taken) == 1 << 20


def test_an_open_download_is_not_disturbed_by_a_replacement(store: LocalStore, root: ObjectUrl):
    info = store.write(root / "a", b"1" * (2 << 20), if_generation=ABSENT)
    taken = Collected()

    def sink(piece: memoryview) -> None:
        if not taken.data:
            store.write(root / "a", b"2" * (2 << 20), if_generation=info.id.generation)
        taken(piece)

    store.download(info, sink)
    assert taken.data == b"1" * (2 << 20)


def test_two_writes_within_one_tick_differ(store: LocalStore, root: ObjectUrl):
    seen = set()
    info = store.write(root / "a", b"0", if_generation=ABSENT)
    for number in range(50):
        seen.add(info.id.generation)
        info = store.write(root / "a", b"%d" % (number % 10), if_generation=info.id.generation)
    assert len(seen) == 50


def test_symlinks_are_followed_for_reading_and_replaced_by_writing(store: LocalStore, root: ObjectUrl, tmp_path: Path):
    (tmp_path / "target").write_bytes(b"target")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "dangling").symlink_to("nothing")
    info = store.stat(root / "link")
    assert store.read(root / "link")[0] == b"target"
    assert [found.url.name for found in store.list(root)] == ["link", "target"]
    with pytest.raises(ObjectNotFound):
        store.stat(root / "dangling")
    store.write(root / "link", b"new", if_generation=info.id.generation)
    assert (tmp_path / "target").read_bytes() == b"target"
    assert not (tmp_path / "link").is_symlink()


def test_a_circle_of_folders_is_listed_once(store: LocalStore, root: ObjectUrl, tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").touch()
    (tmp_path / "a/up").symlink_to(tmp_path)
    assert [found.url.key.removeprefix(root.key + "/") for found in store.list(root)] == ["a/file"]


def test_what_is_no_regular_file_is_no_object(store: LocalStore, root: ObjectUrl, tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    assert list(store.list(root)) == []
    with pytest.raises(ObjectNotFound):
        store.stat(root / "pipe")


def test_names_that_are_no_unicode_are_left_out(store: LocalStore, root: ObjectUrl, tmp_path: Path):
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))).touch()
    (tmp_path / "line\nbreak").touch()
    (tmp_path / "good").touch()
    assert [found.url.name for found in store.list(root)] == ["good"]


def test_a_file_and_a_folder_of_one_name_cannot_both_be(store: LocalStore, root: ObjectUrl):
    store.write(root / "a", b"1", if_generation=ABSENT)
    store.write(root / "b/c", b"1", if_generation=ABSENT)
    for name in ("a/b", "a/b/c", "b"):
        with pytest.raises(StoreError, match="a disk, unlike a bucket") as caught:
            store.write(root / name, b"2", if_generation=ABSENT)
        assert type(caught.value) is StoreError


def test_the_stores_own_names_are_neither_listed_nor_written(store: LocalStore, root: ObjectUrl, tmp_path: Path):
    info = store.write(root / "a", b"1", if_generation=ABSENT)
    store.write(root / "a", b"2", if_generation=info.id.generation)
    assert (tmp_path / ".jit_render-lock").exists()
    assert [found.url.name for found in store.list(root)] == ["a"]
    for name in (".jit_render-lock", ".jit_render-x.part"):
        with pytest.raises(HostilePath, match=name):
            store.write(root / name, b"", if_generation=ABSENT)
        with pytest.raises(HostilePath, match=name):
            store.read(root / name)
        with pytest.raises(HostilePath, match=name):
            store.delete(root / name)


def test_nothing_is_left_beside_a_write_that_failed(store: LocalStore, root: ObjectUrl, tmp_path: Path):
    (tmp_path / "source").write_bytes(b"data")
    with pytest.raises(ChecksumMismatch):
        store.upload(root / "out/a", tmp_path / "source", crc32c=1, if_generation=ABSENT)
    with pytest.raises(StoreError, match="gone"):
        store.upload(root / "out/a", tmp_path / "gone", crc32c=1, if_generation=ABSENT)
    assert list((tmp_path / "out").iterdir()) == []


def test_leftovers_of_killed_writers_go_after_a_day(store: LocalStore, root: ObjectUrl, tmp_path: Path):
    old, young = tmp_path / ".jit_render-old.part", tmp_path / ".jit_render-young.part"
    old.touch()
    young.touch()
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    store.write(root / "a", b"1", if_generation=ABSENT)
    assert not old.exists()
    assert young.exists()


def test_a_killed_writer_leaves_no_partial_object(root: ObjectUrl, tmp_path: Path):
    # The child is killed by its own hand at the last moment before the name appears.
    code = f"""
import os, signal
from jit_render.model.identity import ObjectUrl
from jit_render.store.local import LocalStore
os.link = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
LocalStore().write(ObjectUrl.parse({str(root / "a")!r}), b"half", if_generation="0")
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    store = LocalStore()
    assert list(store.list(root)) == []
    store.write(root / "a", b"whole", if_generation=ABSENT)
    assert store.read(root / "a")[0] == b"whole"


def test_without_hard_links_creation_still_happens_once(
    store: LocalStore, root: ObjectUrl, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    store.write(root / "a", b"1", if_generation=ABSENT)
    with pytest.raises(PreconditionFailed):
        store.write(root / "a", b"2", if_generation=ABSENT)
    assert store.read(root / "a")[0] == b"1"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EROFS, PermissionDenied),
        (errno.EACCES, PermissionDenied),
        (errno.ENAMETOOLONG, HostilePath),
        (errno.EIO, TransientStoreError),
        (errno.ESTALE, TransientStoreError),
        (errno.EMFILE, TransientStoreError),
        (errno.ELOOP, StoreError),
        (errno.EINVAL, StoreError),
    ],
)
def test_the_systems_errors_become_ours(code: int, kind: type, root: ObjectUrl):
    problem = mapped(OSError(code, os.strerror(code)), "write", root / "a")
    assert type(problem) is kind
    assert str(root / "a") in str(problem)


def test_a_full_disk_is_said_and_nothing_remains(
    store: LocalStore, root: ObjectUrl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskFull, match="the disk is full"):
        store.write(root / "a", b"data", if_generation=ABSENT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(store: LocalStore, root: ObjectUrl, tmp_path: Path):
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(PermissionDenied, match="closed"):
        store.write(root / "closed/a", b"1", if_generation=ABSENT)


def test_a_name_too_long_for_the_disk_is_refused(store: LocalStore, tmp_path: Path):
    url = ObjectUrl("file://", f"{str(tmp_path)[1:]}/" + "x" * 300)
    with pytest.raises(HostilePath, match="too long"):
        store.write(url, b"1", if_generation=ABSENT)
