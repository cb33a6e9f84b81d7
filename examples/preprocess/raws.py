"""Raw mosaics of a small light-field shoot: sixteen cameras in a four-by-four grid look at the same moving picture.

Linear light through a lens that darkens the corners and an RGGB filter, with a pedestal, shot noise and a few dead
pixels, as 16-bit TIFF; and for each camera its white field, whose pedestal is taken off already. Deterministic: a frame
of a camera is the same bytes on every machine with the same libraries.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jit_render.model.errors import ObjectNotFound
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.store import ABSENT, Store, open_store
from jit_render.store.crc import Crc32c
from preprocess.encode import Encoder, Storage
from preprocess.image import Image

WIDTH, HEIGHT = 1024, 768
CAMERAS = tuple(f"A{number:03}" for number in range(1, 17))
FIRST, COUNT = 1001, 12
BLACK = 4096 / 65535
_GRID = 4
_BASELINE = 6.0  # pixels that the nearest thing moves from one camera to the next
_DEAD = 40
_SHADE = 0.35  # of the light that corners lose

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Disc:
    """A coloured disc. `depth` 1 is the nearest; it moves `speed` pixels per frame to the right."""

    x: float
    y: float
    radius: float
    depth: float
    speed: float
    colour: tuple[float, float, float]


_DISCS = (
    Disc(260, 300, 190, 0.3, 2.0, (0.10, 0.22, 0.45)),
    Disc(640, 420, 150, 0.6, -5.0, (0.55, 0.16, 0.08)),
    Disc(420, 520, 90, 1.0, 9.0, (0.60, 0.48, 0.12)),
)


def scene(camera: int, frame: int) -> Floats:
    """Linear RGB, (HEIGHT, WIDTH, 3)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    slope = 0.04 + 0.25 * (1 - y / HEIGHT)
    picture = np.stack([slope * 0.8, slope, slope * 1.2], axis=2)
    across, down = camera % _GRID - (_GRID - 1) / 2, camera // _GRID - (_GRID - 1) / 2
    for disc in _DISCS:
        centre_x = disc.x + disc.speed * (frame - FIRST) - across * _BASELINE * disc.depth
        distance = np.hypot(x - centre_x, y - disc.y + down * _BASELINE * disc.depth)
        cover = np.clip(disc.radius - distance, 0, 1)[:, :, None]
        shade = np.clip(1.15 - distance / disc.radius * 0.6, 0.2, None)[:, :, None]
        picture = picture * (1 - cover) + np.asarray(disc.colour, np.float32) * shade * cover
    return np.asarray(picture, np.float32)


def shading(camera: int) -> Floats:
    """What is left of the light, (HEIGHT, WIDTH); 1 in the middle, which is another place for each camera."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    x -= np.float32(WIDTH / 2 + 8 * (camera % _GRID))
    y -= np.float32(HEIGHT / 2 + 8 * (camera // _GRID))
    return np.asarray(1 - np.float32(_SHADE) * (x * x + y * y) / ((WIDTH**2 + HEIGHT**2) / 4), np.float32)


def mosaic(camera: int, frame: int) -> Image:
    """What the sensor says, 0 to 1 of its range."""
    picture = scene(camera, frame)
    raw = picture[:, :, 1].copy()
    raw[0::2, 0::2] = picture[0::2, 0::2, 0]
    raw[1::2, 1::2] = picture[1::2, 1::2, 2]
    raw *= shading(camera)
    dice = np.random.default_rng(camera * 10_000 + frame)
    raw += dice.standard_normal(raw.shape).astype(np.float32) * np.sqrt(np.maximum(raw, 0)) * np.float32(0.01)
    raw = np.float32(BLACK) + raw * np.float32(1 - BLACK)
    dead = np.random.default_rng(camera).integers(0, raw.size, _DEAD)  # the same pixels in every frame
    raw.reshape(-1)[dead] = 1.0
    return Image.of(np.clip(raw, 0, 1))


def put(folder: str, camera: int, frame: int) -> int:
    """Have one raw below the URL `folder`, or with frame 0 the white field; its bytes, or 0 where it was there.

    What is there may come from an earlier version of this example, or be cut short: other bytes are replaced.
    """
    name = CAMERAS[camera]
    place = f"raw/{name}/{name}.{frame}.tif" if frame else f"flat/{name}.tif"
    url = ObjectUrl.parse(f"{folder}/{place}")
    store = open_store(StoreSettings())
    try:
        image = mosaic(camera, frame) if frame else Image.of(np.clip(shading(camera), 0, 1))
        encoder = Encoder(url.name, Storage(".tif", "uint16", "none"), image.data_window, image)
        encoder.write(image)
        with encoder.finish() as file:
            crc32c, condition = file.crc32c(), ABSENT
            try:
                found = store.stat(url)
                if (found.size_bytes, found.crc32c or crc32c_of(store, url)) == (file.size_bytes, crc32c):
                    return 0
                condition = found.id.generation
            except ObjectNotFound:
                pass
            store.upload(url, file.path, crc32c=crc32c, if_generation=condition)
            return file.size_bytes
    finally:
        store.close()


def crc32c_of(store: Store, url: ObjectUrl) -> int:
    """Of an object in a folder, which keeps no checksums."""
    crc = Crc32c()
    crc.update(memoryview(store.read(url)[0]))
    return crc.value


def put_all(folder: str, processes: int) -> tuple[int, int]:
    """All raws and white fields; how many were made, and their bytes."""
    wanted = [(camera, frame) for frame in (0, *range(FIRST, FIRST + COUNT)) for camera in range(len(CAMERAS))]
    with ProcessPoolExecutor(processes) as pool:
        sizes = list(pool.map(put, [folder] * len(wanted), *zip(*wanted, strict=True), chunksize=8))
    return sum(1 for size in sizes if size), sum(sizes)
