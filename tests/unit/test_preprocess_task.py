"""Pipelines over a small sequence: bands, windows, stages, what is not made again, what fails alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import OpenImageIO as oiio  # noqa: N813 - as its own documentation calls it
import pytest
from preprocess_kit import Around, Column, Doubled, Halved, Shoot

from jit_render.model.errors import MissingInput
from preprocess.gather import gather
from preprocess.listener import ImageKey
from preprocess.memory_file import MemoryFile
from preprocess.names import locate
from preprocess.operations.crop import Crop
from preprocess.operations.homography import Homography
from preprocess.operations.proxy import Proxy
from preprocess.operations.resize import Resize
from preprocess.operations.undistort import Lens, Undistort
from preprocess.pipeline import SOURCE
from preprocess.source import SourceFile


@pytest.fixture
def shoot(tmp_path: Path) -> Shoot:
    return Shoot(tmp_path)


def every_output(shoot: Shoot) -> list[dict]:
    out = f"{shoot.url}/out"
    return [
        {"name": "full", "file": f"{out}/full/%V.####.exr", "compression": "zip"},
        {"name": "tiled", "file": f"{out}/tiled/%V.####.exr", "tile": 16, "mipmap": True, "after": "s1"},
        {"name": "small", "file": f"{out}/small/%V.####.exr", "type": "float", "operations": [Halved()]},
        {"name": "asis", "file": f"{out}/asis/%V.####.exr", "type": "float", "after": SOURCE},
        {
            "name": "data",
            "file": f"{out}/data/%V.####.json",
            "operations": [Halved()],
            "sequence": f"{out}/all.parquet",
        },
    ]


STAGES = ((Doubled(), Column()), (Around(),), (Column(), Doubled()))


def test_an_image_goes_through_all_its_stages(shoot: Shoot) -> None:
    shoot.make(shoot.pipeline((Doubled(),), (Doubled(),)))
    source, made = shoot.picture("raw/A002/A002.1003.exr"), shoot.picture("out/full/A002.1003.exr")
    assert np.array_equal(made.pixels, source.pixels * 4)
    assert made.data_window == source.data_window


def test_bands_give_the_bits_of_the_whole(shoot: Shoot) -> None:
    pipeline = shoot.pipeline(*STAGES, outputs=every_output(shoot))
    shoot.make(pipeline)
    whole = shoot.bytes_of("out")
    shoot.make(pipeline, band_rows=7, force=True)
    assert shoot.bytes_of("out") == whole
    assert len(whole) == 4 * 2 * 5


def test_what_moves_pixels_gives_the_bits_of_the_whole_from_a_few_rows(shoot: Shoot) -> None:
    turned = Homography(matrix=((0.99, 0.05, 1.0), (-0.05, 1.01, 2.0), (0.0, 0.0, 1.0)))
    lens = Lens(fx=50, fy=50, cx=18, cy=24, k1=-0.1)
    on_its_side = Homography(matrix=((0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
    out = f"{shoot.url}/out"
    outputs = [
        {"name": "full", "file": f"{out}/full/%V.####.exr", "type": "float"},
        {"name": "proxy", "file": f"{out}/proxy/%V.####.exr", "type": "float", "operations": [Proxy(levels=2)]},
        {"name": "side", "file": f"{out}/side/%V.####.exr", "after": "s1", "operations": [on_its_side, Doubled()]},
        {"name": "big", "file": f"{out}/big/%V.####.exr", "after": SOURCE, "operations": [Resize(scale=1.5)]},
    ]
    pipeline = shoot.pipeline(
        (Crop(x=1, y=2, width=30, height=40), turned), (Around(), Undistort(lens=lens)), outputs=outputs
    )
    shoot.make(pipeline)
    whole = shoot.bytes_of("out")
    assert len(whole) == 4 * 2 * 4
    for band_rows in (3, 16):
        shoot.make(pipeline, band_rows=band_rows, force=True)
        assert shoot.bytes_of("out") == whole


def test_stages_one_by_one_give_the_bits_of_the_fused_pass(shoot: Shoot) -> None:
    pipeline = shoot.pipeline(*STAGES, outputs=every_output(shoot))
    shoot.make(pipeline)
    fused = shoot.bytes_of("out")
    heard = shoot.make(pipeline, staged=True, force=True)
    assert shoot.bytes_of("out") == fused
    stored = [one for one in heard.made if "/staged/" in str(one.url)]
    assert len(stored) == 2 * 4 * 2


def test_a_frame_at_the_end_of_the_shot_looks_at_the_neighbours_there_are(shoot: Shoot) -> None:
    shoot.make(shoot.pipeline((Around(),)))
    first, second = (shoot.picture(f"raw/A001/A001.{frame}.exr").pixels for frame in (1001, 1002))
    assert np.array_equal(shoot.picture("out/full/A001.1001.exr").pixels, (first + second) / np.float32(2))


def test_each_source_is_fetched_once_however_many_neighbours_look_at_it(shoot: Shoot) -> None:
    inputs = sum(len(data) for data in shoot.bytes_of("raw").values())
    shoot.make(shoot.pipeline((Around(),), (Around(),)))
    outputs = sum(len(data) for data in shoot.bytes_of("out").values())
    assert (shoot.store.bytes_read, shoot.store.bytes_written) == (inputs, outputs)


def test_what_was_made_of_the_same_is_not_made_again(shoot: Shoot) -> None:
    outputs = every_output(shoot)
    shoot.make(shoot.pipeline(*STAGES, outputs=outputs))
    outputs[0]["compression"] = "piz"
    heard = shoot.make(shoot.pipeline(*STAGES, outputs=outputs))
    full = {f"{camera}.{frame}.exr" for camera in shoot.cameras for frame in range(1001, 1005)}
    assert heard.new == sorted(full)
    assert not heard.reader.missing()


def test_outputs_that_come_out_the_same_are_told_apart_from_what_was_sent(shoot: Shoot) -> None:
    pipeline = shoot.pipeline((Doubled(),))
    sent = shoot.make(pipeline)
    size = sum(len(data) for data in shoot.bytes_of("out").values())
    again = shoot.make(pipeline, force=True)
    assert (sent.bytes_same, again.bytes_same) == (0, size)
    assert len(again.new) == 8  # made, all the same


def test_an_overwritten_source_is_made_again_with_the_frames_that_look_at_it(shoot: Shoot) -> None:
    pipeline = shoot.pipeline((Around(),))
    shoot.make(pipeline)
    shoot.put("A001", 1004, np.ones((48, 37, 3), np.float32))
    assert shoot.make(pipeline).new == ["A001.1003.exr", "A001.1004.exr"]


def test_an_overwritten_output_is_made_again(shoot: Shoot) -> None:
    pipeline = shoot.pipeline((Doubled(),))
    shoot.make(pipeline)
    whole = shoot.bytes_of("out")
    (shoot.root / "out/full/A001.1002.exr").unlink()
    (shoot.root / "out/full/A001.1002.exr").write_bytes(b"somebody's")
    assert shoot.make(pipeline).new == ["A001.1002.exr"]
    assert shoot.bytes_of("out") == whole


@pytest.mark.parametrize("staged", [False, True])
@pytest.mark.parametrize("damage", [lambda data: data[: len(data) * 2 // 3], lambda data: b"no picture at all"])
def test_a_damaged_source_fails_by_name_and_the_others_are_made(shoot: Shoot, damage, staged: bool) -> None:
    path = shoot.source("A002", 1002)
    path.write_bytes(damage(path.read_bytes()))
    heard = shoot.make(shoot.pipeline((Doubled(),), (Column(),)), staged=staged)
    (image,) = heard.failures
    assert image == ImageKey(1002, "A002")
    assert "A002.1002.exr" in str(heard.failures[image])
    assert "/proc" not in str(heard.failures[image])
    assert len(heard.new) == 7
    assert heard.reader.missing() == (1002,)


def test_a_missing_source_is_named_before_anything_is_made(shoot: Shoot) -> None:
    shoot.source("A001", 1003).unlink()
    with pytest.raises(MissingInput, match=r"A001\.1003\.exr"):
        shoot.make(shoot.pipeline((Doubled(),)))


def test_the_findings_of_all_frames_become_one_table(shoot: Shoot) -> None:
    import pyarrow.parquet as pq

    pipeline = shoot.pipeline((Doubled(),), outputs=every_output(shoot)[2:])
    reader = shoot.make(pipeline.model_copy(update={"outputs": pipeline.outputs[2:]})).reader
    (url,) = gather(reader, pipeline, lambda name: locate(name, reader.spec().path_map))
    table = pq.read_table(shoot.root / "out/all.parquet").to_pydict()
    assert str(url).endswith("out/all.parquet")
    assert list(zip(table["camera"], table["frame"], strict=True))[:2] == [("A001", 1001), ("A001", 1002)]
    mean = float((shoot.picture("raw/A002/A002.1004.exr").pixels * 2).mean())
    assert table["records.halved.mean"][-1] == mean
    document = json.loads((shoot.root / "out/data/A002.1004.json").read_text())
    assert document["source"].endswith("raw/A002/A002.1004.exr")


@pytest.mark.parametrize("extension", ["exr", "tif"])
def test_rows_of_a_tiled_picture_are_those_of_the_whole(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    spec = oiio.ImageSpec(50, 37, 3, "float")
    spec.tile_width = spec.tile_height = 16
    spec.x, spec.y = (5, -3) if extension == "exr" else (0, 0)
    pixels = np.random.default_rng(1).random((37, 50, 3), np.float32)
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec), output.geterror()
    assert output.write_image(pixels)
    assert output.close()
    file = MemoryFile(path.name)
    file.append(memoryview(path.read_bytes()))

    with SourceFile(file, path.name) as source:
        window = source.layout.data_window
        for top, bottom in ((0, 37), (0, 1), (15, 17), (16, 32), (1, 36), (33, 37)):
            rows = source.rows(window.y + top, window.y + bottom)
            assert np.array_equal(rows.pixels, pixels[top:bottom])
