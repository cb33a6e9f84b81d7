"""Node class → operation. A class that is not here is refused by name before the first frame.

Operations are named, not imported: a script loads the modules of its own nodes only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from jit_render.render.standin.call import Call, Operation

PASSIVE = frozenset({"Dot", "NoOp", "Viewer", "Output", "PostageStamp"})
"""Classes that hand on their input as it is."""

_OPERATIONS = {
    **dict.fromkeys(PASSIVE, "flow.hand_on"),
    "Add": "colour.add",
    "AddChannels": "channels.add_channels",
    "AppendClip": "time.append_clip",
    "Blur": "filters.blur",
    "ChannelMerge": "channels.channel_merge",
    "CheckerBoard2": "draw.checker_board",
    "Clamp": "colour.clamp",
    "ColorBars": "draw.color_bars",
    "ColorCorrect": "colour.color_correct",
    "Colorspace": "lut.colorspace",
    "Constant": "draw.constant",
    "ContactSheet": "draw.contact_sheet",
    "Copy": "channels.copy",
    "CornerPin2D": "transform.corner_pin",
    "Crop": "transform.crop",
    "Defocus": "filters.defocus",
    "Dilate": "filters.dilate",
    "Dissolve": "merge.dissolve",
    "Erode": "filters.erode_blur",
    "FilterErode": "filters.dilate",
    "FrameBlend": "time.frame_blend",
    "FrameHold": "time.routed",
    "Gamma": "colour.gamma",
    "Grade": "colour.grade",
    "Group": "flow.group",
    "Input": "flow.group_input",
    "Invert": "colour.invert",
    "JoinViews": "time.routed",
    "Keymix": "merge.keymix",
    "Median": "filters.median",
    "Merge": "merge.merge",
    "Merge2": "merge.merge",
    "Mirror": "transform.mirror",
    "Mirror2": "transform.mirror",
    "Multiply": "colour.multiply",
    "OCIOColorSpace": "lut.ocio_colorspace",
    "OCIOFileTransform": "lut.ocio_file_transform",
    "OneView": "time.routed",
    "Position": "transform.position",
    "Premult": "colour.premult",
    "Radial": "draw.radial",
    "Ramp": "draw.ramp",
    "Read": "io.read",
    "Rectangle": "draw.rectangle",
    "Reformat": "transform.reformat",
    "Remove": "channels.remove",
    "Retime": "time.routed",
    "Saturation": "colour.saturation",
    "Sharpen": "filters.sharpen",
    "Shuffle": "channels.shuffle",
    "Shuffle2": "channels.shuffle2",
    "Switch": "time.routed",
    "Text2": "text.text",
    "TimeBlur": "time.frame_blend",
    "TimeOffset": "time.routed",
    "Transform": "transform.transform",
    "Unpremult": "colour.unpremult",
    "Vectorfield": "lut.vectorfield",
    "Write": "io.write",
}


_CHECKERS = {
    "ChannelMerge": "channels.check_channel_merge",
    "Colorspace": "lut.check_colorspace",
    "Median": "filters.check_median",
    "Merge": "merge.check_merge",
    "Merge2": "merge.check_merge",
    "OCIOFileTransform": "lut.check_file_transform",
    "Read": "io.check_read",
    "Reformat": "transform.check_reformat",
    "Vectorfield": "lut.check_vectorfield",
    "Write": "io.check_write",
}
"""Class → a look at its knobs that raises UnsupportedNode for a way of working that is not there."""


def is_known(cls: str) -> bool:
    return cls in _OPERATIONS


def classes() -> tuple[str, ...]:
    """Every class that can be rendered."""
    return tuple(sorted(_OPERATIONS))


@cache
def operation(cls: str) -> Operation:
    """The operation of a known class."""
    found: Operation = _loaded(_OPERATIONS[cls])
    return found


def checker(cls: str) -> Callable[[Call], None] | None:
    """What looks at the knobs of a class before the first frame; None for most."""
    found: Callable[[Call], None] | None = _loaded(_CHECKERS[cls]) if cls in _CHECKERS else None
    return found


def _loaded(place: str) -> Any:
    module, _, name = place.partition(".")
    return getattr(import_module(f"jit_render.render.standin.nodes.{module}"), name)
