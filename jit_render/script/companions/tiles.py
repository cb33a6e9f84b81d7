"""UDIM tiles: one name with ``<UDIM>`` or ``%(UDIM)d`` in it stands for a file per tile, 1001 to 9999."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from jit_render.model.frames import expand
from jit_render.script.planned import Files, ReadPlan

_TILE = re.compile(r"<UDIM>|%\(UDIM\)d", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"#+|%0?\d*d|%[vV]")


def of_read(read: ReadPlan, files: Files) -> Iterator[ReadPlan]:
    """The tiles of a read that are there, each as a read; none for a name without tiles, or where nothing is there."""
    folder, _, base = read.pattern.rpartition("/")
    if _TILE.search(base) is None or not read.wanted:
        return
    frame = next((one for frames in read.wanted.values() for one in frames), 0)
    listed = files.list(expand(folder, frame, read.views[0]))
    pattern = _as_expression(base)
    tiles = {match["tile"] for name in listed if (match := pattern.fullmatch(name)) is not None}
    for tile in sorted(tiles):
        yield replace(read, pattern=f"{folder}/{_TILE.sub(tile, base)}", origin="udim")


def _as_expression(base: str) -> re.Pattern[str]:
    parts = re.split(r"(<UDIM>|%\(UDIM\)d|#+|%0?\d*d|%[vV])", base, flags=re.IGNORECASE)
    spelled: list[str] = []
    for part in parts:
        if _TILE.fullmatch(part):
            spelled.append("(?P=tile)" if any("P<tile>" in one for one in spelled) else r"(?P<tile>[1-9]\d{3})")
        elif _PLACEHOLDER.fullmatch(part):
            spelled.append(r"-?\d+" if part[-1] not in "vV" else r"\w+")
        else:
            spelled.append(re.escape(part))
    return re.compile("".join(spelled))
