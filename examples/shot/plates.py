"""Which plates the example shot has, and how they get into a bucket.

::

    show/plates/lake/{left,right}/lake.1001.exr … 1048     stereo, frame numbers as in the cut
    show/elements/lanterns/lanterns.0001.exr … 0048        starts at 1: the comp shifts it by 1000
    show/elements/fireflies/fireflies.0101.exr … 0148      starts at 101, read as ####
    show/stills/moon.exr, mist.exr
    show/luts/dusk.cube

Plates that are there already are kept. They stand for the recipe (this folder's code and the size) that
``show/recipe.json`` names; where that is another one, the old plates are removed before the recipe is written, so an
interrupted run never leaves plates of two recipes side by side.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import OpenImageIO

from examples.shot import picture
from jit_render.model.errors import JitRenderError, ObjectNotFound
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.store import open_store
from jit_render.store.crc import crc32c_of_file
from jit_render.store.port import ABSENT, Store

FIRST = 1001
SIZE = (1920, 1080)
VIEWS = {"left": -1.0, "right": 1.0}

Kind = Literal["lake", "lanterns", "fireflies", "moon", "mist", "look"]
# As plates come from several departments; also, what is cheap to make: two cores have 20 seconds for all of them.
_COMPRESSION = {"lake": "zip", "lanterns": "zips", "fireflies": "none", "moon": "zips", "mist": "zips"}


@dataclass(frozen=True)
class Plate:
    """One file of the show: its key below the show's folder and what is on it."""

    key: str
    kind: Kind
    index: int = 0
    eye: float = 0.0


@dataclass(frozen=True)
class Show:
    """What `put` found and did."""

    made: int
    kept: int
    size_bytes: int


def plates(frames: int = picture.FRAMES) -> Iterator[Plate]:
    """Every file of the show."""
    yield Plate("stills/moon.exr", "moon")
    yield Plate("stills/mist.exr", "mist")
    yield Plate("luts/dusk.cube", "look")
    for index in range(frames):
        for view, eye in VIEWS.items():
            yield Plate(f"plates/lake/{view}/lake.{FIRST + index:04d}.exr", "lake", index, eye)
        yield Plate(f"elements/lanterns/lanterns.{1 + index:04d}.exr", "lanterns", index)
        yield Plate(f"elements/fireflies/fireflies.{101 + index:04d}.exr", "fireflies", index)


def write(plate: Plate, size: tuple[int, int], path: Path) -> None:
    """Make one plate as a file. Raises JitRenderError where it cannot be written."""
    if plate.kind == "look":
        path.write_text(picture.look(), encoding="ascii")
        return
    pixels, corner, full = _paint(plate, size)
    height, width, channels = pixels.shape
    spec = OpenImageIO.ImageSpec(width, height, channels, "half")
    spec.x, spec.y = corner
    spec.full_width, spec.full_height = full
    spec.attribute("compression", _COMPRESSION[plate.kind])
    spec.attribute("DateTime", "2026:01:01 00:00:00")  # else it is now, and no two runs make the same bytes
    out = OpenImageIO.ImageOutput.create(str(path))
    if not (out and out.open(str(path), spec) and out.write_image(pixels.astype(np.float16)) and out.close()):
        reason = out.geterror() if out else OpenImageIO.geterror()
        raise JitRenderError(f"{path}: the plate cannot be written ({reason}); is the disk full?")


def _paint(plate: Plate, size: tuple[int, int]) -> tuple[picture.Picture, tuple[int, int], tuple[int, int]]:
    """Pixels, upper left corner of the data window, and size of the display window."""
    width, height = size
    if plate.kind == "lake":
        return picture.background(size, plate.index, plate.eye), (0, 0), size
    if plate.kind == "lanterns":
        return *picture.lanterns(size, plate.index), size
    if plate.kind == "fireflies":
        return *picture.fireflies(size, plate.index), size
    if plate.kind == "moon":
        edge = max(8, height * 2 // 9)
        return picture.moon(edge), (0, 0), (edge, edge)
    wide, high = width * 5 // 4, max(4, height * 2 // 5)
    return picture.mist(wide, high), (0, 0), (wide, high)


def put(
    settings: StoreSettings,
    show: ObjectUrl,
    *,
    size: tuple[int, int] = SIZE,
    frames: int = picture.FRAMES,
    processes: int = 2,
    on_progress: Callable[[int, int], None],
) -> Show:
    """Make the plates that `show` lacks, in `processes` processes. `on_progress` is told done and total."""
    store = open_store(settings)
    try:
        there = _keep_or_clear(store, show, _recipe(size))
    finally:
        store.close()
    wanted = list(plates(frames))
    missing = [plate for plate in wanted if plate.key not in there]
    size_bytes = sum(there.get(plate.key, 0) for plate in wanted)
    done = len(wanted) - len(missing)
    on_progress(done, len(wanted))
    if missing:
        context = multiprocessing.get_context("spawn")  # a store does not survive a fork
        with ProcessPoolExecutor(processes, mp_context=context, initializer=_quiet) as pool:
            batches = [missing[start : start + 4] for start in range(0, len(missing), 4)]
            for finished in as_completed([pool.submit(_put_some, settings, show, size, batch) for batch in batches]):
                for written in finished.result():
                    size_bytes += written
                    done += 1
                on_progress(done, len(wanted))
    return Show(made=len(missing), kept=len(wanted) - len(missing), size_bytes=size_bytes)


def _quiet() -> None:
    """One thread per process: there is a process for each core already."""
    OpenImageIO.attribute("threads", 1)
    OpenImageIO.attribute("exr_threads", -1)


def _put_some(settings: StoreSettings, show: ObjectUrl, size: tuple[int, int], batch: list[Plate]) -> list[int]:
    store = open_store(settings)
    sizes = []
    try:
        with tempfile.TemporaryDirectory(prefix="jit-render-plates-") as folder:
            for plate in batch:
                path = Path(folder) / Path(plate.key).name
                write(plate, size, path)
                info = store.upload(show / plate.key, path, crc32c=crc32c_of_file(path), if_generation=ABSENT)
                sizes.append(info.size_bytes)
                path.unlink()
    finally:
        store.close()
    return sizes


def _recipe(size: tuple[int, int]) -> bytes:
    code = b"".join((Path(__file__).parent / name).read_bytes() for name in ("picture.py", "plates.py"))
    return json.dumps({"size": size, "code": hashlib.sha256(code).hexdigest()}).encode()


def _keep_or_clear(store: Store, show: ObjectUrl, recipe: bytes) -> dict[str, int]:
    """Keys below `show` that can stay, with their sizes. Plates of another recipe are removed."""
    there = {info.url.key.removeprefix(show.key + "/"): info for info in store.list(show)}
    sheet = show / "recipe.json"
    try:
        same = store.read(sheet)[0] == recipe
    except ObjectNotFound:
        same = False
    if not same:
        known = [plate.key for plate in plates()]
        for key in ["recipe.json", *known]:
            if key in there:
                store.delete(show / key)
                del there[key]
        store.write(sheet, recipe, if_generation=ABSENT)
    return {key: info.size_bytes for key, info in there.items()}
