"""Where what is wanted of a node goes on to: which pictures of its inputs make a set of its own.

`timing.pulls` answers for one frame. A job has a thousand, and most nodes answer alike for all of them, so it is asked
as seldom as that can be told without guessing: a class that does not choose hands its demand on as it is, without
being asked; a choice whose knobs do not hang on the frame (`Evaluator.saw_frame`) is asked for once; a time node that
merely shifts or holds is asked twice and the rest is arithmetic. All others are asked frame by frame.

Where the script cannot tell, the demand is widened and says why: every input, every view, `ANY` frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final, NamedTuple, TypeVar

from jit_render.model.errors import Undecided
from jit_render.script.choosers import VIEW_MIXERS
from jit_render.script.evaluate import Evaluator
from jit_render.script.nodes import Node
from jit_render.script.timing import Frame, chooses, enabled_pulls, is_disabled

ANY: Final = math.inf
"""The frame of a demand that may be for any frame at all."""

Frames = dict[Frame, int]
"""The frames wanted of something, each with the job's frames that want it: bit n is the job's n-th frame."""

_STEERS = frozenset({"Switch", "Dissolve", "JoinViews", "OneView", *VIEW_MIXERS})
"""Classes that choose inputs and views, never frames."""
_SHIFTS = frozenset({"TimeOffset", "FrameBlend", "TimeBlur", "TimeEcho", "TemporalMedian", "ContactSheet"})
"""Classes whose frames, as long as their knobs stand still, are the frame plus something or do not hang on it."""

_Answer = TypeVar("_Answer", bound=Hashable)


class Untold(NamedTuple):
    """An answer that the script does not give: the sentence, what could not be told, and where it stands."""

    why: str
    text: str
    node: str
    knob: str
    line: int

    @classmethod
    def of(cls, undecided: Undecided, node: Node) -> Untold:
        line = node.line if undecided.line is None else undecided.line
        return cls(str(undecided), undecided.text, undecided.node or node.full_name, undecided.knob, line)


class Flow(NamedTuple):
    """What is wanted of another node. ``why`` says why it may be more than is needed; None where it is exact."""

    source: Node
    view: str
    frames: Frames
    why: Untold | None = None


Part = tuple[Frames, Untold | None]
"""Some of a demand's frames, and why they may be too many."""


class Place(NamedTuple):
    """A node as one view sees it, and the frames wanted of it."""

    node: Node
    evaluator: Evaluator
    view: str
    frames: Frames

    def sample(self) -> int:
        """One of the frames, for what is the same at all of them."""
        return next((round(frame) for frame in self.frames if frame != ANY), 0)


def answers(place: Place, ask: Callable[[Evaluator, Frame], _Answer]) -> list[tuple[_Answer | Untold, Frames]]:
    """The frames of `place` by what `ask` says of them; asked once where the frame does not matter."""
    watched = place.evaluator.watched()
    answer = _asked(place.node, ask, watched, place.sample())
    if not watched.saw_frame:
        return [(answer, place.frames)]
    groups: dict[_Answer | Untold, Frames] = {}
    for frame, mask in place.frames.items():
        answer = _no_frame(place.node) if frame == ANY else _asked(place.node, ask, place.evaluator, frame)
        groups.setdefault(answer, {})[frame] = mask
    return list(groups.items())


def _asked(
    node: Node, ask: Callable[[Evaluator, Frame], _Answer], evaluator: Evaluator, frame: Frame
) -> _Answer | Untold:
    try:
        return ask(evaluator, frame)
    except Undecided as undecided:
        return Untold.of(undecided, node)


def _no_frame(node: Node) -> Untold:
    why = f"{node.full_name} changes over time, and at which frame it is asked for cannot be told."
    return Untold(why, "", node.full_name, "", node.line)


def at_work(place: Place) -> tuple[list[Part], list[Part]]:
    """When the node does its work, and when it is disabled and hands on its first input; each with a `why`."""
    if "disable" not in place.node.knobs:
        return [(place.frames, None)], []
    working: list[Part] = []
    passing: list[Part] = []
    for off, frames in answers(place, lambda ev, frame: is_disabled(place.node, ev, frame, place.view)):
        if isinstance(off, Untold):
            working.append((frames, off))
            passing.append((frames, off))
        else:
            (passing if off else working).append((frames, None))
    return working, passing


def inputs_of(place: Place) -> Iterator[Flow]:
    """What a node at work asks of its inputs."""
    node = place.node
    if not chooses(node):
        yield from _every_input(place)
    elif node.cls in _STEERS:
        yield from _steered(place)
    elif _may_shift(node) and (rule := _rule(place)) is not None:
        yield from _shifted(place, rule)
    else:
        yield from _frame_by_frame(place)


def _may_shift(node: Node) -> bool:
    return node.cls in _SHIFTS or (node.cls == "FrameHold" and "increment" not in node.knobs)


def _every_input(place: Place, why: Untold | None = None, views: Iterable[str] = ()) -> Iterator[Flow]:
    for source in dict.fromkeys(place.node.inputs):
        if source is not None:
            for view in views or (place.view,):
                yield Flow(source, view, place.frames, why)


def _steered(place: Place) -> Iterator[Flow]:
    node = place.node

    def ask(evaluator: Evaluator, frame: Frame) -> tuple[tuple[int, str], ...]:
        return tuple((pull.pipe, pull.view) for pull in enabled_pulls(node, evaluator, frame, place.view))

    for chosen, frames in answers(place, ask):
        if isinstance(chosen, Untold):
            views = place.evaluator.views if node.cls == "OneView" else ()
            yield from _every_input(place._replace(frames=frames), chosen, views)
        else:
            yield from (Flow(_source(node, pipe), view, frames) for pipe, view in chosen)


class _Shift(NamedTuple):
    """What a still time node asks: a frame of its own, or the frame it is asked for plus `offset`."""

    pipe: int
    view: str
    held: Frame | None
    offset: int = 0


def _rule(place: Place) -> list[_Shift] | None:
    """What the node does at every frame; None where that has to be asked frame by frame."""
    watched = place.evaluator.watched()
    first = place.sample()
    try:
        here, there = (enabled_pulls(place.node, watched, frame, place.view) for frame in (first, first + 1))
    except Undecided:
        return None
    if watched.saw_frame or len(here) != len(there):
        return None
    rule: list[_Shift] = []
    for one, other in zip(here, there, strict=True):
        if one[:1] + one[2:] != other[:1] + other[2:] or not isinstance(one.frame, int):
            return None
        if one.frame == other.frame:
            rule.append(_Shift(one.pipe, one.view, one.frame))
        elif one.frame + 1 == other.frame:
            rule.append(_Shift(one.pipe, one.view, None, one.frame - first))
        else:
            return None
    return rule


def _shifted(place: Place, rule: list[_Shift]) -> Iterator[Flow]:
    collected = _Collected()
    everyone = _all_of(place.frames) if any(shift.held is not None for shift in rule) else 0
    for pipe, view, held, offset in rule:
        if held is not None:
            collected.add(pipe, view, held, everyone)
        elif not offset and (pipe, view) not in collected:
            collected.put(pipe, view, place.frames)
        else:
            for frame, mask in place.frames.items():
                collected.add(pipe, view, frame + offset, mask)
    return collected.flows(place.node)


def _frame_by_frame(place: Place) -> Iterator[Flow]:
    collected = _Collected()
    lost: dict[Untold, int] = {}
    for frame, mask in place.frames.items():
        if frame == ANY:
            lost[_no_frame(place.node)] = mask
            continue
        try:
            for pull in enabled_pulls(place.node, place.evaluator, frame, place.view):
                collected.add(pull.pipe, pull.view, pull.frame, mask)
        except Undecided as undecided:
            untold = Untold.of(undecided, place.node)
            lost[untold] = lost.get(untold, 0) | mask
    yield from collected.flows(place.node)
    for untold, mask in lost.items():
        yield from _every_input(place._replace(frames={ANY: mask}), untold)


class _Collected:
    """Frames by pipe and view, gathered from several pulls."""

    def __init__(self) -> None:
        self._frames: dict[tuple[int, str], Frames] = {}
        self._borrowed: set[tuple[int, str]] = set()

    def __contains__(self, key: tuple[int, str]) -> bool:
        return key in self._frames

    def put(self, pipe: int, view: str, frames: Frames) -> None:
        """Take `frames` as they are; they stay somebody else's."""
        self._frames[pipe, view] = frames
        self._borrowed.add((pipe, view))

    def add(self, pipe: int, view: str, frame: Frame, mask: int) -> None:
        key = (pipe, view)
        if key in self._borrowed:
            self._frames[key] = dict(self._frames[key])
            self._borrowed.remove(key)
        frames = self._frames.setdefault(key, {})
        frames[frame] = frames.get(frame, 0) | mask

    def flows(self, node: Node) -> Iterator[Flow]:
        return (Flow(_source(node, pipe), view, frames) for (pipe, view), frames in self._frames.items())


def _source(node: Node, pipe: int) -> Node:
    source = node.inputs[pipe]
    assert source is not None  # `pulls` leaves out what is not connected
    return source


def _all_of(frames: Frames) -> int:
    everyone = 0
    for mask in frames.values():
        everyone |= mask
    return everyone
