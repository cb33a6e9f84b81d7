"""Colour spaces and look-up tables; OpenColorIO does the work through OpenImageIO, but for the simple curves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from jit_render.model.errors import UnsupportedNode
from jit_render.render.standin import cube, layers
from jit_render.render.standin.call import Call, blended, describe
from jit_render.render.standin.image import ALPHA, COLOUR, Image
from jit_render.render.standin.transfer import Transfer, transfer

DEFAULT_CONFIG = "ocio://default"


def colorspace(call: Call) -> Image:
    """Colorspace: from one transfer curve to another; primaries stay."""
    image = call.source()
    decode, encode = check_colorspace(call)
    names = [name for name in call.channels(image, "rgb") if name in COLOUR]
    return blended(call, image, {name: encode.encode(decode.decode(image.planes[name])) for name in names})


def check_colorspace(call: Call) -> tuple[Transfer, Transfer]:
    """The curves in and out. Raises UnsupportedNode for one that is not known and for primaries that change."""
    for knob in ("illuminant", "primary"):
        if call.string(f"{knob}_in") != call.string(f"{knob}_out"):
            raise UnsupportedNode(f"{describe(call.node)}: the stand-in does not change {knob}; use an OCIOColorSpace.")
    return _curve(call, "colorspace_in"), _curve(call, "colorspace_out")


def _curve(call: Call, knob: str) -> Transfer:
    name = call.string(knob, "Linear")
    curve = transfer(name)
    if curve is None:
        raise UnsupportedNode(f"{describe(call.node)}: the stand-in does not do {knob} {name!r}.")
    return curve


def ocio_colorspace(call: Call) -> Image:
    """OCIOColorSpace: any conversion of the OCIO configuration."""
    source = call.string("in_colorspace", "scene_linear")
    target = call.string("out_colorspace", "scene_linear")
    config = _config(call)

    def convert(pixels: Any, oiio: Any) -> Any:
        return oiio.ImageBufAlgo.colorconvert(
            pixels, _plain(source), _plain(target), unpremult=False, colorconfig=config
        )

    return _through_ocio(call, convert)


def _plain(name: str) -> str:
    """``scene_linear (ACES - ACEScg)`` → ``scene_linear``: Nuke shows what a role stands for."""
    return name.split(" (", maxsplit=1)[0] if name.endswith(")") and name.split(" (", maxsplit=1)[0].islower() else name


def _config(call: Call) -> str:
    own = call.string("configfile", "") or call.string("custom_config", "")
    if own:
        return own
    root = call.engine.file(call.engine.root, "customOCIOConfigPath", call.frame, call.view)
    return root or os.environ.get("OCIO", "") or DEFAULT_CONFIG


def ocio_file_transform(call: Call) -> Image:
    """OCIOFileTransform: a LUT or transform file of any type OpenColorIO reads."""
    path = _file(call, "file")
    if not path:
        return call.source()
    inverse = call.choice("direction", ("forward", "inverse"), "forward") == "inverse"
    return _through_file(call, path, inverse=inverse)


def check_file_transform(call: Call) -> None:
    """Raises UnsupportedNode for one of several corrections in a file, and for a space of its own to work in."""
    _must_be(call, "cccid", ())
    _must_be(call, "working_space", ("default", "reference", "scene_linear"))


def check_vectorfield(call: Call) -> None:
    """Raises UnsupportedNode for spaces to convert from and to."""
    for knob in ("colorspaceIn", "colorspaceOut"):
        _must_be(call, knob, ("linear", "default"))


def _must_be(call: Call, knob: str, allowed: tuple[str, ...]) -> None:
    value = call.string(knob, "").strip()
    if value and _plain(value).lower() not in allowed:
        raise UnsupportedNode(f"{describe(call.node)}: the stand-in does not do {knob} {value!r}.")


def vectorfield(call: Call) -> Image:
    """Vectorfield: a 3D (or 1D) LUT file."""
    path = _file(call, "vfield_file")
    return _through_file(call, path, inverse=False) if path else call.source()


def _file(call: Call, knob: str) -> str:
    path = call.engine.file(call.node, knob, call.frame, call.view)
    if path and not Path(path).is_file():
        raise call.failed(f"{knob} {path} is missing.")
    return path


def _through_file(call: Call, path: str, *, inverse: bool) -> Image:
    if path.lower().endswith(".cube") and not inverse:
        return _through_cube(call, path)

    def convert(pixels: Any, oiio: Any) -> Any:
        return oiio.ImageBufAlgo.ociofiletransform(
            pixels, path, unpremult=False, inverse=inverse, colorconfig=DEFAULT_CONFIG
        )

    return _through_ocio(call, convert)


def _through_cube(call: Call, path: str) -> Image:
    image = call.source()
    names = call.channels(image, "rgb")
    if image.box.is_empty or not any(name in names for name in COLOUR):
        return image
    alpha = image.planes.get(ALPHA) if _unpremultiplies(call) else None
    planes = [image.plane(name) for name in COLOUR]
    if alpha is not None:
        planes = [np.divide(plane, alpha, out=np.array(plane), where=alpha != 0) for plane in planes]
    done = cube.load(path).apply(planes)
    if alpha is not None:
        done = [np.multiply(plane, alpha, out=plane, where=alpha != 0) for plane in done]
    return blended(call, image, {name: plane for name, plane in zip(COLOUR, done, strict=True) if name in names})


def _through_ocio(call: Call, convert: Any) -> Image:
    import OpenImageIO

    image = call.source()
    names = call.channels(image, "rgb")
    if image.box.is_empty or not any(name in names for name in COLOUR):
        return image
    pixels = image.pixels(COLOUR)
    alpha = image.planes.get(ALPHA) if _unpremultiplies(call) else None
    if alpha is not None:
        np.divide(pixels, alpha[:, :, None], out=pixels, where=alpha[:, :, None] != 0)
    result = convert(OpenImageIO.ImageBuf(pixels), OpenImageIO)
    if result.has_error:
        raise call.failed(" ".join(str(result.geterror()).split()))
    converted = result.get_pixels(OpenImageIO.FLOAT)
    if alpha is not None:
        np.multiply(converted, alpha[:, :, None], out=converted, where=alpha[:, :, None] != 0)
    changed = {name: np.ascontiguousarray(converted[:, :, i]) for i, name in enumerate(COLOUR) if name in names}
    return blended(call, image, changed)


def _unpremultiplies(call: Call) -> bool:
    value = call.string("unpremult", "false").strip()
    return value in ("true", "1") or layers.channel(value) == ALPHA
