"""The contact sheet: what was delivered is seen, and holes are seen as holes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenImageIO
import pytest

from jit_render.farm.records import encode
from jit_render.model.errors import JobNotFound, OutputInvalid, UsageError
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import CommitKey, CommitRecord, JobPaths, JobSpec, OutputRecord, WriteTarget
from jit_render.model.pathmap import PathMap
from jit_render.model.settings import StoreSettings
from jit_render.report.sheet import contact_sheet
from jit_render.report.tiles import draw_digits, read_tile, to_screen
from jit_render.store import ABSENT, Store, open_store
from jit_render.store.crc import crc32c_of_file


def write_exr(path: Path, colour: tuple[float, float, float], names: tuple[str, ...] = ("R", "G", "B")) -> None:
    spec = OpenImageIO.ImageSpec(64, 36, len(names), "half")
    spec.channelnames = names
    out = OpenImageIO.ImageOutput.create(str(path))
    assert out.open(str(path), spec)
    assert out.write_image(np.full((36, 64, len(names)), colour, np.float32))
    assert out.close()


@pytest.fixture
def store() -> Store:
    return open_store(StoreSettings())


@pytest.fixture
def home(tmp_path: Path, store: Store) -> ObjectUrl:
    """A job of frames 1 to 6 in two views: 1 and 2 are there, 3 is no image, the rest is missing."""
    paths = JobPaths.of(ObjectUrl.parse(f"file://{tmp_path}/bucket/state"), "shot-1")
    spec = JobSpec(
        id="shot-1", shot="shot", created=0, script_name="a.nk", script_source="/a.nk", script_sha256="",
        fingerprint="", frames="1-6", path_map=PathMap(),
        writes=(WriteTarget(name="Write1", file="/out/a.%04d.exr", views=("left", "right")),),
    )  # fmt: skip
    store.write(paths.spec, encode(spec), if_generation=ABSENT)
    for frame in (1, 2, 3):
        local = tmp_path / f"{frame}.exr"
        write_exr(local, (0.0, 0.2 * frame, 0.0))
        if frame == 3:
            local.write_bytes(b"no image")
        url = ObjectUrl.parse(f"file://{tmp_path}/bucket/out/a.{frame:04d}.exr")
        info = store.upload(url, local, crc32c=crc32c_of_file(local), if_generation=ABSENT)
        output = OutputRecord(
            url=str(url), generation=info.id.generation, size_bytes=info.size_bytes, crc32c=crc32c_of_file(local)
        )
        key = CommitKey(write="Write1", view="left", frame=frame)
        record = CommitRecord(**key.model_dump(), outputs=(output,), task=0, attempt=1, committed=0, render_seconds=1.5)
        store.write(paths.commit(key), encode(record), if_generation=ABSENT)
    return paths.home


def test_a_sheet_counts_what_is_there_missing_and_unreadable(home: ObjectUrl, store: Store, tmp_path: Path) -> None:
    sheet = contact_sheet(store, home, tmp_path / "made/sheet.png", width=640)

    assert (sheet.shown, sheet.missing, sheet.broken) == (2, 3, 1)
    picture = OpenImageIO.ImageBuf(str(sheet.path))
    pixels = picture.get_pixels("float")
    assert pixels.shape[1] == 640
    green = np.isclose(pixels, to_screen(np.float32([0.0, 0.4, 0.0])), atol=0.01).all(axis=-1)
    red = np.isclose(pixels, (0.30, 0.07, 0.07), atol=0.01).all(axis=-1)
    assert green.any()
    assert 2.9 < red.sum() / green.sum() < 3.1
    assert [path.name for path in sheet.path.parent.iterdir()] == ["sheet.png"]


def test_another_view_may_be_asked_for_and_a_wrong_one_is_refused(
    home: ObjectUrl, store: Store, tmp_path: Path
) -> None:
    assert contact_sheet(store, home, tmp_path / "r.png", view="right", width=320).missing == 6
    with pytest.raises(UsageError, match="has no view 'middle'; it has left, right"):
        contact_sheet(store, home, tmp_path / "r.png", view="middle")
    with pytest.raises(UsageError, match="has no Write 'W'; it has Write1"):
        contact_sheet(store, home, tmp_path / "r.png", write="W")
    with pytest.raises(JobNotFound):
        contact_sheet(store, home.parent / "other", tmp_path / "r.png")


def test_a_tile_shows_colour_by_name_and_fits_its_box(tmp_path: Path) -> None:
    write_exr(tmp_path / "a.exr", (0.1, 0.2, 0.9), ("left.B", "left.G", "left.R"))

    tile = read_tile(tmp_path / "a.exr", 32, 32)

    assert tile.shape == (18, 32, 3)
    assert np.allclose(tile[5, 5], to_screen(np.float32([0.9, 0.2, 0.1])), atol=0.01)
    with pytest.raises(OutputInvalid, match=r"b\.exr cannot be read as an image"):
        read_tile(tmp_path / "b.exr", 32, 32)


def test_light_of_any_range_becomes_a_picture() -> None:
    light = np.array([-1, 0, 0.18, 1, 50, np.inf, np.nan], np.float32)

    shown = to_screen(light)

    assert shown.min() >= 0
    assert shown.max() <= 1
    assert shown[0] == shown[1] == shown[-1] == 0
    assert shown[2] == pytest.approx(0.461, abs=0.002)
    assert shown[3] < shown[4] <= shown[5]


def test_numbers_can_be_drawn_without_a_font() -> None:
    canvas = np.zeros((12, 40, 3), np.float32)

    draw_digits(canvas, (1, 1), "17", size=12, colour=(1.0, 1.0, 1.0))

    rows = ["".join("#" if dot else "." for dot in line[1:15:2, 0]) for line in canvas[1:11:2]]
    assert rows == [".#..###", "##....#", ".#...#.", ".#...#.", "###..#."]
