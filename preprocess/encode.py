"""From pixels to a file in memory: whole, or band by band as they come.

Equal pixels give equal bytes: what encoders like to add by themselves (the time of day) is set to what the source said,
or to the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import OpenImageIO as oiio  # noqa: N813 - as its own documentation calls it

from jit_render.model.errors import OutputInvalid
from preprocess.image import Floats, Image, Window
from preprocess.memory_file import MemoryFile

_EPOCH = "1970:01:01 00:00:00"


class Storage:
    """How an image is stored: see `pipeline.Output`."""

    __slots__ = ("compression", "mipmap", "suffix", "tile", "type")

    def __init__(self, suffix: str, type: str, compression: str = "", *, tile: int = 0, mipmap: bool = False) -> None:  # noqa: A002 - the file's word
        self.suffix = suffix
        self.type = type
        self.compression = compression
        self.tile = tile
        self.mipmap = mipmap


class Encoder:
    """Writes one picture, rows from top to bottom. `finish` gives the file, which is the caller's to close."""

    def __init__(self, label: str, storage: Storage, data_window: Window, first: Image) -> None:
        """`first` is any part of the picture: it tells channels, display window and header. Raises OutputInvalid."""
        self._label = label
        self._storage = storage
        self._window = data_window
        self._next = data_window.y
        self._kept: list[Floats] = []
        self._file = MemoryFile(label)
        output: Any = oiio.ImageOutput.create(
            f"x{storage.suffix}"
        )  # None for no known suffix, which a pipeline refuses
        self._output = output
        self._spec = _spec(storage, data_window, first)
        if not self._output.open(str(self._file.path), self._spec):
            self._refuse()

    def write(self, band: Image) -> None:
        """The next rows, of the picture's full width. Raises OutputInvalid."""
        if band.data_window.y != self._next or band.data_window.width != self._window.width:
            raise ValueError(f"{self._label}: rows {band.data_window} do not follow row {self._next}")
        self._next = band.data_window.bottom
        if self._storage.tile:
            self._kept.append(band.pixels)
            if not self._storage.mipmap:
                self._write_tiles(whole=self._next == self._window.bottom)
        elif not self._output.write_scanlines(self._row(band.data_window.y), self._row(self._next), 0, band.pixels):
            self._refuse()

    def finish(self) -> MemoryFile:
        """The whole file. Raises OutputInvalid."""
        if self._storage.mipmap:
            self._write_levels()
        if not self._output.close():
            self._refuse()
        return self._file

    def abandon(self) -> None:
        self._output.close()
        self._file.close()

    def _write_tiles(self, *, whole: bool) -> None:
        """All complete rows of tiles among what is kept."""
        rows = sum(len(part) for part in self._kept)
        ready = rows if whole else rows - rows % self._storage.tile
        if not ready:
            return
        pixels = np.concatenate(self._kept) if len(self._kept) > 1 else self._kept[0]
        self._kept = [pixels[ready:]] if ready < rows else []
        top = self._row(self._next - rows)
        left, right = self._spec.x, self._spec.x + self._spec.width
        if not self._output.write_tiles(left, right, top, top + ready, 0, 1, np.ascontiguousarray(pixels[:ready])):
            self._refuse()

    def _write_levels(self) -> None:
        """The picture, then its halves (each pixel the mean of those it covers) down to one pixel."""
        pixels = np.concatenate(self._kept)
        self._kept = []
        if not self._output.write_image(pixels):
            self._refuse()
        spec = oiio.ImageSpec(self._spec)
        while pixels.shape[0] > 1 or pixels.shape[1] > 1:
            pixels = halved(pixels)
            spec.height, spec.width = pixels.shape[:2]
            spec.full_height, spec.full_width = pixels.shape[:2]
            is_open = self._output.open(str(self._file.path), spec, "AppendMIPLevel")
            if not (is_open and self._output.write_image(pixels)):
                self._refuse()

    def _row(self, row: int) -> int:
        """`row` as the file counts."""
        return int(row - self._window.y + self._spec.y)

    def _refuse(self) -> None:
        said = " ".join(self._output.geterror().split())[:300]
        self.abandon()
        raise OutputInvalid(f"{self._label} cannot be encoded: {said or 'the encoder does not say why'}.")


def halved(pixels: Floats) -> Floats:
    """Half of each side, at least 1; each pixel the mean of 2x2 (an odd last row or column is left out)."""
    height, width = max(1, pixels.shape[0] // 2), max(1, pixels.shape[1] // 2)
    down, across = min(2, pixels.shape[0]), min(2, pixels.shape[1])
    total = np.zeros((height, width, pixels.shape[2]), np.float32)
    for row in range(down):
        for column in range(across):
            total += pixels[row : height * down : down, column : width * across : across]
    return np.asarray(total / np.float32(down * across), np.float32)


def _spec(storage: Storage, window: Window, image: Image) -> Any:
    spec = oiio.ImageSpec(window.width, window.height, len(image.channels), _stored(storage.type))
    spec.channelnames = image.channels
    if storage.suffix == ".exr":  # no other file keeps a data window apart from its display window
        spec.x, spec.y = window.x, window.y
        spec.full_x, spec.full_y, spec.full_width, spec.full_height = image.display_window
    spec.tile_width = spec.tile_height = storage.tile
    _describe(spec, image.metadata)
    spec.attribute("PixelAspectRatio", float(image.pixel_aspect))
    if storage.type in {"uint10", "uint12"}:
        spec.attribute("oiio:BitsPerSample", int(storage.type[4:]))
    if storage.compression:
        spec.attribute("compression", storage.compression)
    if storage.mipmap:
        spec.attribute("textureformat", "Plain Texture")  # how OpenImageIO is told to keep room for the smaller levels
    if "DateTime" not in image.metadata:
        spec.attribute("DateTime", _EPOCH)
    return spec


def _stored(type_: str) -> str:
    return "uint16" if type_ in {"uint10", "uint12"} else type_


def _describe(spec: Any, metadata: Mapping[str, Any]) -> None:
    for name, value in metadata.items():
        if isinstance(value, (str, int, float)):
            spec.attribute(name, value)
        elif isinstance(value, list) and value and all(isinstance(part, (int, float)) for part in value):
            kind = "int" if all(isinstance(part, int) for part in value) else "float"
            spec.attribute(name, f"{kind}[{len(value)}]", tuple(value))
