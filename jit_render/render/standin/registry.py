"""Node class → operation. A class that is not here is refused by name before the first frame.

Operations are named, not imported: a script loads the modules of its own nodes only.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from jit_render.render.standin.call import Operation

PASSIVE = frozenset({"Dot", "NoOp", "Viewer", "Output", "PostageStamp"})
"""Classes that hand on their input as it is."""

NOT_DRAWN = frozenset({"BackdropNode", "StickyNote"})
"""Classes that have no picture; nothing can be downstream of them."""

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
    "FrameHold": "time.frame_hold",
    "Gamma": "colour.gamma",
    "Grade": "colour.grade",
    "Group": "flow.group",
    "Input": "flow.group_input",
    "Invert": "colour.invert",
    "JoinViews": "views.join_views",
    "Keymix": "merge.keymix",
    "Median": "filters.median",
    "Merge": "merge.merge",
    "Merge2": "merge.merge",
    "Mirror": "transform.mirror",
    "Mirror2": "transform.mirror",
    "Multiply": "colour.multiply",
    "OCIOColorSpace": "lut.ocio_colorspace",
    "OCIOFileTransform": "lut.ocio_file_transform",
    "OneView": "views.one_view",
    "Position": "transform.position",
    "Premult": "colour.premult",
    "Radial": "draw.radial",
    "Ramp": "draw.ramp",
    "Read": "io.read",
    "Rectangle": "draw.rectangle",
    "Reformat": "transform.reformat",
    "Remove": "channels.remove",
    "Retime": "time.retime",
    "Saturation": "colour.saturation",
    "Sharpen": "filters.sharpen",
    "Shuffle": "channels.shuffle",
    "Shuffle2": "channels.shuffle2",
    "Switch": "flow.switch",
    "Text2": "text.text",
    "TimeBlur": "time.frame_blend",
    "TimeOffset": "time.time_offset",
    "Transform": "transform.transform",
    "Unpremult": "colour.unpremult",
    "Vectorfield": "lut.vectorfield",
    "Write": "io.write",
}


def is_known(cls: str) -> bool:
    return cls in _OPERATIONS


def classes() -> tuple[str, ...]:
    """Every class that can be rendered."""
    return tuple(sorted(_OPERATIONS))


@cache
def operation(cls: str) -> Operation:
    """The operation of a known class."""
    module, _, name = _OPERATIONS[cls].partition(".")
    found: Operation = getattr(import_module(f"jit_render.render.standin.nodes.{module}"), name)
    return found
