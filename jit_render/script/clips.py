"""A clip's own time: which frame of its file a Read shows, and from where to where a picture goes on.

`reverse_input`, Retime and AppendClip hang on the range of what comes in; `frame_range` finds it upstream, without
recursion, for graphs may be thousands of nodes deep.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from jit_render.script.evaluate import Evaluator
from jit_render.script.nodes import Node

Frame = int | float
"""A whole frame is an int."""

READ_MODES = ("expression", "start at", "offset")
EDGES = ("hold", "loop", "bounce", "black", "continue")


class Moment(NamedTuple):
    """A node at one frame, as one view sees it."""

    node: Node
    evaluator: Evaluator
    frame: Frame
    view: str

    def number(self, knob: str, default: float = 0.0) -> float:
        return self.evaluator.number(self.node, knob, frame=self.frame, view=self.view, default=default)

    def whole(self, knob: str, default: float = 0.0) -> int:
        return round(self.number(knob, default))

    def boolean(self, knob: str) -> bool:
        return self.evaluator.boolean(self.node, knob, frame=self.frame, view=self.view)

    def choice(self, knob: str, names: Sequence[str], default: str = "") -> str:
        return self.evaluator.choice(self.node, knob, names, frame=self.frame, view=self.view, default=default)

    def text(self, knob: str) -> str:
        return self.evaluator.string(self.node, knob, frame=self.frame, view=self.view).strip()


def is_disabled(node: Node, evaluator: Evaluator, frame: Frame, view: str) -> bool:
    """Whether a node hands on its first input untouched at that moment. Raises Undecided."""
    return "disable" in node.knobs and evaluator.boolean(node, "disable", frame=frame, view=view)


def read_frame(node: Node, evaluator: Evaluator, frame: Frame, view: str) -> int | None:
    """The frame of its file that a Read shows; None is black. Raises Undecided."""
    read = Moment(node, evaluator, frame, view)
    asked: float = frame
    if node.knobs.get("frame", "").strip():
        mode = read.choice("frame_mode", READ_MODES)
        value = _frame_knob(read)
        if mode == "expression":
            asked = value
        else:
            asked = frame + value if mode == "offset" else frame - value + read.number("first", 1.0)
    if "first" in node.knobs or "last" in node.knobs:
        shown = placed(read, asked, read.number("first", 1.0), read.number("last", 1.0))
        return None if shown is None else nearest(shown)
    return nearest(asked)


def steady_read(node: Node, evaluator: Evaluator, view: str) -> tuple[float, float, float] | None:
    """From which frame to which a Read shows the frame it is asked for plus a shift, and that shift.

    None where it is not as simple. Raises Undecided.
    """
    watched = evaluator.watched()
    read = Moment(node, watched, 0, view)
    shift = 0.0
    if node.knobs.get("frame", "").strip():
        mode = read.choice("frame_mode", READ_MODES)
        if mode == "expression":
            return None
        value = _frame_knob(read)
        shift = value if mode == "offset" else read.number("first", 1.0) - value
    first, last = -math.inf, math.inf
    if "first" in node.knobs or "last" in node.knobs:
        first, last = read.number("first", 1.0), read.number("last", 1.0)
    return None if watched.saw_frame else (first - shift, last - shift, shift)


def read_range(node: Node, evaluator: Evaluator, frame: Frame, view: str) -> tuple[int, int] | None:
    """A Read's first and last frame on the timeline; None where the script does not say. Raises Undecided."""
    if "first" not in node.knobs and "last" not in node.knobs:
        return None
    read = Moment(node, evaluator, frame, view)
    first, last = read.whole("first", 1.0), read.whole("last", 1.0)
    mode = read.choice("frame_mode", READ_MODES)
    if mode == "expression" or not node.knobs.get("frame", "").strip():
        return first, last
    value = round(_frame_knob(read))
    shift = value - first if mode == "start at" else -value
    return first + shift, last + shift


def frame_range(nodes: Sequence[Node | None], evaluator: Evaluator, frame: Frame, view: str) -> tuple[int, int]:
    """First and last frame of what comes from `nodes`; the script's own where nothing says. Raises Undecided."""
    known: dict[Node, tuple[int, int] | None] = {}
    still = evaluator.still_ranges
    todo = [(node, False) for node in nodes if node is not None]
    while todo:
        node, sources_known = todo.pop()
        if node in known:
            continue
        if (node, view) in still:
            known[node] = still[node, view]
            continue
        sources = [source for source in _sources(node) if source is not None]
        if sources_known:
            watched = evaluator.watched()
            moment = Moment(node, watched, frame, view)
            known[node] = _range_of(moment, [span for source in sources if (span := known[source]) is not None])
            if not watched.saw_frame and all((source, view) in still for source in sources):
                still[node, view] = known[node]
            evaluator.saw(watched)
        else:
            todo.append((node, True))
            todo.extend((source, False) for source in sources if source not in known)
    spans = [span for node in nodes if node is not None and (span := known[node]) is not None]
    if spans:
        return min(first for first, _ in spans), max(last for _, last in spans)
    return root_range(evaluator, frame, view)


def root_range(evaluator: Evaluator, frame: Frame, view: str) -> tuple[int, int]:
    """The script's own first and last frame. Raises Undecided."""
    root = Moment(evaluator.script.root, evaluator, frame, view)
    return root.whole("first_frame", 1.0), root.whole("last_frame", 100.0)


def whole(frame: float) -> Frame:
    """An int where the frame is whole."""
    return int(frame) if float(frame).is_integer() else float(frame)


def nearest(frame: float) -> int:
    """The whole frame that stands for a moment; halves go up."""
    return math.floor(frame + 0.5)


def within(frame: float, first: float, last: float, mode: str) -> float | None:
    """`frame` brought between `first` and `last` as a clip's `before` and `after` say; None is black."""
    if first <= frame <= last or mode == "continue":
        return frame
    if mode == "black":
        return None
    if mode == "loop" and last >= first:
        return first + (frame - first) % (last - first + 1)
    if mode == "bounce" and last > first:
        place = (frame - first) % (2 * (last - first))
        return first + min(place, 2 * (last - first) - place)
    return min(max(frame, first), last)


def placed(moment: Moment, frame: float, first: float, last: float) -> float | None:
    mode = "hold"
    if not first <= frame <= last:
        mode = moment.choice("before" if frame < first else "after", EDGES)
    return within(frame, first, last, mode)


def _frame_knob(read: Moment) -> float:
    """The value of a Read's `frame`: a number, or an expression that stands there as text."""
    raw = read.evaluator.raw(read.node, "frame", read.view) or ""
    if raw.startswith("{") or "[" in raw:
        return read.number("frame")
    return read.evaluator.expression(read.node, raw, frame=read.frame, view=read.view)


def _sources(node: Node) -> tuple[Node | None, ...]:
    if node.cls in {"Read", "DeepRead"}:
        return ()
    if node.cls == "Input":
        return (node.source,)
    return (node.output,) if node.is_group else node.inputs


def _range_of(moment: Moment, spans: list[tuple[int, int]]) -> tuple[int, int] | None:
    """The range of one node, those of its sources being known."""
    node = moment.node
    if node.cls in {"Read", "DeepRead"}:
        return read_range(node, moment.evaluator, moment.frame, moment.view)
    if is_disabled(node, moment.evaluator, moment.frame, moment.view):
        return spans[0] if spans else None
    if node.cls in {"Constant", "CheckerBoard2"} and "last" in node.knobs:
        return moment.whole("first", 1.0), moment.whole("last", 1.0)
    if node.cls == "Retime" and {"output.first", "output.last"} <= node.knobs.keys():
        return moment.whole("output.first"), moment.whole("output.last")
    if node.cls == "FrameRange" and {"first_frame", "last_frame"} <= node.knobs.keys():
        return moment.whole("first_frame"), moment.whole("last_frame")
    if not spans:
        return None
    if node.cls == "AppendClip":
        length = sum(last - first + 1 for first, last in spans) - moment.whole("dissolve") * (len(spans) - 1)
        begin = moment.whole("firstFrame", 1.0)
        return begin, begin + length - 1
    shift = moment.whole("time_offset") if node.cls == "TimeOffset" else 0
    return min(first for first, _ in spans) + shift, max(last for _, last in spans) + shift
