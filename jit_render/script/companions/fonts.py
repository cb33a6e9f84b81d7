"""Fonts that a text node names as a file.

Text2's knob is family, style, file and face (``{ Impact : Regular : /show/fonts/impact.ttf : 0 }``), Text's a file. A
family without a path is the machine's own font, and so is what `nuke.defaultFontPathname()` gives: nothing to fetch.
"""

from __future__ import annotations

import re

FONT_KNOBS: dict[str, tuple[str, ...]] = {"Text2": ("font_file", "font"), "Text": ("font",)}

_PATH = re.compile(r"/|\\\\|[A-Za-z]:[\\/]")


def font_file(text: str) -> str:
    """The file in a font knob's text, forward slashes; empty where it names none."""
    inner = text.strip().strip("{}").strip()
    named = next((part for part in re.split(r"\s+:\s+", inner) if _PATH.match(part)), "")
    return named.replace("\\", "/")


def is_machines_own(raw: str) -> bool:
    return "defaultFontPathname" in raw
