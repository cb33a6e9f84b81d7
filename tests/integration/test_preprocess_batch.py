"""A pipeline on Google Batch, by the command a user types, against a fake service: the bytes of the local engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from batch_kit import GCP, PLACES
from house import House

from jit_render.testing.fake_batch import FakeBatch
from jit_render.testing.fake_gcs import FakeGcs
from preprocess.encode import Encoder, Storage
from preprocess.image import Image

FRAMES, CAMERAS = 4, ("A001", "A002")

PIPELINE = """
name: grade
source:
    file: gs://show/raw/%V.####.exr
    cameras: [A001, A002]
stages:
    - name: calibrate
      operations: [{kind: black_level, black: 0.1}, {kind: statistics}]
outputs:
    - {name: full, file: 'gs://show/out/full/%V.####.exr'}
    - {name: data, file: 'gs://show/out/data/%V.####.json', sequence: gs://show/out/data.json}
"""


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[FakeBatch]:
    with FakeBatch(tmp_path / "batch", places=PLACES, nodes=1) as server:
        yield server


def test_a_pipeline_on_batch_makes_the_bytes_of_the_local_engine(house: House, gcs: FakeGcs, batch: FakeBatch) -> None:
    section = "\n".join(f"{key} = {json.dumps(value)}" for key, value in GCP.items())
    house.extra = f'[gcp]\n{section}\nendpoint = "{batch.endpoint}"\n'
    house.configure()
    pipeline = house.root / "grade.yaml"
    pipeline.write_text(PIPELINE)
    dice = np.random.default_rng(5)
    for camera in CAMERAS:
        for frame in range(1, FRAMES + 1):
            image = Image.of(dice.random((54, 96, 3)).astype(np.float32))
            encoder = Encoder("raw", Storage(".exr", "half", "zip"), image.data_window, image)
            encoder.write(image)
            with encoder.finish() as file:
                gcs.put("show", f"raw/{camera}.{frame:04}.exr", file.read())
    asked = ["run", str(pipeline), "--frames", f"1-{FRAMES}"]

    ran = house.run("jit-preprocess", *asked, "--chunk", "2", "--engine", "batch", "--yes", "--wait")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(batch.created) == 1
    on_batch = {name: gcs.get("show", name) for name in gcs.objects("show") if name.startswith("out/")}
    assert len(on_batch) == 2 * FRAMES * len(CAMERAS) + 1
    for name in on_batch:
        gcs.remove("show", name)
    local = house.run("jit-preprocess", *asked, "--chunk", str(FRAMES), "--force", "--workers", "1")
    assert local.returncode == 0, local.stdout + local.stderr
    assert {name: gcs.get("show", name) for name in gcs.objects("show") if name.startswith("out/")} == on_batch
