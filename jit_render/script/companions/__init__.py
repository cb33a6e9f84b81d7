"""Files that are read because of other files, past Nuke's file knobs and its filename filter.

Each kind has a small resolver of its own; to add one, write it and name it in a table here:

    OF_SCRIPT   asks the script as a whole: what its colour configuration is, what its plug-in folders hold
    OF_FILE     asks a file that is read, by its suffix: which other files its text names
    tiles       a name for many: all that are there
    fonts       which part of a text node's knob is a file

What a file names is looked into in turn, each file once, so rings do no harm. Which of the named files a render really
opens is for Nuke to say: they are marked as not certain unless their resolver knows better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from jit_render.script.companions import models, ocio, plugins, tiles, usd
from jit_render.script.companions.found import Found, Link, Look
from jit_render.script.planned import ONCE, Files, ReadPlan
from jit_render.script.routes import Untold
from jit_render.script.universe import Universe

MOST_LOOKED_INTO = 200  # files of one knob; a geometry cache of a thousand frames names the same materials in each

OF_SCRIPT: tuple[Callable[[Universe], Iterator[Found]], ...] = (ocio.of_script, plugins.of_script)
OF_FILE: Mapping[str, Callable[[Look], Iterator[Link]]] = {
    ".ocio": ocio.of_config,
    ".obj": models.of_obj,
    ".mtl": models.of_mtl,
    ".usd": usd.of_layer,
    ".usda": usd.of_layer,
}


def with_companions(
    universe: Universe, job: Sequence[int], reads: Sequence[ReadPlan], note: Callable[[Untold], None]
) -> Iterator[ReadPlan]:
    """The reads, and behind each what it brings along; tiles stand in its place."""
    for read in (*reads, *_of_script(universe, job)):
        there = list(tiles.of_read(read, universe.files))
        yield from there or (read,)
        if _suffix(read.pattern) in OF_FILE:
            yield from _linked(universe, read, note)


def _of_script(universe: Universe, job: Sequence[int]) -> Iterator[ReadPlan]:
    every = dict.fromkeys(job, ONCE)
    for resolver in OF_SCRIPT:
        for found in resolver(universe):
            yield ReadPlan(
                node=found.node,
                cls=found.cls,
                knob=found.knob,
                line=found.line,
                pattern=found.name,
                on_error="error",
                views=("",),
                wanted=every,
                certain=not found.why,
                why=found.why,
                origin=found.origin,
            )


def _linked(universe: Universe, read: ReadPlan, note: Callable[[Untold], None]) -> Iterator[ReadPlan]:
    """What the files of one read name, and what those name."""
    readers = _by_name(read)
    if len(readers) > MOST_LOOKED_INTO:
        why = f"{read.node}: only the first {MOST_LOOKED_INTO} of {len(readers)} files were looked into for others."
        note(Untold(why, read.pattern, read.node, read.knob, read.line))
    found: dict[str, tuple[Link, dict[int, tuple[int, ...]]]] = {}
    for name, frames in list(readers.items())[:MOST_LOOKED_INTO]:
        for link in _followed(name, universe.files, universe.environment):
            known = found.setdefault(link.name, (link, {}))
            known[1].update(frames)
    for link, wanted in found.values():
        why = link.why or read.why
        one = replace(read, pattern=link.name, views=("",), wanted=wanted, certain=not why, why=why, origin=link.origin)
        yield from list(tiles.of_read(one, universe.files)) or (one,)


def _by_name(read: ReadPlan) -> dict[str, dict[int, tuple[int, ...]]]:
    """The files of a read, each with the job's frames that read it."""
    names: dict[str, dict[int, tuple[int, ...]]] = {}
    for frame in read.wanted:
        for _, name in read.names(frame):
            names.setdefault(name, {})[frame] = ONCE
    return names


def _followed(name: str, files: Files, environment: Mapping[str, str]) -> Iterator[Link]:
    seen = {name}
    todo = [name]
    while todo:
        here = todo.pop()
        resolver = OF_FILE.get(_suffix(here))
        data = files.read(here) if resolver is not None else None
        if resolver is None or data is None:
            continue
        for link in resolver(Look(here, data, files, environment)):
            if link.name not in seen:
                seen.add(link.name)
                todo.append(link.name)
                yield link


def _suffix(name: str) -> str:
    dot = name.rfind(".")
    return name[dot:].lower() if dot > name.rfind("/") else ""
