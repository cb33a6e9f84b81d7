"""Files to images: any set of channels, a data window other than the format, the views of a stereo file.

The views of one file are told apart as OpenEXR's multi-view convention has it: the attribute ``multiView`` lists them,
the first is the default one; ``left.R`` is the left view's red, ``forward.left.u`` its channel u of layer forward.
Channels without a layer belong to the default view, layers that name no view to all. Files in several parts name
each part's view.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jit_render.model.errors import RenderError
from jit_render.render.standin import layers
from jit_render.render.standin.image import COLOUR, DEPTH, Box, Format, Image, Plane
from jit_render.render.standin.transfer import LINEAR, SRGB, Transfer

_WIDE = 1 << 26  # pixels; more is a broken header, not a plate


@dataclass(frozen=True, slots=True)
class _Channel:
    """One channel of a file: where it lies and what it is. `view` is '' for a channel of all views."""

    part: int
    index: int
    name: str
    view: str


@dataclass(frozen=True, slots=True)
class _Header:
    channels: tuple[_Channel, ...]
    boxes: tuple[Box, ...]
    format: Format
    is_float: bool
    is_half: bool
    views: tuple[str, ...]


class Decoded(NamedTuple):
    """A picture, and whether its file holds another one for another view."""

    image: Image
    has_views: bool


class Reader:
    """Decodes files and keeps what it decoded last, by the file's identity on disk, up to a limit in bytes."""

    def __init__(self, limit_bytes: int = 512 << 20, threads: int = 0) -> None:
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[tuple[object, ...], Image] = OrderedDict()
        self._kept_bytes = 0
        self._threads = threads

    @cached_property
    def _oiio(self) -> Any:
        import OpenImageIO

        OpenImageIO.attribute("threads", self._threads)
        OpenImageIO.attribute("exr_threads", self._threads or -1)
        return OpenImageIO

    def read(
        self,
        path: str,
        view: str,
        *,
        wants: Callable[[str], bool] = lambda _: True,
        transfer: Transfer | None = None,
        premultiplied: bool = False,
    ) -> Decoded:
        """The picture of one view, in linear light; channels that `wants` refuses are left out.

        Raises FileNotFoundError where there is no file, RenderError for one that cannot be decoded.
        """
        status = Path(path).stat()
        opened = self._open(path)
        try:
            header = self._header(opened, path)
            chosen = tuple(channel for channel in _of_view(header, view) if wants(channel.name))
            key = (path, status.st_ino, status.st_mtime_ns, status.st_size, chosen, transfer, premultiplied)
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return Decoded(kept, bool(header.views))
            image = self._decode(opened, path, header, chosen)
        finally:
            opened.close()
        curve = transfer or (LINEAR if header.is_float else SRGB)
        image = _linear(image, curve, premultiplied=premultiplied)
        self._keep(key, image)
        return Decoded(image, bool(header.views))

    def format_of(self, path: str) -> Format:
        """The display window of a file."""
        opened = self._open(path)
        try:
            return self._header(opened, path).format
        finally:
            opened.close()

    def _open(self, path: str) -> Any:
        opened = self._oiio.ImageInput.open(os.fspath(path))
        if opened is None:
            raise RenderError(_cannot_read(path, str(self._oiio.geterror())))
        return opened

    def _header(self, opened: Any, path: str) -> _Header:
        channels: list[_Channel] = []
        boxes: list[Box] = []
        views: list[str] = []
        spec = first = opened.spec()
        part = 0
        while True:
            if spec.deep:
                raise RenderError(f"{path} is a deep image, which the stand-in cannot read; render it with Nuke.")
            if spec.width * spec.height > _WIDE or spec.width < 1 or spec.height < 1:
                raise RenderError(f"{path} says it is {spec.width} x {spec.height} pixels, which is no plate.")
            top = first.full_height - (spec.y - first.full_y)
            left = spec.x - first.full_x
            boxes.append(Box(left, top - spec.height, left + spec.width, top))
            listed = _strings(spec.getattribute("multiView"))
            own = str(spec.getattribute("view") or "")
            views += [name for name in (*listed, own) if name and name not in views]
            for index, name in enumerate(spec.channelnames):
                channels.append(_channel(part, index, name, listed, own))
            part += 1
            if not opened.seek_subimage(part, 0):
                break
            spec = opened.spec()
        aspect = float(first.get_float_attribute("PixelAspectRatio", 1.0)) or 1.0
        image_format = Format(first.full_width, first.full_height, aspect)
        is_float = first.format in (self._oiio.HALF, self._oiio.FLOAT, self._oiio.DOUBLE) or any(
            kind in (self._oiio.HALF, self._oiio.FLOAT) for kind in first.channelformats
        )
        kinds = {first.format, *first.channelformats}
        is_half = part == 1 and kinds == {self._oiio.HALF}
        return _Header(tuple(channels), tuple(boxes), image_format, is_float, is_half, tuple(views))

    def _decode(self, opened: Any, path: str, header: _Header, chosen: tuple[_Channel, ...]) -> Image:
        image = Image({}, Box(0, 0, 0, 0), header.format)
        for part in sorted({channel.part for channel in chosen}):
            mine = [channel for channel in chosen if channel.part == part]
            begin, end = min(one.index for one in mine), max(one.index for one in mine) + 1
            # Half floats are taken as they are: their planes are widened quicker than the library widens pixels.
            pixels = opened.read_image(part, 0, begin, end, "half" if header.is_half else "float")
            if pixels is None:
                raise RenderError(_cannot_read(path, str(opened.geterror())))
            pixels = pixels.reshape(pixels.shape[0], pixels.shape[1], end - begin)
            planes = {one.name: pixels[:, :, one.index - begin].astype(np.float32, order="C") for one in mine}
            box = header.boxes[part].union(image.box)
            own = Image(planes, header.boxes[part], header.format).fitted(box)
            image = image.fitted(box).having(own.planes)
        if not chosen:
            image = replace(image, box=header.boxes[0])
        return _grey_as_colour(image)

    def _keep(self, key: tuple[object, ...], image: Image) -> None:
        size = sum(plane.nbytes for plane in image.planes.values())
        if size > self._limit_bytes:
            return
        self._kept[key] = image
        self._kept_bytes += size
        while self._kept_bytes > self._limit_bytes:
            _, gone = self._kept.popitem(last=False)
            self._kept_bytes -= sum(plane.nbytes for plane in gone.planes.values())


def _strings(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(one) for one in value) if isinstance(value, (tuple, list)) else ()


def _channel(part: int, index: int, name: str, views: tuple[str, ...], part_view: str) -> _Channel:
    if part_view:
        return _Channel(part, index, layers.from_file(_without_view(name, (part_view,))[0]), part_view)
    plain, view = _without_view(name, views)
    if not view and views and "." not in name:
        view = views[0]
    return _Channel(part, index, layers.from_file(plain), view)


def _without_view(name: str, views: tuple[str, ...]) -> tuple[str, str]:
    """The name without its view part, which stands right before the channel: ``forward.left.u``, ``left.R``."""
    *prefix, last = name.split(".")
    if prefix and prefix[-1] in views:
        return ".".join([*prefix[:-1], last]), prefix[-1]
    return name, ""


def _of_view(header: _Header, view: str) -> tuple[_Channel, ...]:
    """The view's channels; a view that the file does not have reads as its default one, as Nuke does."""
    if header.views and view not in header.views:
        view = header.views[0]
    seen: dict[str, _Channel] = {}
    for channel in header.channels:
        if channel.view == view or (channel.view == "" and channel.name not in seen):
            seen[channel.name] = channel
    return tuple(seen.values())


def _grey_as_colour(image: Image) -> Image:
    planes = dict(image.planes)
    grey = planes.pop("other.Y", None)
    if grey is None or any(name in planes for name in COLOUR):
        return image
    return replace(image, planes={**dict.fromkeys(COLOUR, grey), **planes})


def _linear(image: Image, curve: Transfer, *, premultiplied: bool) -> Image:
    if curve is LINEAR:
        return image
    alpha: Plane | None = image.planes.get("rgba.alpha") if premultiplied else None
    changed = {}
    for name, plane in image.planes.items():
        if name in COLOUR or (name not in ("rgba.alpha", DEPTH) and layers.place(name) < 3 and "." not in name):
            straight = plane if alpha is None else np.divide(plane, alpha, out=plane.copy(), where=alpha > 0)
            light = curve.decode(straight)
            changed[name] = light if alpha is None else np.where(alpha > 0, light * alpha, light)
    return image.having(changed)


def _cannot_read(path: str, said: str) -> str:
    reason = " ".join(said.split()) or "it is no image of a known type"
    if "ubsampled" in reason:
        reason = "its colour is stored as luminance and subsampled chroma; convert it to RGB first"
    return f"{path} cannot be read: {reason}"
