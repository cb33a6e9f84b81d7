"""A push that is killed in the middle of a large file: nothing of it is visible, and the next one goes on there."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.faults import Fault

LARGE = 70 * 1024 * 1024  # more than one piece of an upload session
PUSH = [sys.executable, "-m", "jit_render.cli.main", "push", "show"]


def test_a_killed_push_leaves_nothing_half_done_and_goes_on_in_its_session(tmp_path):
    (tmp_path / "show").mkdir()
    with (tmp_path / "show" / "large.exr").open("wb") as file:
        file.write(os.urandom(4096))
        file.truncate(LARGE)
    with FakeGcs(buckets=["show"]) as gcs:
        (tmp_path / "jit-render.toml").write_text(
            f'[[paths]]\nprefix = "{tmp_path}/show"\ntarget = "gs://show"\n'
            f'[ingest]\nhashes = "{tmp_path}/hashes"\n[store]\nendpoint = "{gcs.url}"\n'
        )
        env = os.environ | {"JIT_RENDER_CONFIG": str(tmp_path / "jit-render.toml")}
        gcs.faults.set([Fault(kind="chunk", after=1, times=-1, action="stall")])
        killed = subprocess.Popen(PUSH, cwd=tmp_path, env=env)
        end = time.monotonic() + 60
        while gcs.count("chunk") < 2:
            assert time.monotonic() < end, "the second piece never came"
            assert killed.poll() is None
            time.sleep(0.02)
        killed.kill()
        killed.wait()
        assert gcs.objects("show") == {}
        gcs.faults.set([])
        gcs.reset_counts()
        again = subprocess.run(PUSH, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
        assert again.returncode == 0, again.stderr
        assert (gcs.count("session"), gcs.count("chunk")) == (0, 1)
        assert gcs.get("show", "large.exr") == (tmp_path / "show" / "large.exr").read_bytes()
