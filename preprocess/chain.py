"""One camera's frames through a tree of operations, each source decoded once.

Everything is pulled: an output asks for rows of the step it follows, that step asks its parent for the same rows grown
by its halo, and so on up to the decoder. Three things are kept meanwhile:

* *rows*: the last band of each step that several others work on, so that they share it (what stands behind the widest
  margin asks first, the others find their rows inside what it got);
* *held* rows: what an operation that moves pixels has asked for itself (`operations/streaming.py`); the next rows of
  its result take mostly the same ones. Who asks for more than half of the picture at once gets it whole;
* *windows*: whole results, for operations that look at several frames, as long as a frame to come needs them. So a
  frame is decoded once, however many neighbours look at it.

A band may be the whole picture. Where memory is short it is a few rows (`bands`): then only what an operation insists
on having whole (`tileable` is false) and what a temporal operation keeps is ever whole in memory. The rows are the same
bits either way; that is the operations' contract, and a test's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from preprocess.image import Image, Window
from preprocess.operations.port import Context
from preprocess.operations.streaming import Plane, Rows, StreamingOperation
from preprocess.passes import ROOT, Tree
from preprocess.source import SourceFile

OpenSource = Callable[[int], SourceFile | None]
"""The source of a frame of this camera; None where the sequence has no such frame."""
MakeContext = Callable[[int, int], Context]
"""The context of a step (by its place in the tree) on a frame."""


@dataclass
class Chain:
    """`band_rows`: rows of one band; 0: the whole picture at once. Used by one thread."""

    tree: Tree
    open_source: OpenSource
    make_context: MakeContext
    band_rows: int = 0
    _shared: frozenset[int] = field(init=False)
    _ahead: dict[int, int] = field(init=False)
    _sources: dict[int, SourceFile | None] = field(default_factory=dict)
    _whole: dict[tuple[int, int], Image] = field(default_factory=dict)
    _rows: dict[tuple[int, int], Image] = field(default_factory=dict)
    _held: dict[tuple[int, int], Image] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._shared = self.tree.shared_places()
        self._ahead = self.tree.window_places()

    def exists(self, frame: int) -> bool:
        return self.source(frame) is not None

    def window_of(self, place: int, frame: int) -> Window:
        """The data window of what `place` makes of `frame`."""
        return self._plane(place, frame).data

    def _plane(self, place: int, frame: int) -> Plane:
        found = self._whole.get((place, frame))
        if found is None and place == ROOT:
            layout = self._must(frame).layout
            return Plane(layout.data_window, layout.display_window)
        if found is None:
            step = self.tree.steps[place]
            if step.operation.tileable:
                return self._plane(step.parent, frame)
            if isinstance(step.operation, StreamingOperation):
                return step.operation.plane(self._plane(step.parent, frame), self.make_context(place, frame))
            found = self.whole(place, frame)
        return Plane(found.data_window, found.display_window)

    def bands(self, window: Window) -> Iterator[tuple[int, int]]:
        """First row and the row behind the last of each band of `window`."""
        step = self.band_rows or window.height
        for top in range(window.y, window.bottom, step):
            yield top, min(top + step, window.bottom)

    def rows(self, place: int, frame: int, top: int, bottom: int) -> Image:
        """Rows of what `place` makes of `frame`; they lie inside its data window."""
        full = self.window_of(place, frame)
        wanted = Window(full.x, top, full.width, bottom - top)
        found = self._whole.get((place, frame)) or self._rows.get((place, frame))
        if found is None or not found.data_window.covers(wanted):
            found = _cut(self._make(place, frame, wanted), wanted)
            if found.data_window == full and self._is_kept(place):
                self._whole[place, frame] = found
            elif place in self._shared:
                self._rows[place, frame] = found
        return _cut(found, wanted)

    def whole(self, place: int, frame: int) -> Image:
        """All of what `place` makes of `frame`; put together from bands where the picture is worked on in bands."""
        if (place, frame) in self._whole:
            return self._whole[place, frame]
        if place != ROOT and not (self.tree.steps[place].operation.tileable or self._streams(place)):
            made = self._make(place, frame, None)
            self._whole[place, frame] = made
            return made
        window = self.window_of(place, frame)
        if not self.band_rows or self.band_rows >= window.height:
            return self.rows(place, frame, window.y, window.bottom)
        made = self._put_together(place, frame, window)
        if self._is_kept(place):
            self._whole[place, frame] = made
        return made

    def leave(self, frame: int) -> None:
        """`frame` is done, frames go upwards: forget what no later frame needs."""
        for key in [key for key in self._whole if key[1] + self._ahead.get(key[0], 0) <= frame]:
            del self._whole[key]
        self._rows.clear()
        self._held.clear()
        radius = self.tree.radius
        for old in [number for number in self._sources if number + radius <= frame]:
            self._close(old)

    def close(self) -> None:
        self._whole.clear()
        self._rows.clear()
        self._held.clear()
        for frame in list(self._sources):
            self._close(frame)

    def _make(self, place: int, frame: int, wanted: Window | None) -> Image:
        """What `place` makes of `frame`: all of it for None, and for operations that cannot do parts."""
        if place == ROOT:
            assert wanted is not None
            return self._must(frame).rows(wanted.y, wanted.bottom)
        step = self.tree.steps[place]
        operation = step.operation
        context = self.make_context(place, frame)
        if wanted is not None and self._streams(place):
            assert isinstance(operation, StreamingOperation)
            plane = self._plane(step.parent, frame)
            rows = Rows(plane, lambda top, bottom: self._fed(place, frame, top, bottom))
            return operation.make(rows, wanted, context)
        given = {
            offset: self._input(step.parent, frame + offset, wanted if operation.tileable else None, operation.halo)
            for offset in range(-operation.reads, operation.reads + 1)
            if offset == 0 or self.exists(frame + offset)
        }
        return operation.apply_window(given, context) if operation.reads else operation.apply(given[0], context)

    def _input(self, parent: int, frame: int, wanted: Window | None, halo: int) -> Image:
        if wanted is None:
            return self.whole(parent, frame)
        if self._is_kept(parent) and not self.band_rows:
            self.whole(parent, frame)
        full = self.window_of(parent, frame)
        grown = wanted.grown(halo).meeting(full)
        return self.rows(parent, frame, grown.y, grown.bottom)

    def _fed(self, place: int, frame: int, top: int, bottom: int) -> Image:
        """Rows that a streaming operation asks for. They are held, because the next ones are mostly the same."""
        parent = self.tree.steps[place].parent
        held = self._whole.get((parent, frame)) or self._held.get((place, frame))
        full = self.window_of(parent, frame)
        if held is not None and held.data_window.covers(Window(full.x, top, full.width, bottom - top)):
            return held.strip(top, bottom)
        ahead = min(full.bottom, max(bottom, top + self.band_rows))
        if asks_for_most(ahead - top, full.height):
            self._held.pop((place, frame), None)
            made = self._whole[parent, frame] = self.whole(parent, frame)
        else:
            made = self._held[place, frame] = self._grown(
                held, parent, frame, Window(full.x, top, full.width, ahead - top)
            )
        return made.strip(top, bottom)

    def _grown(self, held: Image | None, place: int, frame: int, wanted: Window) -> Image:
        """The rows `wanted`; of what is held, those below the first of them are not made again."""
        if held is None or not held.data_window.y <= wanted.y < held.data_window.bottom:
            return self.rows(place, frame, wanted.y, wanted.bottom)
        below = self.rows(place, frame, held.data_window.bottom, wanted.bottom)
        kept = held.strip(wanted.y, held.data_window.bottom)
        return below.with_pixels(np.concatenate([kept.pixels, below.pixels]), data_window=wanted)

    def _streams(self, place: int) -> bool:
        """Whether the operation asks for its rows itself: where the picture is worked on in bands."""
        operation = self.tree.steps[place].operation
        return bool(self.band_rows) and isinstance(operation, StreamingOperation) and not operation.tileable

    def _put_together(self, place: int, frame: int, window: Window) -> Image:
        pixels = None
        band = None
        for top, bottom in self.bands(window):
            band = self.rows(place, frame, top, bottom)
            if pixels is None:
                pixels = np.empty((window.height, window.width, len(band.channels)), np.float32)
            pixels[top - window.y : bottom - window.y] = band.pixels
        assert band is not None
        assert pixels is not None
        self._rows.pop((place, frame), None)
        return band.with_pixels(pixels, data_window=window)

    def _is_kept(self, place: int) -> bool:
        return place in self._ahead

    def _must(self, frame: int) -> SourceFile:
        found = self.source(frame)
        if found is None:
            raise LookupError(f"frame {frame} has no source")
        return found

    def source(self, frame: int) -> SourceFile | None:
        """The source of `frame`, open; None where there is none. Raises what opening it raises."""
        if frame not in self._sources:
            self._sources[frame] = self.open_source(frame)
        return self._sources[frame]

    def _close(self, frame: int) -> None:
        source = self._sources.pop(frame, None)
        if source is not None:
            source.close()


def asks_for_most(rows: int, height: int) -> bool:
    """Whether one who wants so many rows at once is better off with the whole picture."""
    return 2 * rows > height


def _cut(image: Image, window: Window) -> Image:
    """What an operation with a halo makes is right inside it only."""
    return image if image.data_window == window else image.part(window)
