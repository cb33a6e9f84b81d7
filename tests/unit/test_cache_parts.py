"""The cache's smaller parts: the folder and its lock, leases, checksums of parts, a failing disk."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jit_render.cache import crc
from jit_render.cache.health import DiskHealth
from jit_render.cache.layout import Layout
from jit_render.cache.leases import Leases
from jit_render.cache.values import say_bytes
from jit_render.model.errors import CacheLocked, CacheUnusable, DiskFailing
from jit_render.store.crc import crc32c_of_bytes
from jit_render.testing.cache_house import CacheHouse, run
from jit_render.testing.fake_clock import FakeClock
from jit_render.testing.gated_store import GatedStore


@given(st.binary(max_size=500), st.binary(max_size=500))
def test_the_checksum_of_two_parts_is_that_of_the_whole(first, second):
    joined = crc.join(crc32c_of_bytes(first), crc32c_of_bytes(second), len(second))
    assert joined == crc32c_of_bytes(first + second)


def test_folders_are_for_this_user_only(tmp_path):
    layout = Layout(tmp_path / "cache")
    layout.make()
    assert {path.stat().st_mode & 0o777 for path in (layout.root, *layout.root.iterdir())} == {0o700}


def test_a_cache_has_one_owner_at_a_time(tmp_path):
    house = CacheHouse(tmp_path / "cache", GatedStore())

    async def body():
        async with house.cache():
            with pytest.raises(CacheLocked, match=f"belongs to process {os.getpid()}"):
                house.open()
        async with house.cache():
            pass

    run(body())


def test_the_lock_of_a_killed_owner_is_free(tmp_path):
    program = (
        "import os, sys, pathlib\n"
        "from jit_render.cache.layout import Layout, take_lock\n"
        "layout = Layout(pathlib.Path(sys.argv[1])); layout.make(); take_lock(layout)\n"
        "print('mine', flush=True); sys.stdin.read()\n"
    )
    house = CacheHouse(tmp_path / "cache", GatedStore())
    with subprocess.Popen(
        [sys.executable, "-c", program, str(house.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout.readline() == b"mine\n"
        with pytest.raises(CacheLocked, match=f"process {owner.pid}"):
            house.open()
        owner.kill()
        owner.wait()

    async def body():
        async with house.cache():
            pass

    run(body())


def test_a_root_that_is_no_folder_or_too_long_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    for root, reason in (
        (tmp_path / "file", "set cache.root"),
        (tmp_path / "file" / "below", "set cache.root"),
        (tmp_path.joinpath(*["x" * 250] * 16), "too long"),
    ):
        with pytest.raises(CacheUnusable, match=reason) as refused:
            CacheHouse(root, GatedStore()).open()
        assert "\n" not in str(refused.value)


def test_leases_are_counted_by_object_and_by_holder():
    leases = Leases()
    leases.add("a", "1" * 64, 10)
    leases.add("a", "1" * 64, 10)
    leases.add("b", "1" * 64, 10)
    leases.add("b", "2" * 64, 20)
    leases.add("", "3" * 64, 30)
    leases.check()
    assert (leases.leased_bytes, len(leases), leases.sizes_of("b")) == (30, 2, {"1" * 64: 10, "2" * 64: 20})
    assert leases.release("a") == []
    assert leases.release("a") == []
    leases.revoke("2" * 64)
    leases.check()
    assert leases.release("b") == ["1" * 64]
    leases.check()
    assert (leases.leased_bytes, len(leases), list(leases.holders)) == (0, 0, [])


def test_a_failing_disk_rests_is_probed_and_recovers():
    clock = FakeClock()
    health = DiskHealth("/cache", clock)
    sick = OSError(errno.EIO, "Input/output error")
    for state in ("normal", "unstable", "unstable"):
        assert health.state == state
        health.admit()
        assert isinstance(health.failed(sick), DiskFailing)
    with pytest.raises(DiskFailing, match="tried again in"):
        health.admit()
    clock.advance(1.1)
    health.admit()
    with pytest.raises(DiskFailing):  # one probe at a time
        health.admit()
    health.failed(sick)
    clock.advance(1.1)
    with pytest.raises(DiskFailing):  # the second rest is longer
        health.admit()
    clock.advance(1.1)
    health.admit()
    health.worked()
    assert health.state == "normal"
    health.admit()
    assert health.errors == 4


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 bytes"),
        (1023, "1,023 bytes"),
        (1536, "1.5 KiB (1,536 bytes)"),
        (5 << 40, "5120.0 GiB (5,497,558,138,880 bytes)"),
    ],
)
def test_sizes_are_said_exactly_and_readably(size, said):
    assert say_bytes(size) == said
