"""Names of channels: Nuke's ``layer.channel`` inside, OpenEXR's in files, and what a channels knob selects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jit_render.render.standin.image import ALPHA, BLUE, COLOUR, DEPTH, GREEN, RED, RGBA

_LAYERS = {
    "rgb": COLOUR,
    "rgba": RGBA,
    "alpha": (ALPHA,),
    "depth": (DEPTH,),
    "forward": ("forward.u", "forward.v"),
    "backward": ("backward.u", "backward.v"),
    "motion": ("forward.u", "forward.v", "backward.u", "backward.v"),
    "mask": ("mask.a",),
}
_SHORT = {"red": RED, "green": GREEN, "blue": BLUE, "r": RED, "g": GREEN, "b": BLUE, "a": ALPHA, "alpha": ALPHA}
_FROM_FILE = {"R": "red", "G": "green", "B": "blue", "A": "alpha"}
_TO_FILE = {RED: "R", GREEN: "G", BLUE: "B", ALPHA: "A", DEPTH: "Z"}
_PLACES = {"red": 0, "green": 1, "blue": 2, "alpha": 3, "x": 0, "y": 1, "z": 2, "u": 0, "v": 1}


def channel(name: str) -> str:
    """The full name of one channel as a knob spells it: ``red``, ``rgba.red``, ``alpha``, ``depth.Z``; '' for none."""
    name = name.strip().strip("{}").strip()
    if name in ("", "none", "0", "-"):
        return ""
    if "." not in name:
        return _SHORT.get(name, DEPTH if name == "depth" else name)
    layer, _, part = name.rpartition(".")
    if layer in ("rgb", "rgba"):
        return _SHORT.get(part, f"rgba.{part}")
    if layer == "alpha":
        return ALPHA
    return f"{layer}.{_FROM_FILE.get(part, part)}" if layer != "depth" else DEPTH


def layer(name: str, present: Iterable[str] = ()) -> tuple[str, ...]:
    """The channels of a layer: the well-known ones, else those of it that are present."""
    if name in _LAYERS:
        return _LAYERS[name]
    return tuple(one for one in present if one.rpartition(".")[0] == name)


def select(text: str, present: Sequence[str]) -> tuple[str, ...]:
    """The channels a knob like ``rgb``, ``all``, ``{rgba.red -rgba.green depth}`` selects, present or not."""
    chosen: dict[str, None] = {}
    for word in text.replace("{", " ").replace("}", " ").split():
        if word == "all":
            chosen.update(dict.fromkeys(present))
        elif word.startswith("-"):
            for name in _word(word[1:], present):
                chosen.pop(name, None)
        else:
            chosen.update(dict.fromkeys(_word(word, present)))
    return tuple(chosen)


def _word(word: str, present: Sequence[str]) -> tuple[str, ...]:
    if word in ("none", "0", "1", "false", "true"):
        return ()
    members = layer(word, present)
    if members:
        return members
    one = channel(word)
    return (one,) if "." in one else ()


def place(name: str) -> int:
    """Which element of a colour knob belongs to the channel: 0 red, 1 green, 2 blue, 3 alpha."""
    return _PLACES.get(name.rpartition(".")[2], 0)


def from_file(name: str) -> str:
    """The channel that a file's channel `name` (without its view) becomes."""
    prefix, _, part = name.rpartition(".")
    if not prefix:
        if part in ("Z", "z", "depth"):
            return DEPTH
        return f"rgba.{_FROM_FILE[part.upper()]}" if part.upper() in _FROM_FILE else f"other.{part}"
    if prefix in ("rgba", "rgb"):
        return _SHORT.get(part.lower(), f"rgba.{part}")
    return f"{prefix}.{_FROM_FILE.get(part, part)}"


def to_file(name: str) -> str:
    """The name under which a channel stands in an EXR."""
    if name in _TO_FILE:
        return _TO_FILE[name]
    return name.removeprefix("other.")


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Red, green, blue, alpha, then depth, then the rest by name."""
    first = {name: index for index, name in enumerate((*RGBA, DEPTH))}
    return tuple(sorted(names, key=lambda name: (first.get(name, len(first)), name)))
