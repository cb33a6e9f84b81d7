"""Images to files, byte for byte the same each time: no dates, no names of machines or programs in the header.

A file is written under ``<name>.tmp`` beside its final name and renamed when complete, as Nuke does.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jit_render.model.errors import RenderError
from jit_render.render.standin import layers
from jit_render.render.standin.image import ALPHA, COLOUR, Box, Image, Plane, common_box
from jit_render.render.standin.transfer import Transfer

EXTENSIONS = {"exr": "exr", "jpg": "jpeg", "jpeg": "jpeg", "png": "png", "tif": "tiff", "tiff": "tiff", "dpx": "dpx"}
"""File name extension → Nuke's file_type, for the types that can be written."""

_EXR_COMPRESSION = {
    "none": "none",
    "zip1": "zips",
    "zip(1scanline)": "zips",
    "zip16": "zip",
    "zip(16scanlines)": "zip",
    "zip": "zip",
    "zips": "zips",
    "rle": "rle",
    "piz": "piz",
    "pizwavelet(32scanlines)": "piz",
    "pxr24": "pxr24",
    "b44": "b44",
    "b44a": "b44a",
    "dwaa": "dwaa",
    "dwab": "dwab",
}
_NO_DATE = "1970:01:01 00:00:00"  # left to itself the library writes the time of day
_DPX_NAMES = (36, 660)  # SMPTE 268M: file name, creation time, creator, project, copyright
_TIFF_COMPRESSION = {"none": "none", "packbits": "packbits", "lzw": "lzw", "deflate": "zip"}


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What a Write's knobs ask for. Empty text: the type's default."""

    file_type: str
    datatype: str = ""
    compression: str = ""
    quality: float = 0.75
    transfer: Transfer | None = None
    premultiplied: bool = False


def exr_compression(name: str) -> str | None:
    """OpenEXR's name of a compression as Nuke's Write spells it; None for an unknown one."""
    return _EXR_COMPRESSION.get(name.replace(" ", "").lower())


def write(path: str, images: Mapping[str, Image], names: Sequence[str], options: WriteOptions) -> None:
    """Write `names` of one image, or of one per view (the first is the default view), to `path`.

    Raises RenderError naming the file.
    """
    import OpenImageIO

    temporary = f"{path}.tmp"
    output = OpenImageIO.ImageOutput.create(f"x.{_extension(options.file_type)}")
    if output is None:
        raise RenderError(f"{path} cannot be written: {options.file_type} is not a type this OpenImageIO writes.")
    spec, pixels = (_exr if options.file_type == "exr" else _display_file)(images, names, options)
    try:
        done = output.open(temporary, spec) and output.write_image(pixels) and output.close()
        if not done:
            said = " ".join(str(output.geterror()).split()) or "the file system refused it"
            raise RenderError(f"{path} cannot be written: {_full_disk(temporary, pixels.nbytes) or said}")
        if options.file_type == "dpx":
            _forget_names(temporary)
        Path(temporary).replace(path)
    except OSError as error:
        raise RenderError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        Path(temporary).unlink(missing_ok=True)


def _full_disk(path: str, needed_bytes: int) -> str:
    """What to say when the disk is full; empty when it is not. The library does not hand on the system's reason."""
    free_bytes = shutil.disk_usage(Path(path).parent).free
    return f"{os.strerror(errno.ENOSPC)} ({free_bytes // 1024} KiB free)" if free_bytes < needed_bytes else ""


def _extension(file_type: str) -> str:
    return next((extension for extension, kind in EXTENSIONS.items() if kind == file_type), file_type)


def _spec(box: Box, image: Image, channels: Sequence[str], kind: str) -> Any:
    import OpenImageIO

    spec = OpenImageIO.ImageSpec(box.width, box.height, len(channels), kind)
    spec.channelnames = tuple(channels)
    spec.x, spec.y = box.x, image.format.height - box.top
    spec.full_x = spec.full_y = 0
    spec.full_width, spec.full_height = image.format.width, image.format.height
    spec["DateTime"] = _NO_DATE
    if image.format.aspect != 1:
        spec["PixelAspectRatio"] = float(image.format.aspect)
    return spec


def _exr(images: Mapping[str, Image], names: Sequence[str], options: WriteOptions) -> tuple[Any, np.ndarray]:
    import OpenImageIO

    first = next(iter(images.values()))
    box = _not_empty(common_box(images.values()), first)
    plain = [layers.to_file(name) for name in names]
    channels: list[str] = []
    for index, view in enumerate(images):
        channels += [_with_view(name, view, default=index == 0) for name in plain] if len(images) > 1 else plain
    half = "32" not in options.datatype
    planes = [plane for image in images.values() for plane in _encoded(image.fitted(box), names, options)]
    spec = _spec(box, first, channels, "half" if half else "float")
    spec["compression"] = exr_compression(options.compression or "zip1") or "zips"
    if len(images) > 1:
        spec.attribute("multiView", OpenImageIO.TypeDesc(f"string[{len(images)}]"), tuple(images))
    pixels = np.empty((box.height, box.width, len(planes)), np.float16 if half else np.float32)
    for index, plane in enumerate(planes):
        pixels[:, :, index] = plane
    return spec, pixels


def _display_file(images: Mapping[str, Image], names: Sequence[str], options: WriteOptions) -> tuple[Any, np.ndarray]:
    image = next(iter(images.values()))
    image = image.fitted(image.format.box)
    has_alpha = ALPHA in names and options.file_type in ("png", "tiff", "dpx")
    wanted = (*COLOUR, ALPHA) if has_alpha else COLOUR
    missing = all(name not in names for name in COLOUR)
    source = Image(dict.fromkeys(COLOUR, image.plane(names[0])), image.box, image.format) if missing else image
    pixels = np.stack(list(_encoded(source, wanted, options)), axis=-1)
    kind = _datatype(options)
    spec = _spec(image.box, image, ("R", "G", "B", "A")[: len(wanted)], kind)
    if options.file_type == "jpeg":
        spec["Compression"] = f"jpeg:{round(max(0.0, min(1.0, options.quality)) * 100)}"
    elif options.file_type == "tiff":
        spec["compression"] = _TIFF_COMPRESSION.get(options.compression.lower(), "zip")
    # Straight alpha in the file means what was computed is what is stored.
    spec["oiio:UnassociatedAlpha"] = 1
    if kind == "float":
        return spec, pixels
    most = 255 if kind == "uint8" else 65535
    scaled = np.rint(np.clip(np.nan_to_num(pixels, nan=0.0), 0, 1) * np.float32(most))
    return spec, scaled.astype(np.uint8 if most == 255 else np.uint16)


def _forget_names(path: str) -> None:
    """A DPX header carries the path and the program that wrote it."""
    begin, end = _DPX_NAMES
    with Path(path).open("r+b") as file:
        file.seek(begin)
        file.write(bytes(end - begin))


def _datatype(options: WriteOptions) -> str:
    if options.file_type == "jpeg":
        return "uint8"
    if options.file_type == "tiff" and "32" in options.datatype:
        return "float"
    wide = "16" in options.datatype or (options.file_type == "dpx" and "8" not in options.datatype)
    return "uint16" if wide else "uint8"


def _encoded(image: Image, names: Sequence[str], options: WriteOptions) -> list[Plane]:
    curve = options.transfer
    alpha = image.plane(ALPHA) if options.premultiplied else None
    planes = []
    for name in names:
        plane = image.plane(name)
        if curve is not None and name in COLOUR:
            if alpha is not None:
                plane = np.divide(plane, alpha, out=np.array(plane), where=alpha > 0)
            plane = curve.encode(plane)
            plane = plane if alpha is None else np.where(alpha > 0, plane * alpha, plane)
        planes.append(plane)
    return planes


def _not_empty(box: Box, image: Image) -> Box:
    """An EXR has at least one pixel."""
    return Box(0, image.format.height - 1, 1, image.format.height) if box.is_empty else box


def _with_view(name: str, view: str, *, default: bool) -> str:
    """OpenEXR's multi-view names; only a channel without a layer may leave the default view unsaid."""
    prefix, _, last = name.rpartition(".")
    if prefix:
        return f"{prefix}.{view}.{last}"
    return name if default else f"{view}.{name}"


def check_folder(path: str, *, create: bool) -> None:
    """Make sure that the file's folder is there. Raises RenderError: Nuke makes none unless it is told to."""
    folder = Path(path).parent
    if folder.is_dir():
        return
    if not create:
        raise RenderError(f"{path} cannot be written: the folder {folder} is missing (create_directories is off).")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RenderError(f"{path} cannot be written: {folder} cannot be made: {error.strerror or error}") from None
