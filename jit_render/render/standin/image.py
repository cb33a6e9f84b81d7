"""The picture that flows between operations.

An `Image` is a set of named planes that share one data window, and a format (the display window). Planes are never
written to once they are in an Image, so images share them freely: a Copy, a Shuffle or a Remove moves no pixels, and
an operation on colour leaves depth alone. One plane per channel, because NumPy is several times faster on whole
planes than on interleaved pixels; `pixels` interleaves where a library wants it so.

Coordinates are Nuke's: x to the right, y up, the origin at the format's lower left corner. Rows of a plane run from
the top down, as files store them. Outside its data window an image is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]
"""One channel: float32 [height, width], top row first."""

RED, GREEN, BLUE, ALPHA = "rgba.red", "rgba.green", "rgba.blue", "rgba.alpha"
COLOUR = (RED, GREEN, BLUE)
RGBA = (RED, GREEN, BLUE, ALPHA)
DEPTH = "depth.Z"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of whole pixels: `x`, `y` inclusive, `right`, `top` exclusive."""

    x: int
    y: int
    right: int
    top: int

    @property
    def width(self) -> int:
        return max(0, self.right - self.x)

    @property
    def height(self) -> int:
        return max(0, self.top - self.y)

    @property
    def is_empty(self) -> bool:
        return self.right <= self.x or self.top <= self.y

    def union(self, other: Box) -> Box:
        if self.is_empty or other.is_empty:
            return self if other.is_empty else other
        return Box(min(self.x, other.x), min(self.y, other.y), max(self.right, other.right), max(self.top, other.top))

    def intersect(self, other: Box) -> Box:
        box = Box(max(self.x, other.x), max(self.y, other.y), min(self.right, other.right), min(self.top, other.top))
        return Box(self.x, self.y, self.x, self.y) if box.is_empty else box

    def contains(self, other: Box) -> bool:
        return other.is_empty or self.union(other) == self

    def shifted(self, dx: int, dy: int) -> Box:
        return Box(self.x + dx, self.y + dy, self.right + dx, self.top + dy)

    def grown(self, dx: int, dy: int) -> Box:
        return Box(self.x - dx, self.y - dy, self.right + dx, self.top + dy)


@dataclass(frozen=True, slots=True)
class Format:
    """The display window, from (0, 0); `aspect` is a pixel's width over its height."""

    width: int
    height: int
    aspect: float = 1.0
    name: str = ""

    @property
    def box(self) -> Box:
        return Box(0, 0, self.width, self.height)


@dataclass(frozen=True, slots=True)
class Image:
    """Named planes over one data window. Make changed ones with the methods; never write into a plane."""

    planes: Mapping[str, Plane]
    box: Box
    format: Format

    @classmethod
    def black(cls, image_format: Format, names: Iterable[str] = ()) -> Image:
        return cls.constant(dict.fromkeys(names, 0.0), image_format)

    @classmethod
    def constant(cls, values: Mapping[str, float], image_format: Format) -> Image:
        """One value per channel over the whole format; takes no memory."""
        box = image_format.box
        return cls({name: flat(value, box) for name, value in values.items()}, box, image_format)

    @classmethod
    def from_pixels(cls, pixels: npt.NDArray[np.float32], names: Iterable[str], box: Box, fmt: Format) -> Image:
        """From an interleaved [height, width, channels] array."""
        planes = {name: np.ascontiguousarray(pixels[:, :, index]) for index, name in enumerate(names)}
        return cls(planes, box, fmt)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.planes)

    def plane(self, name: str) -> Plane:
        """The channel's plane; zero where the image has none."""
        found = self.planes.get(name)
        return flat(0.0, self.box) if found is None else found

    def having(self, changed: Mapping[str, Plane]) -> Image:
        """With these planes over or beside its own; each has the data window's shape."""
        return replace(self, planes={**self.planes, **changed})

    def only(self, names: Iterable[str]) -> Image:
        """With just those channels of `names` that it has, in that order."""
        return replace(self, planes={name: self.planes[name] for name in names if name in self.planes})

    def fitted(self, box: Box) -> Image:
        """The same picture over another data window: cropped, padded with zero."""
        if box == self.box:
            return self
        overlap = box.intersect(self.box)
        return Image({name: self._fit(plane, box, overlap) for name, plane in self.planes.items()}, box, self.format)

    def _fit(self, plane: Plane, box: Box, overlap: Box) -> Plane:
        if overlap.is_empty:
            return flat(0.0, box)
        rows = slice(self.box.top - overlap.top, self.box.top - overlap.y)
        columns = slice(overlap.x - self.box.x, overlap.right - self.box.x)
        if overlap == box:
            return plane[rows, columns]
        fitted = np.zeros((box.height, box.width), np.float32)
        fitted[box.top - overlap.top : box.top - overlap.y, overlap.x - box.x : overlap.right - box.x] = plane[
            rows, columns
        ]
        return fitted

    def moved(self, dx: int, dy: int) -> Image:
        """Shifted by whole pixels; moves no memory."""
        return replace(self, box=self.box.shifted(dx, dy))

    def pixels(self, names: Iterable[str], dtype: type[np.floating] = np.float32) -> npt.NDArray[np.floating]:
        """Interleaved [height, width, channels] of `names`, zero where a channel is missing."""
        wanted = tuple(names)
        interleaved = np.empty((self.box.height, self.box.width, len(wanted)), dtype)
        for index, name in enumerate(wanted):
            interleaved[:, :, index] = self.plane(name)
        return interleaved


def bounded(box: Box, image_format: Format) -> Box:
    """`box` where its pixels fit memory; else what of it lies near the format.

    As in Nuke a data window moves with its picture, however far. A zoom by a thousand, or the union of two pictures
    that lie miles apart, is a slip of the keyboard.
    """
    if box.width * box.height <= max(_MOST_PIXELS, 16 * image_format.width * image_format.height):
        return box
    return box.intersect(image_format.box.grown(image_format.width, image_format.height))


def common_box(images: Iterable[Image]) -> Box:
    """The data window around all of them."""
    box, image_format = Box(0, 0, 0, 0), NUKE_DEFAULT
    for image in images:
        box, image_format = box.union(image.box), image.format
    return bounded(box, image_format)


def flat(value: float, box: Box) -> Plane:
    """A plane of one value that takes no memory (read-only)."""
    return np.broadcast_to(np.float32(value), (box.height, box.width))


def in_strips(work: Callable[..., list[Plane]], planes: Sequence[Plane], count: int) -> list[Plane]:
    """`work` on a few rows at a time of several planes of one shape, giving `count` planes.

    For pixel-wise work of several steps: what lies between the steps stays in the processor's cache.
    """
    shape = planes[0].shape
    out = [np.empty(shape, np.float32) for _ in range(count)]
    rows = max(1, _STRIP_PIXELS // max(1, shape[1]))
    for begin in range(0, shape[0], rows):
        strip = slice(begin, begin + rows)
        for target, done in zip(out, work(*(plane[strip] for plane in planes)), strict=True):
            target[strip] = done
    return out


_MOST_PIXELS = 1 << 25  # 128 MB a plane, sixteen pictures of 1920 x 1080
_STRIP_PIXELS = 32 * 1024  # 128 KB a plane: a handful of them fit a second-level cache
_FORMATS = {
    "PC_Video": Format(640, 480),
    "NTSC": Format(720, 486, 0.91),
    "PAL": Format(720, 576, 1.09),
    "HD": Format(1920, 1080),
    "HD_720": Format(1280, 720),
    "HD_1080": Format(1920, 1080),
    "UHD_4K": Format(3840, 2160),
    "NTSC_16:9": Format(720, 486, 1.21),
    "PAL_16:9": Format(720, 576, 1.46),
    "1K_Super_35(full-ap)": Format(1024, 778),
    "1K_Cinemascope": Format(914, 778, 2.0),
    "2K_Super_35(full-ap)": Format(2048, 1556),
    "2K_Cinemascope": Format(1828, 1556, 2.0),
    "2K_DCP": Format(2048, 1080),
    "4K_Super_35(full-ap)": Format(4096, 3112),
    "4K_Cinemascope": Format(3656, 3112, 2.0),
    "4K_DCP": Format(4096, 2160),
    "square_256": Format(256, 256),
    "square_512": Format(512, 512),
    "square_1K": Format(1024, 1024),
    "square_2K": Format(2048, 2048),
}
NUKE_DEFAULT = _FORMATS["2K_Super_35(full-ap)"]


def parse_format(text: str) -> Format | None:
    """Nuke's ``width height x y r t aspect name``, ``width height [aspect] [name]`` or a known name; else None."""
    words = text.split()
    numbers: list[float] = []
    while words:
        try:
            numbers.append(float(words[0]))
        except ValueError:
            break
        words.pop(0)
    name = " ".join(words)
    if len(numbers) < 2:
        known = _FORMATS.get(text.strip())
        return replace(known, name=text.strip()) if known else None
    aspect = {3: 2, 7: 6}.get(len(numbers))
    width, height = int(numbers[0]), int(numbers[1])
    if width < 1 or height < 1:
        return None
    return Format(width, height, numbers[aspect] if aspect else 1.0, name)
