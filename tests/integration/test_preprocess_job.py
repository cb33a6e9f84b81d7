"""A pipeline as a real job: its command, its workers, kills at random moments, the farm's own commands."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from studio import processes_with

from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.store import open_store
from preprocess.encode import Encoder, Storage
from preprocess.image import Image, Window
from preprocess.source import SourceFile, fetch

BIN = Path(sys.executable).parent
KILLS = 6

PIPELINE = """
name = "grade"
[source]
file = "/show/raw/{camera}/{camera}.{frame:04}.exr"
cameras = ["A001", "A002"]
[[stages]]
name = "calibrate"
operations = [{ kind = "black_level", black = 0.1, white = 1.0 }]
[[stages]]
name = "align"
operations = [{ kind = "colour_matrix", matrix = [[1.1, 0.0, 0.0], [0.0, 1.0, 0.1], [0.0, 0.0, 0.9]] }]
[[outputs]]
name = "full"
file = "/show/out/full/%V.####.exr"
compression = "zip"
[[outputs]]
name = "data"
file = "/show/out/data/%V.####.json"
sequence = "/show/out/data.json"
"""

CONFIG = """
[job]
state = "file://${CONFIG_DIR}/bucket/state"
[[paths]]
prefix = "/show"
target = "file://${CONFIG_DIR}/bucket/show"
[[paths]]
prefix = "/show/out"
target = "file://${CONFIG_DIR}/bucket/out"
mode = "write"
[farm]
heartbeat = 0.5
[cache]
root = "${CONFIG_DIR}/cache"
limit = "100M"
free_space = 0
"""


class Site:
    """A folder with a bucket, a configuration and a pipeline."""

    def __init__(self, root: Path, pipeline: str = PIPELINE, config: str = CONFIG) -> None:
        self.root = root
        (root / "jit-render.toml").write_text(config)
        self.pipeline = root / "grade.toml"
        self.pipeline.write_text(pipeline)
        self.bucket = root / "bucket"

    def shoot(self, frames: int) -> None:
        dice = np.random.default_rng(5)
        for camera in ("A001", "A002"):
            folder = self.bucket / "show/raw" / camera
            folder.mkdir(parents=True)
            for frame in range(1, frames + 1):
                image = Image.of(dice.random((270, 480, 3)).astype(np.float32))
                encoder = Encoder("raw", Storage(".exr", "half", "zip"), image.data_window, image)
                encoder.write(image)
                with encoder.finish() as file:
                    (folder / f"{camera}.{frame:04}.exr").write_bytes(file.read())

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / words[0]), *words[1:]], cwd=self.root, capture_output=True, text=True, timeout=120, check=False
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.call("jit-preprocess", "run", str(self.pipeline), *words)

    def outputs(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((self.bucket / "out/full").glob("*.exr"))}


@pytest.fixture
def site(tmp_path: Path):
    built = Site(tmp_path)
    yield built
    for pid in processes_with(os.fsencode(tmp_path)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _killer(root: Path, stop: threading.Event) -> int:
    dice, done = random.Random(11), 0
    while done < KILLS and not stop.wait(dice.uniform(0.1, 0.6)):
        victims = processes_with(b"preprocess.render", os.fsencode(root)) + processes_with(
            b"jit_render.farm.work_main", os.fsencode(root)
        )
        if victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(dice.choice(victims), signal.SIGKILL)
                done += 1
    return done


def test_kills_leave_no_partial_output_and_make_nothing_twice(site: Site) -> None:
    site.shoot(frames=6)
    stop = threading.Event()
    kills: list[int] = []
    thread = threading.Thread(target=lambda: kills.append(_killer(site.root, stop)))
    thread.start()
    for _ in range(KILLS + 2):
        ran = site.run("--frames", "1-6", "--workers", "2", "--chunk", "2")
        if ran.returncode == 0:
            break
    stop.set()
    thread.join()
    assert ran.returncode == 0, ran.stderr
    after_kills = site.outputs()
    assert len(after_kills) == 12
    assert kills[0] > 0
    assert len(json.loads((site.bucket / "out/data.json").read_text())["images"]) == 12

    before = {path: path.stat().st_mtime_ns for path in (site.bucket / "out").rglob("*.exr")}
    again = site.run("--frames", "1-6")
    assert "12 of 12" not in again.stderr
    assert "6 of 6 frames are already there" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in (site.bucket / "out").rglob("*.exr")} == before

    forced = site.run("--frames", "1-6", "--force", "--staged")
    assert forced.returncode == 0, forced.stderr
    assert "came out the same as in the bucket, which stays" in forced.stdout
    assert site.outputs() == after_kills
    status = site.call("jit-render", "status", "latest", "--json")
    assert json.loads(status.stdout)["state"] == "done"


def test_a_missing_camera_is_answered_by_a_way_out_that_there_is(site: Site) -> None:
    site.shoot(frames=1)
    ran = site.run("--frames", "1", "--cameras", "A001,A009")
    assert ran.returncode == 3
    assert "A009.0001.exr" in ran.stderr
    assert ran.stderr.rstrip().endswith("Bring them there, or leave them out by --frames and --cameras.")


def test_a_damaged_source_is_named_by_the_job_and_the_others_are_made(site: Site) -> None:
    site.shoot(frames=3)
    victim = site.bucket / "show/raw/A002/A002.0002.exr"
    victim.write_bytes(victim.read_bytes()[:5000])
    ran = site.run("--frames", "1-3", "--chunk", "3")
    assert ran.returncode == 1
    assert "frame 2, camera A002" in ran.stdout + ran.stderr
    assert "A002.0002.exr" in ran.stdout + ran.stderr
    assert len(site.outputs()) == 5


BEACHBALL = """
name = "beachball"
[source]
file = "SHARED/singlepart.####.exr"
channels = { left = ["left.R", "left.G", "left.B"], right = ["R", "G", "B"] }
[[stages]]
name = "match"
operations = [{ kind = "colour_matrix", cameras = { right = [[1.02, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.97]] } }]
[[outputs]]
name = "full"
file = "/show/out/full/%V.####.exr"
[[outputs]]
name = "proxy"
file = "/show/out/proxy/%V.####.exr"
operations = [
    { kind = "undistort", lens = { fx = 2000.0, fy = 2000.0, cx = 1023.5, cy = 777.5, k1 = -0.05 } },
    { kind = "proxy", levels = 2 },
]
"""


def test_both_views_of_one_file_come_out_matched(site: Site, shared_data: Path) -> None:
    folder = shared_data / "beachball"
    if not folder.is_dir():
        pytest.skip("the beachball sequence is not in the shared data")
    site.pipeline.write_text(BEACHBALL.replace("SHARED", f"file://{folder}"))
    ran = site.run("--frames", "1-2", "--chunk", "2")
    assert ran.returncode == 0, ran.stderr
    assert set(site.outputs()) == {"left.0001.exr", "left.0002.exr", "right.0001.exr", "right.0002.exr"}
    store = open_store(StoreSettings())
    url = ObjectUrl.parse(f"file://{folder}/singlepart.0002.exr")
    with SourceFile(fetch(store, store.stat(url)), "source", ("R", "G", "B")) as file:
        source = file.whole()
    made_url = ObjectUrl.parse(f"file://{site.bucket}/out/full/right.0002.exr")
    with SourceFile(fetch(store, store.stat(made_url)), "made") as file:
        made = file.whole()
    assert made.data_window == source.data_window
    assert made.display_window == source.display_window
    wanted = source.pixels * np.asarray([1.02, 1.0, 0.97], np.float32)
    assert np.allclose(made.pixels, wanted, rtol=1e-3, atol=1e-6)
    proxy_url = ObjectUrl.parse(f"file://{site.bucket}/out/proxy/left.0001.exr")
    with SourceFile(fetch(store, store.stat(proxy_url)), "proxy") as file:
        proxy = file.whole()
    assert proxy.display_window == Window(0, 0, 512, 389)
    assert np.isfinite(proxy.pixels).all()
