"""What a job renders: its Writes, their views and frames, and with that what is wanted first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jit_render.model.errors import Undecided, UsageError
from jit_render.script.evaluate import Evaluator
from jit_render.script.nodes import Node
from jit_render.script.planned import WritePlan
from jit_render.script.routes import Flow, Frames, Place, Untold
from jit_render.script.universe import Universe

WRITERS = ("Write", "DeepWrite", "WriteGeo", "ParticleCache")


@dataclass
class Rendered:
    """The Writes, and what they want of their inputs."""

    writes: tuple[WritePlan, ...] = ()
    flows: list[Flow] = field(default_factory=list)
    untold: list[Untold] = field(default_factory=list)


def rendered(universe: Universe, job: Sequence[int], names: Sequence[str], views: Sequence[str]) -> Rendered:
    """What the Writes called `names` (none: every enabled one) want for `job`'s frames in `views` (none: their own).

    Raises UsageError for a Write or view that is not there.
    """
    known = universe.main.views
    strange = [view for view in views if view not in known]
    if strange:
        raise UsageError(f"{universe.script.name} has no view {', '.join(strange)}; it has {', '.join(known)}.")
    found = Rendered()
    everyone: Frames = {frame: 1 << index for index, frame in enumerate(job)}
    sets: dict[tuple[float, ...], Frames] = {tuple(job): everyone}
    writes: list[WritePlan] = []
    for node in _chosen(universe, names, job[0]):
        own = _views_of(node, universe.main, job[0])
        shown = tuple(view for view in own if not views or view in views)
        covered = _covered(Place(node, universe.main, known[0], everyone), found.untold)
        if not shown or not covered:
            continue
        frames = sets.setdefault(tuple(covered), covered)
        pattern = _pattern(node, universe.main, shown[0], job[0])
        inside = tuple(frame for frame in job if frame in frames)
        writes.append(WritePlan(universe.name(node), node.cls, node.line, pattern, shown, inside))
        found.flows += [Flow(source, view, frames) for view in shown for source in node.inputs if source is not None]
    if not writes:
        raise UsageError(f"{universe.script.name}: no chosen Write renders any of these frames and views.")
    found.writes = tuple(writes)
    return found


def _chosen(universe: Universe, names: Sequence[str], frame: int) -> list[Node]:
    every = list(universe.script.of_class(*WRITERS))
    if not names:
        enabled = [node for node in every if not _is_off(node, universe.main, frame)]
        if not enabled:
            raise UsageError(f"{universe.script.name} has no enabled Write node, so there is nothing to render.")
        return enabled
    by_name = {node.full_name: node for node in reversed(every)}
    strange = [name for name in names if name not in by_name]
    if strange:
        known = ", ".join(list(by_name)[::-1][:20]) or "none"
        raise UsageError(f"{universe.script.name} has no Write node {', '.join(strange)}; there are: {known}.")
    return [by_name[name] for name in dict.fromkeys(names)]


def _is_off(node: Node | None, evaluator: Evaluator, frame: int) -> bool:
    """Whether the Write, or a group around it, is disabled."""
    while node is not None:
        try:
            if evaluator.boolean(node, "disable", frame=frame, view=evaluator.views[0]):
                return True
        except Undecided:
            pass  # taken as enabled: never too little
        node = node.parent
    return False


def _views_of(node: Node, evaluator: Evaluator, frame: int) -> tuple[str, ...]:
    known = evaluator.views
    try:
        text = evaluator.string(node, "views", frame=frame, view=known[0], default="")
    except Undecided:
        return known
    words = text.replace("{", " ").replace("}", " ").split()
    return tuple(view for view in words if view in known) or known


def _covered(place: Place, untold: list[Untold]) -> Frames:
    """The frames inside the Write's own limit."""
    node, view = place.node, place.view

    def inside(evaluator: Evaluator, frame: float) -> bool:
        if not evaluator.boolean(node, "use_limit", frame=frame, view=view):
            return True
        first, last = (evaluator.number(node, knob, frame=frame, view=view, default=1.0) for knob in ("first", "last"))
        return first <= frame <= last

    if "use_limit" not in node.knobs:
        return place.frames
    covered: Frames = {}
    for frame, mask in place.frames.items():
        try:
            if not inside(place.evaluator, frame):
                continue
        except Undecided as undecided:
            untold.append(Untold.of(undecided, node))
        covered[frame] = mask
    return place.frames if len(covered) == len(place.frames) else covered


def _pattern(node: Node, evaluator: Evaluator, view: str, frame: int) -> str:
    try:
        return evaluator.path(node, "file", frame=frame, view=view).strip()
    except Undecided:
        return ""
