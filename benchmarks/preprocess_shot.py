"""The shot that the preprocessing is measured with: raw mosaics, a white field, and a pipeline of three real stages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jit_render.model.identity import ObjectUrl
from jit_render.store import ABSENT, Store
from preprocess.encode import Encoder, Storage
from preprocess.image import Floats, Image, Window
from preprocess.memory_file import MemoryFile

FIRST = 1001
_BAND = 256

PIPELINE = """
name = "bench"
[source]
file = "{root}/raw/%V/%V.####.exr"
[[stages]]
name = "calibrate"
operations = [
    {{kind = "black_level", black = 0.05}},
    {{kind = "flat_field", flat = "{root}/flat.exr"}},
    {{kind = "demosaic", pattern = "RGGB", method = "bilinear"}},
    {{kind = "linearise", curve = "gamma", gamma = 1.1}},
]
[[stages]]
name = "align"
operations = [
    {{kind = "undistort", filter = "linear", reach = 32, lens = {lens}}},
    {{kind = "colour_matrix", matrix = [[1.1, 0.0, 0.0], [0.0, 1.0, 0.1], [0.0, 0.0, 0.9]]}},
]
[[stages]]
name = "derive"
operations = [{{kind = "statistics"}}]
[[outputs]]
name = "full"
file = "{root}/{way}/full/%V/%V.####.exr"
compression = "zip"
[[outputs]]
name = "proxy"
file = "{root}/{way}/proxy/%V/%V.####.exr"
compression = "zip"
operations = [{{kind = "proxy", levels = 2}}]
[[outputs]]
name = "data"
file = "{root}/{way}/data/%V/%V.####.json"
"""


@dataclass(frozen=True, slots=True)
class Shot:
    width: int
    height: int
    frames: int
    cameras: int

    @property
    def camera_names(self) -> tuple[str, ...]:
        return tuple(f"A{number:03}" for number in range(1, self.cameras + 1))

    @property
    def frame_range(self) -> str:
        return f"{FIRST}-{FIRST + self.frames - 1}"

    def pipeline(self, root: str, way: str) -> bytes:
        """A lens that moves the corners by some 10 pixels, whatever the size."""
        focal, middle = 1.2 * self.width, ((self.width - 1) / 2, (self.height - 1) / 2)
        bend = -10 / (self.width / 2) / ((self.width**2 + self.height**2) / 4 / focal**2)
        lens = f"{{fx = {focal}, fy = {focal}, cx = {middle[0]}, cy = {middle[1]}, k1 = {bend:.6f}}}"
        return PIPELINE.format(root=root, way=way, lens=lens).encode()


def fill(store: Store, root: str, shot: Shot) -> int:
    """The raws and the white field; their bytes. Slopes with a little noise: neither free nor easy to compress."""
    noise = np.random.default_rng(7).standard_normal((_BAND, shot.width, 1)).astype(np.float32) * np.float32(0.01)
    slope = np.linspace(0.05, 0.8, shot.width, dtype=np.float32)[None, :, None]
    with encoded(shot, 0.9 + 0.1 * slope + noise) as flat:
        total = put(store, f"{root}/flat.exr", flat)
    for frame in range(FIRST, FIRST + shot.frames):
        with encoded(shot, noise + slope * np.float32(1 + frame % 3 / 10)) as raw:
            for camera in shot.camera_names:
                total += put(store, f"{root}/raw/{camera}/{camera}.{frame}.exr", raw)
    return total


def encoded(shot: Shot, band: Floats, channels: tuple[str, ...] = ("Y",), stored: str = "half") -> MemoryFile:
    """A picture whose rows repeat those of `band`."""
    window = Window(0, 0, shot.width, shot.height)
    encoder: Encoder | None = None
    for top in range(0, shot.height, _BAND):
        rows = min(_BAND, shot.height - top)
        image = Image(np.ascontiguousarray(band[:rows]), channels, Window(0, top, shot.width, rows), window)
        encoder = encoder or Encoder("raw", Storage(".exr", stored, "none"), window, image)
        encoder.write(image)
    assert encoder is not None
    return encoder.finish()


def put(store: Store, url: str, file: MemoryFile) -> int:
    return store.upload(ObjectUrl.parse(url), file.path, crc32c=file.crc32c(), if_generation=ABSENT).size_bytes
