"""Nodes that hand on one of their inputs, and groups."""

from __future__ import annotations

from jit_render.render.standin.call import Call
from jit_render.render.standin.image import Image


def hand_on(call: Call) -> Image:
    """Dot, NoOp, Viewer, Output, a Write on the way: input 0."""
    return call.source(0)


def group(call: Call) -> Image:
    """Group: what its Output node gives."""
    output = call.node.output
    if output is None:
        return call.source(0)
    return call.engine.pull(output, call.frame, call.view)


def group_input(call: Call) -> Image:
    """Input: what is connected to the group around it."""
    source = call.node.source
    if source is None:
        return Image.black(call.engine.format)
    return call.engine.pull(source, call.frame, call.view)
