"""Nodes that choose which inputs and views they show, at the frame that is asked for."""

from __future__ import annotations

from typing import NamedTuple

from jit_render.script.clips import Frame, Moment, whole

VIEW_MIXERS = (
    "Anaglyph",
    "ColourMatcher",
    "DisparityGenerator",
    "MixViews",
    "ReConverge",
    "ShuffleViews",
    "SideBySide",
)
"""Classes that look at every view."""


class Pull(NamedTuple):
    """One picture wanted of one input, and its share in the result."""

    pipe: int
    frame: Frame
    view: str
    share: float = 1.0


def ask(moment: Moment, pipe: int, frame: float, share: float = 1.0) -> Pull:
    return Pull(pipe, whole(frame), moment.view, share)


def same(moment: Moment) -> list[Pull]:
    return [ask(moment, pipe, moment.frame) for pipe in range(len(moment.node.inputs))]


def with_masks(moment: Moment, wanted: list[Pull]) -> list[Pull]:
    """A node's masks are asked for at its own frame, whatever it does with its pipe."""
    pipes = len(moment.node.pipe_inputs)
    return wanted + [ask(moment, pipe, moment.frame) for pipe in range(pipes, len(moment.node.inputs))]


def switch(moment: Moment) -> list[Pull]:
    last = max(0, len(moment.node.pipe_inputs) - 1)
    return [ask(moment, min(last, max(0, int(moment.number("which")))), moment.frame)]


def dissolve(moment: Moment) -> list[Pull]:
    which, last = max(0.0, moment.number("which")), max(0, len(moment.node.pipe_inputs) - 1)
    low = min(int(which), last)
    share = which - low
    if share <= 0 or low >= last:
        return [ask(moment, low, moment.frame)]
    return with_masks(moment, [ask(moment, low, moment.frame, 1 - share), ask(moment, low + 1, moment.frame, share)])


def join_views(moment: Moment) -> list[Pull]:
    """JoinViews: input n is the n-th view; a view without an input shows the first."""
    views = moment.evaluator.views
    pipe = views.index(moment.view) if moment.view in views else 0
    inputs = moment.node.pipe_inputs
    return [ask(moment, pipe if pipe < len(inputs) and inputs[pipe] is not None else 0, moment.frame)]


def one_view(moment: Moment) -> list[Pull]:
    """OneView: one view of the input (by name, or by number from 1), whatever view is asked for."""
    views = moment.evaluator.views
    view = moment.text("view") or views[0]
    if view.isdigit() and view not in views:
        view = views[min(max(0, int(view) - 1), len(views) - 1)] if len(view) < 6 else views[-1]
    return [Pull(0, moment.frame, view)]


def every_view(moment: Moment) -> list[Pull]:
    """Nodes that put views beside or into each other look at all of them."""
    return [pull._replace(view=view) for view in moment.evaluator.views for pull in same(moment)]
