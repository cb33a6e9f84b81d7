"""From what is wanted of nodes to the files that they read: names, file frames, and for which of the job's frames."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from jit_render.model.errors import Undecided
from jit_render.model.frames import has_frame, has_view
from jit_render.script.clips import Frame
from jit_render.script.companions.fonts import FONT_KNOBS, font_file, is_machines_own
from jit_render.script.demand import Want, reading
from jit_render.script.evaluate import Evaluator
from jit_render.script.file_knobs import FOLDER_KNOBS, READ_KNOBS, TIMED_READS, WRITE_KNOBS, reads_when_told
from jit_render.script.nodes import Node
from jit_render.script.planned import ReadPlan
from jit_render.script.routes import Part, Place, Untold, answers
from jit_render.script.shown import FileFrames, by_job_frame, file_frames
from jit_render.script.universe import Universe

_TYPE = re.compile(r"[a-z0-9]{2,6}:(?=[/\\.%#\w])(?![/\\]{2})")
_ABSOLUTE = re.compile(r"/|[A-Za-z]:/|[a-z][a-z0-9]+://")
_ON_ERROR = ("error", "black", "checkerboard", "nearest frame")
_ORIGINS = {"Precomp": "script", "LiveGroup": "script", **dict.fromkeys(FONT_KNOBS, "font")}


class Knob(NamedTuple):
    """Reads that belong together: one knob under one name."""

    node: Node
    knob: str
    pattern: str


class Gathered:
    """What is read, gathered want by want."""

    def __init__(self, universe: Universe, frames: Sequence[int], *, proxy: bool) -> None:
        self._universe = universe
        self._job = frames
        self._proxy = proxy
        self._found: dict[Knob, dict[tuple[str, bool], FileFrames]] = {}
        self._doubts: dict[Knob, Untold] = {}
        self._untold: dict[Untold, None] = {}

    @property
    def untold(self) -> tuple[Untold, ...]:
        return tuple(self._untold)

    def note(self, untold: Untold) -> None:
        self._untold.setdefault(untold)

    def add(self, want: Want) -> None:
        """Note what a node reads for this."""
        if want.why is not None:
            self.note(want.why)
        if (inside := self._universe.inside(want.node).why) is not None:
            self.note(inside)
        place = Place(want.node, self._universe.evaluator(want.node), want.view, want.frames)
        for knob, (frames, why) in self._knobs(place):
            self._read(place._replace(frames=frames), knob, want.why or why)

    def plans(self) -> Iterator[ReadPlan]:
        """One for each knob, name and set of frames, in the script's order."""
        for key in sorted(self._found, key=lambda key: self._universe.order(key.node)):
            yield from self._plans_of(key)

    def _knobs(self, place: Place) -> Iterator[tuple[str, Part]]:
        """The knobs that are read, and when."""
        node = place.node
        present = [knob for knob in READ_KNOBS.get(node.cls, ()) if node.knobs.get(knob)]
        if node.cls in FONT_KNOBS:
            for knob in FONT_KNOBS[node.cls]:
                if not is_machines_own(node.knobs.get(knob, "")) and node.knobs.get(knob):
                    yield knob, (place.frames, None)
        elif node.cls in WRITE_KNOBS and "reading" in node.knobs:
            for part in reading(place, on=True):
                yield "file", part
        elif reads_when_told(node) and present:
            for part in self._when_told(place):
                yield "file", part
        elif node.cls in TIMED_READS:
            yield from self._full_or_proxy(place, present)
        else:
            for knob in present:
                if knob in FOLDER_KNOBS:
                    why = f"{self._universe.name(node)}.{knob} names a folder; what is read of it cannot be told."
                    self.note(Untold(why, node.knobs[knob], self._universe.name(node), knob, node.line))
                else:
                    yield knob, (place.frames, None)

    def _full_or_proxy(self, place: Place, present: Sequence[str]) -> Iterator[tuple[str, Part]]:
        if not self._proxy or "proxy" not in present:
            yield "file", (place.frames, None)
            return
        name = self._universe.name(place.node)
        why = f"{name}: in proxy mode Nuke takes the full-size file where the proxy is too small; both are named."
        yield "proxy", (place.frames, None)
        yield "file", (place.frames, Untold(why, "", name, "proxy", place.node.line))

    def _when_told(self, place: Place) -> Iterator[Part]:
        node, view = place.node, place.view
        if "read_from_file" not in node.knobs:
            why = f"{self._universe.name(node)} names a file but does not say that it reads it."
            yield place.frames, Untold(why, node.knobs["file"], self._universe.name(node), "file", node.line)
            return
        told = answers(place, lambda ev, frame: ev.boolean(node, "read_from_file", frame=frame, view=view))
        for shown, frames in told:
            if isinstance(shown, Untold) or shown:
                yield frames, shown if isinstance(shown, Untold) else None

    def _read(self, place: Place, knob: str, why: Untold | None) -> None:
        node, view = place.node, place.view

        def ask(evaluator: Evaluator, frame: Frame) -> str:
            if node.cls in FONT_KNOBS:
                return font_file(evaluator.string(node, knob, frame=frame, view=view))
            return evaluator.path(node, knob, frame=frame, view=view).strip()

        for name, frames in answers(place, ask):
            if isinstance(name, Untold):
                self.note(name)
            elif name:
                self._named(place._replace(frames=frames), knob, name, why)

    def _named(self, place: Place, knob: str, name: str, why: Untold | None) -> None:
        pattern = name[match.end() :] if (match := _TYPE.match(name)) is not None else name
        node = place.node
        if _ABSOLUTE.match(pattern) is None:
            text = f"{self._universe.name(node)}.{knob} {name!r} is relative and the script has no project directory."
            self.note(Untold(text, name, self._universe.name(node), knob, node.line))
            return
        key = Knob(node, knob, pattern)
        view = place.view if has_view(pattern) else ""
        for shown, doubt in file_frames(place, self._job, numbered=has_frame(pattern)):
            untold = why or doubt
            if untold is not None:
                self.note(untold)
                self._doubts.setdefault(key, untold)
            found = self._found.setdefault(key, {}).setdefault((view, untold is None), {})
            for frame, mask in shown.items():
                found[frame] = found.get(frame, 0) | mask

    def _plans_of(self, key: Knob) -> Iterator[ReadPlan]:
        """Views that read the same frames share a plan; what is doubtful stands apart, where it adds anything."""
        found = self._found[key]
        together: dict[tuple[bool, tuple[tuple[int, tuple[int, ...]], ...]], list[str]] = {}
        for (view, is_certain), frames in found.items():
            certain = {} if is_certain else found.get((view, True), {})
            if any(mask & ~certain.get(frame, 0) for frame, mask in frames.items()):
                together.setdefault((is_certain, tuple(by_job_frame(frames, self._job).items())), []).append(view)
        node, universe = key.node, self._universe
        for (is_certain, wanted), views in together.items():
            yield ReadPlan(
                node=universe.name(node),
                cls=node.cls,
                knob=key.knob,
                line=node.line,
                pattern=key.pattern,
                on_error=self._on_error(node),
                views=tuple(sorted(views, key=_order_of(universe.main.views))),
                wanted=dict(wanted),
                certain=is_certain,
                why="" if is_certain else self._doubts[key].why,
                origin=_ORIGINS.get(node.cls, "node"),
            )

    def _on_error(self, node: Node) -> str:
        evaluator = self._universe.evaluator(node)
        try:
            return evaluator.choice(node, "on_error", _ON_ERROR, frame=self._job[0], view=evaluator.views[0])
        except Undecided:
            return "error"


def _order_of(views: Sequence[str]) -> Callable[[str], int]:
    return lambda view: views.index(view) if view in views else -1
