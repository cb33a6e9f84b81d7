"""Read and Write."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from jit_render.model.errors import RenderError, UnsupportedNode
from jit_render.render.standin import writer
from jit_render.render.standin.call import Call, describe
from jit_render.render.standin.image import ALPHA, COLOUR, Format, Image, flat, parse_format
from jit_render.render.standin.nodes.draw import checker_board
from jit_render.render.standin.transfer import LINEAR, SRGB, Transfer, transfer

_ON_ERROR = ("error", "black", "checkerboard", "nearest frame")
_FRAME = re.compile(r"#+|%0?\d*d")


def read(call: Call) -> Image:
    """Read: the file of this frame and view; `on_error` says what to show for one that cannot be read."""
    frame = call.read_frame()
    if frame is None:
        return Image.black(_format(call), COLOUR)
    path = call.engine.file(call.node, "file", frame, call.view)
    if not path:
        raise call.failed("it has no file.")
    try:
        return _read(call, path)
    except (OSError, RenderError) as error:
        return _instead(call, path, frame, error)


def check_read(call: Call) -> None:
    _transfer(call)
    call.choice("on_error", _ON_ERROR, "error")


def check_write(call: Call) -> None:
    if call.boolean("reading"):
        check_read(call)
    elif name := call.engine.names.written(call.node, "file", call.frame, call.view):
        write_options(call, name)


def _read(call: Call, path: str) -> Image:
    image = call.engine.decode(
        path, call.view, transfer=_transfer(call), premultiplied=call.boolean("premultiplied")
    )
    if call.boolean("auto_alpha") and ALPHA not in image.planes:
        image = image.having({ALPHA: flat(1.0, image.box)})
    return image


def _transfer(call: Call) -> Transfer | None:
    """None lets the file's type decide."""
    if call.boolean("raw"):
        return LINEAR
    name = call.string("colorspace", "default").strip()
    return None if name in ("", "default", "0") else curve(call, name)


def curve(call: Call, name: str) -> Transfer:
    """Raises UnsupportedNode for a colour space that is no simple curve."""
    known = transfer(name)
    if known is None:
        raise UnsupportedNode(
            f"{describe(call.node)}: the stand-in does not know the colorspace {name!r}; "
            "read it raw and convert it with an OCIOColorSpace."
        )
    return known


def _format(call: Call) -> Format:
    return parse_format(call.string("format")) or call.engine.format


def _instead(call: Call, path: str, frame: int, error: OSError | RenderError) -> Image:
    kind = call.choice("on_error", _ON_ERROR, "error")
    if kind == "black":
        return Image.black(_format(call), COLOUR)
    if kind == "checkerboard":
        return checker_board(call)
    if kind == "nearest frame":
        found = _nearest(call, path, frame)
        if found:
            return _read(call, found)
    if isinstance(error, FileNotFoundError):
        raise call.failed(f"{path} is missing{_why_not_mapped(call, path, frame)}.") from None
    reason = error if isinstance(error, RenderError) else f"{path} cannot be read: {error.strerror or error}"
    raise call.failed(str(reason)) from None


def _why_not_mapped(call: Call, path: str, frame: int) -> str:
    """A name that no filename filter has changed lies on this machine's own disk, or nowhere."""
    names = call.engine.names
    untouched = names.are_filtered and names.concrete(call.node, "file", frame, call.view) == path
    return " on this machine, and no [[paths]] rule maps it to a bucket; add one, or put it there" if untouched else ""


def _nearest(call: Call, path: str, frame: int) -> str | None:
    """The sibling whose frame is nearest, the earlier of two: what is in the file's folder now."""
    written = Path(call.engine.names.written(call.node, "file", call.frame, call.view)).name
    parts = _FRAME.split(written.replace("%V", call.view).replace("%v", call.view[:1]))
    if len(parts) != 2:
        return None
    head, tail = parts
    folder = Path(path).parent
    frames: list[tuple[int, int, str]] = []
    for name in _listed(folder):
        middle = name[len(head) : len(name) - len(tail)] if name.startswith(head) and name.endswith(tail) else ""
        if middle.lstrip("-").isdigit():
            frames.append((abs(int(middle) - frame), int(middle), str(folder / name)))
    return min(frames)[2] if frames else None


def _listed(folder: Path) -> Iterable[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return ()


def write(call: Call) -> Image:
    """A Write on the way to another hands its input on; with `reading` it shows the file it once wrote."""
    return read(call) if call.boolean("reading") else call.source()


def write_options(call: Call, path: str) -> writer.WriteOptions:
    """The Write's knobs. Raises UnsupportedNode for what cannot be written."""
    file_type = file_type_of(call, path)
    knob = f"_{file_type}_quality" if f"_{file_type}_quality" in call.node.knobs else "_jpeg_quality"
    compression = call.string("compression", "")
    if file_type == "exr" and compression and writer.exr_compression(compression) is None:
        raise UnsupportedNode(f"{describe(call.node)}: the stand-in does not do the compression {compression!r}.")
    return writer.WriteOptions(
        file_type,
        datatype=call.string("datatype", ""),
        compression=compression,
        quality=call.number(knob, 0.75),
        transfer=_write_transfer(call, file_type),
        premultiplied=call.boolean("premultiplied"),
    )


def file_type_of(call: Call, path: str) -> str:
    """By the knob, else by the name's extension. Raises UnsupportedNode for a type that cannot be written."""
    named = call.string("file_type", "").strip().lower() if "file_type" in call.node.knobs else ""
    suffix = Path(path).suffix.lstrip(".").lower()
    file_type = {"jpg": "jpeg", "tif": "tiff"}.get(named, named) or writer.EXTENSIONS.get(suffix, suffix)
    if file_type not in writer.EXTENSIONS.values():
        kinds = ", ".join(sorted(set(writer.EXTENSIONS.values())))
        asked = file_type or "files without a type"
        raise UnsupportedNode(f"{describe(call.node)}: the stand-in does not write {asked}; it writes {kinds}.")
    return file_type


def _write_transfer(call: Call, file_type: str) -> Transfer | None:
    if call.boolean("raw"):
        return None
    name = call.string("colorspace", "default").strip()
    if name not in ("", "default", "0"):
        return curve(call, name)
    if file_type == "exr" or "32" in call.string("datatype", ""):
        return None
    return transfer("cineon") if file_type == "dpx" else SRGB
