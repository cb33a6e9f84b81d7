"""From an object to pixels: fetched into memory, checked on the way, decoded whole or in bands of rows.

The object comes whole into a file without a disk (`memory_file.py`), its crc32c is compared as the bytes pass, and
the decoder reads from there. A file gives any rows for the price of those rows, or of the rows of tiles they lie in, so
that a frame of a hundred megapixels never has to be in memory as floats.

A file that is cut short or no picture at all is refused by name, with the frame it was for: `SourceInvalid`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
import OpenImageIO as oiio  # noqa: N813 - as its own documentation calls it

from jit_render.model.errors import ChecksumMismatch, RenderError
from jit_render.model.identity import ObjectInfo
from jit_render.store import Store
from jit_render.store.crc import Crc32c
from preprocess.camera_raw import RawInvalid, is_raw, open_raw
from preprocess.image import Image, Window
from preprocess.memory_file import MemoryFile

FETCH_TRIES = 3  # of an object that came with another checksum than it has
_STRUCTURE = (
    *(
        "compression",
        "openexr:",
        "oiio:",
        "tile",
        "chunkCount",
        "type",
        "version",
        "worldtoNDC",
        "Exif:",
        "png:",
        "tiff:",
    ),
    *("dpx:", "jpeg:", "planarconfig", "Orientation", "XResolution", "YResolution", "ResolutionUnit"),
    *("textureformat", "screenWindow", "Software", "PixelAspectRatio", "multiView", "name", "view"),
)
"""Attributes that say how a file is stored rather than what it shows."""


class SourceInvalid(RenderError):
    """A source is no whole picture."""


def fetch(store: Store, info: ObjectInfo) -> MemoryFile:
    """Exactly `info`'s version, in memory. Raises StoreError."""
    for _ in range(FETCH_TRIES):
        file = MemoryFile(info.url.name)
        crc = Crc32c()

        def take(piece: memoryview, file: MemoryFile = file, crc: Crc32c = crc) -> None:
            crc.update(piece)
            file.append(piece)

        try:
            store.download(info, take)
        except BaseException:
            file.close()
            raise
        if file.size_bytes == info.size_bytes and info.crc32c in {None, crc.value}:
            return file
        file.close()
    raise ChecksumMismatch(f"{info.url} came {FETCH_TRIES} times with other bytes than its checksum says.")


@dataclass(frozen=True, slots=True)
class Layout:
    """What the header says."""

    data_window: Window
    display_window: Window
    channels: tuple[str, ...]
    metadata: dict[str, Any]
    pixel_aspect: float


class SourceFile:
    """One fetched source, open for decoding; used by one thread at a time. Owns `file`."""

    def __init__(self, file: MemoryFile, name: str, channels: tuple[str, ...] = ()) -> None:
        """`channels`: which to read; none: all up to the first layer's. Raises SourceInvalid."""
        self._file = file
        self.name = name
        self._input: Any = None
        try:
            self._input = _opened(file, name)
            spec = self._input.spec()
            self._places = self._chosen(spec, channels)
            self._tile_rows = spec.tile_height if spec.tile_width else 0
            self.layout = _layout(spec, [spec.channelnames[place] for place in self._places])
        except BaseException:
            self.close()
            raise

    @property
    def stored_bytes(self) -> int:
        """What it takes up before any pixel is a float."""
        return self._file.size_bytes + getattr(self._input, "held_bytes", 0)

    def rows(self, top: int, bottom: int) -> Image:
        """The rows of the data window from `top` up to `bottom`, as float32. Raises SourceInvalid."""
        window = self.layout.data_window
        first, last = min(self._places), max(self._places) + 1
        if (top, bottom) == (window.y, window.bottom):
            pixels = self._input.read_image(0, 0, first, last, "float")
        elif self._tile_rows:
            pixels = self._rows_of_tiles(top, bottom, first, last)
        else:
            pixels = self._input.read_scanlines(top, bottom, 0, first, last, "float")
        if pixels is None:
            raise SourceInvalid(f"{self.name} is cut short or damaged: {_one_line(self._input.geterror())}")
        shaped = np.asarray(pixels, np.float32).reshape(bottom - top, window.width, last - first)
        if self._places != list(range(first, last)):
            shaped = shaped[:, :, [place - first for place in self._places]]
        return Image(
            np.ascontiguousarray(shaped),
            self.layout.channels,
            Window(window.x, top, window.width, bottom - top),
            self.layout.display_window,
            self.layout.metadata,
            self.layout.pixel_aspect,
        )

    def _rows_of_tiles(self, top: int, bottom: int, first: int, last: int) -> Any:
        """The rows out of all tiles that they touch; None where these cannot be read."""
        window, high = self.layout.data_window, self._tile_rows
        begin = top - (top - window.y) % high
        end = min(bottom + (window.y - bottom) % high, window.bottom)
        pixels = self._input.read_tiles(window.x, window.right, begin, end, 0, 1, first, last, "float")
        return None if pixels is None else pixels[top - begin : bottom - begin]

    def whole(self) -> Image:
        window = self.layout.data_window
        return self.rows(window.y, window.bottom)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._input.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _chosen(self, spec: Any, wanted: tuple[str, ...]) -> list[int]:
        names = list(spec.channelnames)
        if not wanted:
            plain = [place for place, name in enumerate(names) if "." not in name]
            return plain or list(range(len(names)))
        missing = [name for name in wanted if name not in names]
        if missing:
            raise SourceInvalid(f"{self.name} has no channel {', '.join(missing)}; it has {', '.join(names)}.")
        return [names.index(name) for name in wanted]


def _opened(file: MemoryFile, name: str) -> Any:
    """An ImageInput, or what stands for one. Raises SourceInvalid."""
    if is_raw(name):
        try:
            return open_raw(file.path, name)
        except RawInvalid as error:
            raise SourceInvalid(f"{name} is cut short, damaged or no camera raw: {_one_line(str(error))}") from None
    found = oiio.ImageInput.open(str(file.path))
    if found is None:
        raise SourceInvalid(f"{name} is no picture that can be read: {_one_line(oiio.geterror())}")
    return found


def plain_names(names: list[str]) -> tuple[str, ...]:
    """``left.R`` as ``R``, where that leaves the names different: one layer is one picture."""
    short = [name.rpartition(".")[2] for name in names]
    return tuple(short if len(set(short)) == len(short) else names)


def _layout(spec: Any, names: list[str]) -> Layout:
    return Layout(
        data_window=Window(spec.x, spec.y, spec.width, spec.height),
        display_window=Window(spec.full_x, spec.full_y, spec.full_width, spec.full_height),
        channels=plain_names(names),
        metadata=dict(_told(spec)),
        pixel_aspect=float(spec.get_float_attribute("PixelAspectRatio", 1.0)),
    )


def _told(spec: Any) -> Iterator[tuple[str, Any]]:
    for attribute in spec.extra_attribs:
        value = attribute.value
        if not attribute.name.startswith(_STRUCTURE):
            if isinstance(value, (str, int, float)):
                yield attribute.name, value
            elif isinstance(value, tuple) and all(isinstance(part, (str, int, float)) for part in value):
                yield attribute.name, list(value)


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("/proc/self/fd/", "file ")[:300] or "the decoder does not say why."
