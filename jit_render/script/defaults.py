"""What a knob says that a script leaves out.

Nuke writes only what differs from a class's default, so a reference to such a knob needs the default. Only
those that frames and file names hang on are here; any other is undecided rather than guessed.
"""

from __future__ import annotations

from jit_render.script.nodes import Node

_ANY = {
    "disable": "false",
    "label": "",
    "mix": "1",
    "selected": "false",
    "hide_input": "false",
    "xpos": "0",
    "ypos": "0",
}
_READ = {
    "first": "1",
    "last": "1",
    "before": "hold",
    "after": "hold",
    "frame_mode": "expression",
    "frame": "",
    "on_error": "error",
    "proxy": "",
    "file": "",
    "time_offset": "0",
}
_WRITE = {
    "first": "1",
    "last": "1",
    "use_limit": "false",
    "proxy": "",
    "file": "",
    "frame_mode": "expression",
    "frame": "",
}
_BY_CLASS: dict[str, dict[str, str]] = {
    "Root": {
        "first_frame": "1",
        "last_frame": "100",
        "frame": "1",
        "fps": "24",
        "proxy": "false",
        "proxy_scale": "0.5",
        "project_directory": "",
        "lock_range": "false",
        "views": "main #ffffff",
    },
    "Read": _READ,
    "DeepRead": _READ,
    "Write": _WRITE,
    "DeepWrite": _WRITE,
    "Switch": {"which": "0"},
    "Dissolve": {"which": "0"},
    "FrameHold": {"first_frame": "0", "firstFrame": "0", "increment": "0"},
    "TimeOffset": {"time_offset": "0", "reverse_input": "false"},
    "Retime": {"speed": "1", "reverse": "false", "before": "hold", "after": "hold"},
    "TimeWarp": {"lookup": "{frame}"},
    "Input": {"number": "0"},
    "Blur": {"size": "0"},
    "Transform": {"translate": "0 0", "rotate": "0", "scale": "1", "skewX": "0", "skewY": "0"},
    "Multiply": {"value": "1"},
    "Gamma": {"value": "1"},
    "Add": {"value": "0"},
    "Saturation": {"saturation": "1"},
    "ColorCorrect": {"saturation": "1", "contrast": "1", "gamma": "1", "gain": "1", "offset": "0"},
}
# What a knob of a node's own shows before anybody has set it, by the number of its type.
_TEXT_TYPES = frozenset({1, 2, 20, 22, 26, 32, 68})


def default_of(node: Node, knob: str) -> str | None:
    """The raw word that `knob` of `node` has where the script says nothing; None where that is not known."""
    own = node.user_knobs.get(knob) if node.declared else None
    if own is not None:
        return "" if own.type_id in _TEXT_TYPES else "0"
    known = _BY_CLASS.get(node.cls, {}).get(knob)
    return known if known is not None else _ANY.get(knob)
