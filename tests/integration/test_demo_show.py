"""The demo's own show, over an object server: the frames of a render from local files, byte for byte."""

from __future__ import annotations

from pathlib import Path

from conftest import stock
from house import House

from examples.shot.plates import SIZE, plates, write
from jit_render.testing.fake_gcs import FakeGcs

SHOT = Path(__file__).resolve().parents[2] / "examples" / "shot" / "shot.nk"
FRAMES = 2
HELD = 29
"""The lanterns' frame that a FrameHold of the shot reads, counted from 0."""


def test_the_demo_shot_is_the_same_from_a_bucket_and_from_local_files(house: House, gcs: FakeGcs) -> None:
    for plate in plates():
        if plate.index >= FRAMES and (plate.kind, plate.index) != ("lanterns", HELD):
            continue
        path = house.show / plate.key
        path.parent.mkdir(parents=True, exist_ok=True)
        write(plate, SIZE, path)
    text = SHOT.read_text(encoding="utf-8").replace("/mnt/show/sh010/out", str(house.outputs))
    house.script.write_text(text.replace("/mnt/show", str(house.show)), encoding="utf-8")
    expected = house.direct(frames=f"1001-{1000 + FRAMES}")
    assert len(expected) == 2 * FRAMES
    stock(house, gcs)
    done = house.submit("--workers", "2", "--chunk", "1", frames=f"1001-{1000 + FRAMES}")
    assert done.returncode == 0, done.stderr
    assert house.pull() == expected
