"""Which frames of its inputs a node needs: the one place that knows, for rendering and for listing files alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from jit_render.render.standin.call import Call, Evaluates, Frame
from jit_render.script import Node


@dataclass(frozen=True, slots=True)
class Pull:
    """One picture wanted of one input, and its share in the result."""

    pipe: int
    frame: Frame
    share: float = 1.0


def whole(frame: float) -> Frame:
    """An int where the frame is whole."""
    return int(frame) if float(frame).is_integer() else float(frame)


def nearest(frame: float) -> int:
    """The whole frame that stands for a moment; halves go up."""
    return math.floor(frame + 0.5)


def frame_hold(call: Call) -> Frame:
    knob = "firstFrame" if "firstFrame" in call.node.knobs else "first_frame"
    first, increment = call.number(knob, 0.0), round(call.number("increment", 0.0))
    if increment <= 0:
        return whole(first)
    return whole(first + math.floor((call.frame - first) / increment) * increment)


def time_offset(call: Call) -> Frame:
    frame = call.frame - call.number("time_offset", 0.0)
    if call.boolean("reverse_input"):
        first, last = frame_range(call, call.node.pipe_inputs[:1])
        frame = first + last - frame
    return whole(frame)


def retime(call: Call) -> Frame | None:
    """The input's frame; None where it is black."""
    in_first, in_last = _input_span(call)
    speed = call.number("speed", 1.0)
    begin = call.number("output.first", in_first)
    if {"output.first", "output.last"} <= call.node.knobs.keys() and "speed" not in call.node.knobs:
        length = call.number("output.last") - begin
        speed = (in_last - in_first) / length if length else 1.0
    moved = (call.frame - begin) * speed
    frame = in_last - moved if call.boolean("reverse") else in_first + moved
    modes = ("hold", "loop", "bounce", "black", "continue")
    edge = "before" if frame < in_first else "after"
    placed = within(frame, in_first, in_last, call.choice(edge, modes, "hold"))
    return None if placed is None else nearest(placed)


def _input_span(call: Call) -> tuple[float, float]:
    first, last = frame_range(call, call.node.pipe_inputs[:1])
    return call.number("input.first", first), call.number("input.last", last)


def within(frame: float, first: float, last: float, mode: str) -> float | None:
    """`frame` brought between `first` and `last` as a clip's `before` and `after` knobs say; None is black."""
    if first <= frame <= last or mode == "continue":
        return frame
    if mode == "black":
        return None
    if mode == "loop":
        return first + (frame - first) % (last - first + 1)
    if mode == "bounce":
        span = last - first
        place = (frame - first) % (2 * span) if span else 0
        return first + (place if place <= span else 2 * span - place)
    return min(max(frame, first), last)


def frame_blend(call: Call) -> list[Pull]:
    """FrameBlend: the frame and those before it, or `startframe` to `endframe`, in equal shares."""
    if call.boolean("userange"):
        first, last = round(call.number("startframe", 1.0)), round(call.number("endframe", 1.0))
        frames: list[Frame] = list(range(first, last + 1))
    else:
        count = max(1, round(call.number("numframes", 5.0)))
        frames = [whole(call.frame - count + 1 + index) for index in range(count)]
    frames = frames or [call.frame]
    return [Pull(0, frame, 1 / len(frames)) for frame in frames]


def time_blur(call: Call) -> list[Pull]:
    """TimeBlur: moments across the shutter."""
    count = max(1, round(call.number("divisions", 10.0)))
    shutter = call.number("shutter", 0.5)
    kind = call.choice("shutteroffset", ("centred", "start", "end", "custom"), "start")
    offset = {"centred": -shutter / 2, "start": 0.0, "end": -shutter}.get(kind)
    begin = call.frame + (call.number("shuttercustomoffset") if offset is None else offset)
    return [Pull(0, whole(begin + shutter * index / count), 1 / count) for index in range(count)]


def append_clip(call: Call) -> list[Pull]:
    """AppendClip: one input after the other from `firstFrame` on, `dissolve` frames shared by neighbours."""
    overlap = max(0.0, call.number("dissolve", 0.0))
    spans = [frame_range(call, (node,)) for node in call.node.pipe_inputs]
    begin = call.number("firstFrame", 1.0)
    starts: list[float] = []
    for first, last in spans:
        starts.append(begin)
        begin += last - first + 1 - overlap
    pulls: list[Pull] = []
    for pipe, ((first, last), start) in enumerate(zip(spans, starts, strict=True)):
        end = start + last - first
        is_last = pipe == len(spans) - 1
        if (start <= call.frame or pipe == 0) and (call.frame <= end or is_last):
            place = min(max(first + call.frame - start, first), last)
            pulls.append(Pull(pipe, whole(place)))
    if len(pulls) == 2 and overlap:
        share = (call.frame - starts[pulls[1].pipe] + 1) / (overlap + 1)
        pulls = [Pull(pulls[0].pipe, pulls[0].frame, 1 - share), Pull(pulls[1].pipe, pulls[1].frame, share)]
    return pulls[:2]


def frame_range(call: Call, nodes: tuple[Node | None, ...]) -> tuple[int, int]:
    """First and last frame of what comes from `nodes`; the script's own range where nothing says."""
    spans = [span for node in nodes if node is not None and (span := _span(call, node)) is not None]
    if spans:
        return min(first for first, _ in spans), max(last for _, last in spans)
    number = partial(call.engine.evaluator.number, call.engine.root, frame=call.frame, view=call.view)
    return round(number("first_frame", default=1.0)), round(number("last_frame", default=100.0))


def _span(call: Call, node: Node) -> tuple[int, int] | None:
    own = Call(call.engine, node, call.frame, call.view)
    if node.cls == "Read":
        return read_range(own)
    if node.cls in ("Constant", "CheckerBoard2") and "last" in node.knobs:
        return round(own.number("first", 1.0)), round(own.number("last", 1.0))
    if node.cls == "Retime" and {"output.first", "output.last"} <= node.knobs.keys():
        return round(own.number("output.first")), round(own.number("output.last"))
    sources = node.inputs
    if node.cls == "Input":
        sources = (node.source,)
    elif node.is_group:
        sources = (node.output,)
    spans = [span for source in sources if source is not None and (span := _span(call, source)) is not None]
    if not spans:
        return None
    if node.cls == "AppendClip":
        length = sum(last - first + 1 for first, last in spans)
        length -= round(own.number("dissolve", 0.0)) * (len(spans) - 1)
        first = round(own.number("firstFrame", 1.0))
        return first, first + length - 1
    first, last = min(one for one, _ in spans), max(one for _, one in spans)
    shift = round(own.number("time_offset", 0.0)) if node.cls == "TimeOffset" else 0
    return first + shift, last + shift


def read_range(call: Call) -> tuple[int, int] | None:
    """A Read's frames on the timeline; None where the script does not say."""
    if "last" not in call.node.knobs and "first" not in call.node.knobs:
        return None
    first, last = round(call.number("first", 1.0)), round(call.number("last", 1.0))
    shift = 0
    mode = call.choice("frame_mode", READ_MODES, "expression")
    if mode != "expression" and call.string("frame").strip():
        value = round(call.number("frame"))
        shift = value - first if mode == "start at" else -value
    return first + shift, last + shift


READ_MODES = ("expression", "start at", "offset")
READ_EDGES = ("hold", "loop", "bounce", "black")


def read_frame(call: Call) -> int | None:
    """The frame of the file that a Read shows; None is black."""
    frame: float = call.frame
    if call.string("frame").strip():
        mode = call.choice("frame_mode", READ_MODES, "expression")
        value = call.number("frame", float(call.frame))
        if mode == "expression":
            frame = value
        else:
            frame = frame + value if mode == "offset" else frame - value + call.number("first", 1.0)
    if "last" in call.node.knobs or "first" in call.node.knobs:
        first, last = call.number("first", 1.0), call.number("last", 1.0)
        edge = "before" if frame < first else "after"
        placed = within(frame, first, last, call.choice(edge, READ_EDGES, "hold"))
        if placed is None:
            return None
        frame = placed
    return nearest(frame)


def _same(call: Call) -> list[Pull]:
    return [Pull(pipe, call.frame) for pipe, node in enumerate(call.node.inputs) if node is not None]


def _one(work: Callable[[Call], Frame | None], call: Call) -> list[Pull]:
    frame = work(call)
    return [] if frame is None else [Pull(0, frame)]


def _contact(call: Call) -> list[Pull]:
    if not call.boolean("splitinputs"):
        return _same(call)
    return [Pull(0, frame) for frame in contact_frames(call)]


def contact_frames(call: Call) -> list[Frame]:
    """The frames of one input that a ContactSheet lays out."""
    return list(range(round(call.number("startframe", 1.0)), round(call.number("endframe", 1.0)) + 1))


_PULLS: dict[str, Callable[[Call], list[Pull]]] = {
    "FrameHold": partial(_one, frame_hold),
    "TimeOffset": partial(_one, time_offset),
    "Retime": partial(_one, retime),
    "FrameBlend": frame_blend,
    "TimeBlur": time_blur,
    "AppendClip": append_clip,
    "ContactSheet": _contact,
}


def pulls(call: Call) -> list[Pull]:
    """What a node may want of its inputs (all of them, masks last) at one frame."""
    return _PULLS.get(call.node.cls, _same)(call)


def is_disabled(evaluator: Evaluates, node: Node, frame: Frame, view: str) -> bool:
    return "disable" in node.knobs and evaluator.boolean(node, "disable", frame=frame, view=view)
