"""Which frames of its inputs a node asks for, and which frame of its file a Read shows.

Rendering and planning both ask here, so that a plan names what a render opens. The mapping is Nuke's for whole
frames: FrameHold, TimeOffset, Retime (without frame blending: the nearest frame), TimeWarp, TimeClip, FrameBlend,
TimeBlur, TimeEcho, TemporalMedian, AppendClip, ContactSheet over time. What chooses inputs and views (Switch, OneView)
is in `choosers`; a disabled node hands on its first input. Nodes whose pictures move between frames by motion (Kronos,
OFlow) read as many neighbours as they like: `Undecided`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from jit_render.model.errors import Undecided
from jit_render.script.choosers import (
    VIEW_MIXERS,
    Pull,
    ask,
    dissolve,
    every_view,
    join_views,
    one_view,
    same,
    switch,
)
from jit_render.script.clips import (
    Frame,
    Moment,
    frame_range,
    is_disabled,
    nearest,
    placed,
    read_frame,
    read_range,
    whole,
)
from jit_render.script.evaluate import Evaluator
from jit_render.script.nodes import Node

__all__ = [
    "Frame",
    "Pull",
    "chooses",
    "enabled_pulls",
    "frame_range",
    "input_frames",
    "is_disabled",
    "pulls",
    "read_frame",
    "read_range",
]

MOST_FRAMES = 10_000  # of one input for one frame; more is a slip of the keyboard


def pulls(node: Node, evaluator: Evaluator, frame: Frame, view: str) -> list[Pull]:
    """All that `node` asks of its connected inputs (masks last) for one picture. Raises Undecided.

    A group asks nothing here: its Output node does, and its Input nodes ask `Node.source` at the same moment.
    """
    if is_disabled(node, evaluator, frame, view) or (node.is_group and node.output is None):
        wanted = [Pull(0, whole(frame), view)]
    elif node.is_group:
        wanted = []
    else:
        return enabled_pulls(node, evaluator, frame, view)
    return _connected(node, wanted)


def enabled_pulls(node: Node, evaluator: Evaluator, frame: Frame, view: str) -> list[Pull]:
    """`pulls` of a node that is no group and that is not disabled. Raises Undecided."""
    return _connected(node, _PULLS.get(node.cls, same)(Moment(node, evaluator, frame, view)))


def chooses(node: Node) -> bool:
    """Whether the node's class asks for anything but the same moment of all its inputs."""
    return node.cls in _PULLS


def _connected(node: Node, wanted: list[Pull]) -> list[Pull]:
    return [pull for pull in wanted if pull.pipe < len(node.inputs) and node.inputs[pull.pipe] is not None]


def input_frames(node: Node, evaluator: Evaluator, input_index: int, frame: Frame, view: str) -> tuple[Frame, ...]:
    """The frames of one input that `node` asks for, each once, in order. Raises Undecided."""
    wanted = pulls(node, evaluator, frame, view)
    return tuple(dict.fromkeys(pull.frame for pull in wanted if pull.pipe == input_index))


def _frame_hold(moment: Moment) -> list[Pull]:
    knob = "firstFrame" if "firstFrame" in moment.node.knobs else "first_frame"
    first, increment = moment.number(knob), moment.whole("increment")
    if increment > 0:
        first += math.floor((moment.frame - first) / increment) * increment
    return [ask(moment, 0, first)]


def _time_offset(moment: Moment) -> list[Pull]:
    frame = moment.frame - moment.number("time_offset")
    if moment.boolean("reverse_input"):
        first, last = frame_range(moment.node.pipe_inputs[:1], *moment[1:])
        frame = first + last - frame
    return [ask(moment, 0, frame)]


def _retime(moment: Moment) -> list[Pull]:
    knobs = moment.node.knobs.keys()
    first, last = frame_range(moment.node.pipe_inputs[:1], *moment[1:])
    in_first, in_last = moment.number("input.first", first), moment.number("input.last", last)
    begin, speed = moment.number("output.first", in_first), moment.number("speed", 1.0)
    if {"output.first", "output.last"} <= knobs and "speed" not in knobs:
        length = moment.number("output.last") - begin
        speed = (in_last - in_first) / length if length else 1.0
    moved = (moment.frame - begin) * speed
    frame = in_last - moved if moment.boolean("reverse") else in_first + moved
    shown = placed(moment, frame, in_first, in_last)
    return [] if shown is None else [ask(moment, 0, nearest(shown))]


def _time_warp(moment: Moment) -> list[Pull]:
    """TimeWarp: the frame that `lookup` says, or where that lies between two, both."""
    frame = moment.number("lookup", moment.frame)
    low = math.floor(frame)
    if frame == low:
        return [ask(moment, 0, low)]
    return [ask(moment, 0, low, low + 1 - frame), ask(moment, 0, low + 1, frame - low)]


def _time_clip(moment: Moment) -> list[Pull]:
    frame = read_frame(*moment)
    return [] if frame is None else [ask(moment, 0, frame)]


def _evenly(moment: Moment, frames: Sequence[float]) -> list[Pull]:
    """Equal shares of several frames of the first input; none at all shows the frame itself."""
    if len(frames) > MOST_FRAMES:
        raise Undecided(
            f"{moment.evaluator.script.name} line {moment.node.line}: {moment.node.full_name} asks for more than "
            f"{MOST_FRAMES:,} frames at once; that is a slip of the keyboard.",
            node=moment.node.full_name,
            line=moment.node.line,
        )
    frames = frames or [moment.frame]
    return [ask(moment, 0, frame, 1 / len(frames)) for frame in frames]


def _blended(moment: Moment, frames: Sequence[float]) -> list[Pull]:
    """As `_evenly`; the channels that are not chosen stay those of the frame itself."""
    own = [ask(moment, 0, moment.frame, 0.0)] if moment.node.knobs.get("channels") else []
    return _evenly(moment, frames) + own


def _frame_blend(moment: Moment) -> list[Pull]:
    """FrameBlend: the frame and those before it, or `startframe` to `endframe`."""
    if moment.boolean("userange"):
        return _blended(moment, range(moment.whole("startframe", 1.0), moment.whole("endframe", 1.0) + 1))
    count = max(1, moment.whole("numframes", 5.0))
    return _blended(moment, [moment.frame - count + 1 + index for index in _bounded(count)])


def _time_blur(moment: Moment) -> list[Pull]:
    """TimeBlur: moments across the shutter."""
    count, shutter = max(1, moment.whole("divisions", 10.0)), moment.number("shutter", 0.5)
    kind = (
        moment.choice("shutteroffset", ("centred", "start", "end", "custom"))
        if "shutteroffset" in moment.node.knobs
        else "start"
    )
    offset = {"centred": -shutter / 2, "start": 0.0, "end": -shutter}.get(kind)
    begin = moment.frame + (moment.number("shuttercustomoffset") if offset is None else offset)
    return _blended(moment, [begin + shutter * index / count for index in _bounded(count)])


def _time_echo(moment: Moment) -> list[Pull]:
    count = max(1, moment.whole("framesbehind", 5.0))
    return _evenly(moment, [moment.frame - index for index in _bounded(count + 1)])


def _neighbours(moment: Moment) -> list[Pull]:
    return _evenly(moment, [moment.frame - 1, moment.frame, moment.frame + 1])


def _contact_sheet(moment: Moment) -> list[Pull]:
    if not moment.boolean("splitinputs"):
        return same(moment)
    frames = range(moment.whole("startframe", 1.0), moment.whole("endframe", 1.0) + 1)
    return _evenly(moment, frames) if frames else []


def _append_clip(moment: Moment) -> list[Pull]:
    """AppendClip: one input after the other from `firstFrame` on, `dissolve` frames shared by neighbours."""
    overlap = max(0.0, moment.number("dissolve"))
    begin = moment.number("firstFrame", 1.0)
    wanted: list[Pull] = []
    last_pipe = len(moment.node.pipe_inputs) - 1
    start_of_second = begin
    for pipe, node in enumerate(moment.node.pipe_inputs):
        first, last = frame_range((node,), *moment[1:])
        end = begin + last - first
        if (begin <= moment.frame or pipe == 0) and (moment.frame <= end or pipe == last_pipe):
            wanted.append(ask(moment, pipe, min(max(first + moment.frame - begin, first), last)))
            start_of_second = begin
        begin += last - first + 1 - overlap
        if len(wanted) == 2:
            break
    if len(wanted) == 2 and overlap:
        share = (moment.frame - start_of_second + 1) / (overlap + 1)
        wanted = [wanted[0]._replace(share=1 - share), wanted[1]._replace(share=share)]
    return wanted


def _across_shutter(moment: Moment) -> list[Pull]:
    """A renderer of geometry with several samples looks at whole frames on both sides of the shutter."""
    if moment.number("samples", 1.0) <= 1:
        return same(moment)
    reach = max(1, math.ceil(abs(moment.number("shutter", 0.5)) + abs(moment.number("shuttercustomoffset"))))
    if reach > MOST_FRAMES:
        return _by_motion(moment)
    frames = [moment.frame + step for step in range(-reach, reach + 1)]
    return [ask(moment, pipe, frame) for pipe in range(len(moment.node.inputs)) for frame in frames]


def _by_motion(moment: Moment) -> list[Pull]:
    node = moment.node
    raise Undecided(
        f"{moment.evaluator.script.name} line {node.line}: how many frames {node.cls} {node.full_name} reads cannot be "
        f"told from the script; render it to files first, or let the render fetch them as it asks.",
        text=node.cls,
        node=node.full_name,
        line=node.line,
    )


def _bounded(count: int) -> range:
    return range(min(count, MOST_FRAMES + 1))


_BY_MOTION = (
    *("Kronos", "OFlow", "OFlow2", "MotionBlur", "MotionBlur3D", "VectorGenerator", "SmartVector", "VectorDistort"),
    *(
        "Denoise2",
        "Deflicker2",
        "DepthGenerator",
        "DeepFromFrames",
        "CameraTracker",
        "ParticleEmitter",
        "RollingShutter",
    ),
)
_PULLS: dict[str, Callable[[Moment], list[Pull]]] = {
    "AppendClip": _append_clip,
    "ContactSheet": _contact_sheet,
    "Dissolve": dissolve,
    "FrameBlend": _frame_blend,
    "FrameHold": _frame_hold,
    "JoinViews": join_views,
    "OneView": one_view,
    "Retime": _retime,
    "Switch": switch,
    "TemporalMedian": _neighbours,
    "TimeBlur": _time_blur,
    "TimeClip": _time_clip,
    "TimeEcho": _time_echo,
    "TimeOffset": _time_offset,
    "TimeWarp": _time_warp,
    **dict.fromkeys(_BY_MOTION, _by_motion),
    **dict.fromkeys(VIEW_MIXERS, every_view),
    **dict.fromkeys(("ScanlineRender", "ScanlineRender2", "RayRender"), _across_shutter),
}
