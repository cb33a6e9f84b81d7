"""What is wanted of every node upstream of the Writes, for all frames of a job at once.

Asking each node for each frame would be a million questions for a large script. Instead sets travel: the Writes want
their frames of their inputs, and node after node, consumers before sources, what all consumers want of a node is put
together and handed on (`routes`). A set is a dictionary from a frame to the job's frames that want it; a chain of nodes
that do not touch time hands one and the same dictionary down, and it is never changed once it is handed on.

What is wanted for certain and what is wanted because the script could not tell (`Flow.why`) travel side by side, so
that a doubt in one branch does not make a file doubtful that another branch reads for certain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jit_render.script.file_knobs import TIMED_READS
from jit_render.script.nodes import Node
from jit_render.script.routes import Flow, Frames, Part, Place, Untold, answers, at_work, inputs_of
from jit_render.script.universe import Universe


class Want(NamedTuple):
    """What is wanted of a node at work, in one view."""

    node: Node
    view: str
    frames: Frames
    why: Untold | None


def wants(universe: Universe, flows: Sequence[Flow]) -> Iterator[Want]:
    """All that is wanted, from the consumers up. Disabled nodes want nothing of themselves, only of their input."""
    inbox: dict[Node, dict[tuple[str, bool], list[Frames]]] = {}
    doubts: dict[Node, Untold] = {}

    def post(flow: Flow) -> None:
        inbox.setdefault(flow.source, {}).setdefault((flow.view, flow.why is None), []).append(flow.frames)
        if flow.why is not None:
            doubts.setdefault(flow.source, flow.why)

    for flow in flows:
        post(flow)
    for node in _consumers_first(universe, [flow.source for flow in flows]):
        for (view, is_certain), sets in inbox.pop(node, {}).items():
            doubt = None if is_certain else doubts[node]
            place = Place(node, universe.evaluator(node), view, union(sets))
            working, passing = at_work(place)
            first = node.inputs[0] if node.inputs else None
            if first is not None:
                for frames, why in passing:
                    post(Flow(first, view, frames, doubt or why))
            for frames, why in working:
                yield Want(node, view, frames, doubt or why)
                for flow in _sources(universe, place._replace(frames=frames)):
                    post(flow._replace(why=doubt or why or flow.why))


def union(sets: Sequence[Frames]) -> Frames:
    """All of them in one; one of the given dictionaries itself where that says it all."""
    distinct = list({id(frames): frames for frames in sets}.values())
    if len(distinct) == 1:
        return distinct[0]
    distinct.sort(key=len)
    largest = distinct.pop()
    merged = dict(largest)
    for frames in distinct:
        for frame, mask in frames.items():
            merged[frame] = merged.get(frame, 0) | mask
    return largest if merged == largest else merged


def _sources(universe: Universe, place: Place) -> Iterator[Flow]:
    """Where the demand of a node at work goes: into a group, out of it, to its inputs, or nowhere."""
    node = place.node
    inside, source = universe.inside(node), node.source
    if inside.nodes:
        for entry in inside.nodes:
            yield Flow(entry, place.view, place.frames, inside.why)
    elif node.is_group:
        yield from _passed(place, (place.frames, inside.why))
    elif source is not None:
        yield Flow(source, place.view, place.frames)
    elif node.cls in TIMED_READS:
        return
    elif node.cls in {"Write", "DeepWrite"} and "reading" in node.knobs:
        for part in reading(place, on=False):
            yield from _passed(place, part)
    else:
        yield from inputs_of(place)


def reading(place: Place, *, on: bool) -> Iterator[Part]:
    """The frames at which a Write shows the file that it once wrote (`on`), or hands on its input."""
    node, view = place.node, place.view
    for shown, frames in answers(place, lambda ev, frame: ev.boolean(node, "reading", frame=frame, view=view)):
        if isinstance(shown, Untold):
            yield frames, shown
        elif shown is on:
            yield frames, None


def _passed(place: Place, part: Part) -> Iterator[Flow]:
    if place.node.inputs and place.node.inputs[0] is not None:
        yield Flow(place.node.inputs[0], place.view, *part)


def _consumers_first(universe: Universe, roots: Sequence[Node]) -> list[Node]:
    """Every node upstream of `roots`, no node before one that uses it. Without recursion: chains are long."""
    seen: set[Node] = set()
    ordered: list[Node] = []
    todo = [(node, False) for node in roots]
    while todo:
        node, is_done = todo.pop()
        if is_done:
            ordered.append(node)
        elif node not in seen:
            seen.add(node)
            todo.append((node, True))
            todo.extend((source, False) for source in universe.sources(node) if source not in seen)
    return ordered[::-1]
