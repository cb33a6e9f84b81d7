"""The example shot: its plates are the same everywhere, made once, and its script asks for nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path

import OpenImageIO
import pytest

from examples.shot import plates
from jit_render.model.frames import expand, is_pattern
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.script import parse

SIZE = (64, 36)
SCRIPT = Path(plates.__file__).with_name("shot.nk")


def put(folder: Path, size: tuple[int, int] = SIZE) -> plates.Show:
    show = ObjectUrl.parse(f"file://{folder}/show")
    told: list[tuple[int, int]] = []
    done = plates.put(
        StoreSettings(), show, size=size, frames=2, processes=1, on_progress=lambda *pair: told.append(pair)
    )
    assert told[-1] == (11, 11)
    return done


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in (folder / "show").rglob("*") if path.is_file() and path.name[0] != ".")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("show")
    assert put(folder).made == 3 + 2 * 4
    return folder


def test_plates_that_are_there_are_kept_and_missing_ones_are_made_again_alike(show: Path) -> None:
    before = digests(show)
    (show / "show/plates/lake/left/lake.1002.exr").unlink()

    again = put(show)

    assert (again.made, again.kept) == (1, 10)
    assert digests(show) == before


def test_plates_of_another_recipe_are_replaced(show: Path, tmp_path: Path) -> None:
    put(tmp_path, (32, 18))

    assert put(tmp_path).made == 11
    assert digests(tmp_path) == digests(show)


def test_plates_are_half_float_with_a_data_window_of_what_is_lit(show: Path) -> None:
    lake = OpenImageIO.ImageBuf(str(show / "show/plates/lake/left/lake.1001.exr")).spec()
    lanterns = OpenImageIO.ImageBuf(str(show / "show/elements/lanterns/lanterns.0001.exr")).spec()

    assert str(lake.format) == "half"
    assert (lake.full_width, lake.full_height, lake.nchannels) == (*SIZE, 3)
    assert (lanterns.full_width, lanterns.full_height, lanterns.nchannels) == (*SIZE, 4)
    assert lanterns.height < SIZE[1]


def test_the_views_differ(show: Path) -> None:
    found = digests(show)

    assert found["show/plates/lake/left/lake.1001.exr"] != found["show/plates/lake/right/lake.1001.exr"]


def test_the_script_reads_every_plate_and_nothing_else() -> None:
    keys = {plate.key for plate in plates.plates()}
    read: set[str] = set()
    for node in parse(SCRIPT.read_text(), name=SCRIPT.name).nodes:
        name = node.knobs.get("file") if node.cls == "Read" else node.knobs.get("vfield_file")
        if not name:
            continue
        first, last = (int(node.knobs.get(knob, "1")) for knob in ("first", "last"))
        frames = range(first, last + 1) if is_pattern(name) else (1,)
        read |= {expand(name, frame, view).removeprefix("/mnt/show/") for frame in frames for view in plates.VIEWS}

    assert read == keys
