"""What was rendered for the frame in hand and will be asked for again.

Two reasons to ask again: a node has several consumers, or another view is rendered. Most of a stereo comp is the
same for all views (stills, elements, mattes); so it is noted, while a picture is rendered, whether anything looked at
the view: a file with a view in its name or with views inside, JoinViews, a knob with a value for each view. Where
nothing did, the picture serves all views. Kept of those are only the ones that something view-dependent asked
for: what lies upstream of them is never asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from jit_render.render.standin.image import Image
from jit_render.script import Node
from jit_render.script.timing import Frame
from jit_render.script.values import views_of

_ANY_VIEW = ""

_Place = tuple[Node, Frame, str]


@dataclass(slots=True)
class _Rendering:
    """A picture that is being rendered, and what it has asked for so far."""

    looks_at_view: bool
    inputs: list[tuple[_Place, Image]] = field(default_factory=list)


class KeptPictures:
    """The pictures of one frame. `shared`: nodes with several consumers. `across_views`: False keeps views apart."""

    def __init__(self, shared: frozenset[Node], *, across_views: bool) -> None:
        self._shared = shared
        self._across_views = across_views
        self._kept: dict[_Place, Image] = {}
        self._rendering: list[_Rendering] = []

    def clear(self) -> None:
        self._kept.clear()

    def look_at_view(self) -> None:
        """Whoever is being rendered hangs on the view."""
        if self._rendering:
            self._rendering[-1].looks_at_view = True

    def picture(self, node: Node, frame: Frame, view: str, render: Callable[[Node, Frame, str], Image]) -> Image:
        """The node's picture: the kept one, else what `render` makes."""
        for place in ((node, frame, _ANY_VIEW), (node, frame, view)):
            kept = self._kept.get(place)
            if kept is not None:
                self._tell_consumer(place, kept)
                return kept
        own = _Rendering(looks_at_view=not self._across_views)
        self._rendering.append(own)
        try:
            image = render(node, frame, view)
        finally:
            self._rendering.pop()
        if own.looks_at_view:
            self._kept.update(own.inputs)
        # OneView shows one view whichever is asked for.
        hangs = own.looks_at_view and (node.cls != "OneView" or not self._across_views)
        place = (node, frame, view if hangs else _ANY_VIEW)
        if node in self._shared:
            self._kept[place] = image
        self._tell_consumer(place, image)
        return image

    def _tell_consumer(self, place: _Place, image: Image) -> None:
        if not self._rendering:
            if place[2] == _ANY_VIEW:  # a Write writes it for each of its views
                self._kept[place] = image
        elif place[2] == _ANY_VIEW:
            self._rendering[-1].inputs.append((place, image))
        else:
            self._rendering[-1].looks_at_view = True


def may_share_views(nodes: Iterable[Node], views: tuple[str, ...]) -> bool:
    """False where a knob somewhere in the script has another value in another view: any other may refer to it."""
    if len(views) < 2:
        return False
    return not any(
        knob != "label" and (views_of(text) or ("[" in text and "view" in text))
        for node in nodes
        for knob, text in node.knobs.items()
    )
