"""Wavefront models: the materials that an .obj names, and the textures that those name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jit_render.script.companions.found import Link, Look

_MATERIALS = re.compile(rb"^[ \t]*mtllib[ \t]+(.+?)[ \t\r]*$", re.MULTILINE)
_TEXTURE = re.compile(r"^[ \t]*(?:map_\w+|bump|disp|decal|refl|norm)[ \t]+(.+?)[ \t\r]*$", re.MULTILINE | re.IGNORECASE)
# The options before a texture's name, with as many values as each takes.
_OPTION = re.compile(
    r"-(?:(?:o|s|t)(?:[ \t]+-?[\d.]+){1,3}|mm[ \t]+\S+[ \t]+\S+|(?:bm|boost|texres)[ \t]+\S+"
    r"|(?:blendu|blendv|cc|clamp|imfchan|type)[ \t]+\S+)[ \t]+"
)


def of_obj(look: Look) -> Iterator[Link]:
    """Materials stand in a file of their own, or in several; a name with a space in it is one file."""
    why = f"{look.base} names it; not every node that reads geometry opens it."
    for line in _MATERIALS.findall(look.data):
        text = line.decode("utf-8", errors="replace")
        names = text.split() if text.lower().count(".mtl") > 1 else [text]
        for name in names:
            yield Link(look.beside(name.strip('"')), "mtl", why)


def of_mtl(look: Look) -> Iterator[Link]:
    why = f"{look.base} names it; not every node that reads geometry opens it."
    for line in _TEXTURE.findall(look.text):
        name = line
        while (option := _OPTION.match(name)) is not None:
            name = name[option.end() :]
        yield Link(look.beside(name.strip('"')), "mtl", why)
