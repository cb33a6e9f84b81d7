"""Camera raw files by LibRaw: the sensor's mosaic as it is, and what its header says about it.

Nothing is developed here. The mosaic is one channel of sensor units, the masked border is left out, and the header's
values are told as metadata by which the pipeline's own operations work (`black_level` with black = "file", `demosaic`
with pattern = "file"):

``sensor:black``    four numbers in sensor units, for the mosaic's 2x2 cell row by row
``sensor:white``    the sensor unit that is white
``sensor:pattern``  RGGB, BGGR, GRBG or GBRG, from the picture's top left corner
``sensor:balance``  the camera's gains for R, G, B, where green is 1; absent where the camera did not say

`open_raw` answers in the manner of OpenImageIO's ImageInput, so that `source.py` reads both alike.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import OpenImageIO as oiio  # noqa: N813 - as its own documentation calls it

from jit_render.model.errors import ConfigError
from preprocess.image import Floats
from preprocess.operations.mosaic import BLACK, PATTERN, PATTERNS, WHITE

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *(
            "3fr",
            "arw",
            "cr2",
            "cr3",
            "crw",
            "dcr",
            "dng",
            "erf",
            "fff",
            "iiq",
            "kdc",
            "mef",
            "mos",
            "mrw",
            "nef",
            "nrw",
        ),
        *("orf", "pef", "raf", "rw2", "srw", "x3f"),
    )
)
_CELL = ((0, 0), (0, 1), (1, 0), (1, 1))


class RawInvalid(Exception):
    """The file is no mosaic that can be read; says why."""


def is_raw(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def open_raw(path: Path, name: str) -> RawInput:
    """Decode it. Raises RawInvalid; ConfigError where rawpy is not installed."""
    try:
        import rawpy
    except ImportError:
        raise ConfigError(f"{name} is camera raw, which needs rawpy: pip install 'jit-render[raw]'.") from None
    try:
        with rawpy.imread(str(path)) as raw:
            return RawInput(raw)
    except rawpy.LibRawError as error:
        said = error.args[0] if error.args else ""
        raise RawInvalid(said.decode(errors="replace") if isinstance(said, bytes) else str(said)) from None


class RawInput:
    """A decoded mosaic. Holds `held_bytes` beside the file."""

    def __init__(self, raw: Any) -> None:
        if raw.raw_type.name != "Flat" or raw.raw_pattern is None or raw.raw_pattern.shape != (2, 2):
            raise RawInvalid("it holds no mosaic of 2x2 cells (RGGB and its kin)")
        self._mosaic = np.array(raw.raw_image_visible)  # a copy: LibRaw's memory goes with the file
        self._spec = _spec(raw, *self._mosaic.shape)

    @property
    def held_bytes(self) -> int:
        return self._mosaic.nbytes

    def spec(self) -> Any:
        return self._spec

    def read_image(self, *_: object) -> Floats:
        return self._mosaic.astype(np.float32)

    def read_scanlines(self, top: int, bottom: int, *_: object) -> Floats:
        return self._mosaic[top:bottom].astype(np.float32)

    def geterror(self) -> str:
        return ""

    def close(self) -> None:
        return


def _spec(raw: Any, height: int, width: int) -> Any:
    sizes = raw.sizes
    cell = [raw.raw_color(sizes.top_margin + row, sizes.left_margin + column) for row, column in _CELL]
    colours = raw.color_desc.decode()
    pattern = "".join(colours[place] for place in cell)
    if pattern not in PATTERNS:
        raise RawInvalid(f"its mosaic is {pattern}, which is not of red, green and blue")
    spec = oiio.ImageSpec(width, height, 1, "float")
    spec.channelnames = ("Y",)
    spec.attribute(BLACK, "float[4]", [float(raw.black_level_per_channel[place]) for place in cell])
    spec.attribute(WHITE, float(raw.white_level))
    spec.attribute(PATTERN, pattern)
    spec.attribute("PixelAspectRatio", float(sizes.pixel_aspect))
    gains = [float(raw.camera_whitebalance[colours.index(name)]) for name in "RGB"]
    if min(gains) > 0:
        spec.attribute("sensor:balance", "float[3]", [gain / gains[1] for gain in gains])
    return spec
