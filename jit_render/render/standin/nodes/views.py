"""Operations on views."""

from __future__ import annotations

from jit_render.render.standin.call import Call
from jit_render.render.standin.image import Image


def join_views(call: Call) -> Image:
    """JoinViews: input n is the n-th view; a view without an input shows the first."""
    views = call.engine.views
    pipe = views.index(call.view) if call.view in views else 0
    image = call.input(pipe)
    return call.source(0) if image is None else image


def one_view(call: Call) -> Image:
    """OneView: one view of the input, whatever view is asked for."""
    view = call.string("view", call.engine.views[0]).strip() or call.engine.views[0]
    if view.isdigit() and view not in call.engine.views:
        view = call.engine.views[min(max(0, int(view) - 1), len(call.engine.views) - 1)]
    return call.source(view=view)
