"""What an operation sees of the script: its own knobs and inputs, at one frame and view."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from jit_render.model.errors import RenderError, UnsupportedNode
from jit_render.render.standin import layers
from jit_render.render.standin.image import ALPHA, Box, Format, Image, Plane, common_box
from jit_render.render.standin.transfer import Transfer
from jit_render.script import Evaluator, Node
from jit_render.script.timing import Frame, Pull, pulls, read_frame

__all__ = ["Call", "Frame", "Operation", "Pulls", "blended", "blended_over", "describe", "weight"]


class Names(Protocol):
    """File names, as the engine's `FileNames` gives them."""

    @property
    def are_filtered(self) -> bool: ...
    def written(self, node: Node, knob: str, frame: Frame, view: str) -> str: ...
    def concrete(self, node: Node, knob: str, frame: Frame, view: str) -> str: ...


class Pulls(Protocol):
    """The part of the engine that operations use."""

    evaluator: Evaluator
    format: Format
    views: tuple[str, ...]
    root: Node

    @property
    def names(self) -> Names: ...
    def pull(self, node: Node, frame: Frame, view: str) -> Image: ...
    def file(self, node: Node, knob: str, frame: Frame, view: str) -> str: ...
    def decode(self, path: str, view: str, *, transfer: Transfer | None, premultiplied: bool) -> Image: ...


@dataclass(frozen=True, slots=True)
class Call:
    """One operation at one frame and view."""

    engine: Pulls
    node: Node
    frame: Frame
    view: str

    def number(self, knob: str, default: float = 0.0) -> float:
        return self.engine.evaluator.number(self.node, knob, frame=self.frame, view=self.view, default=default)

    def numbers(self, knob: str, default: tuple[float, ...]) -> tuple[float, ...]:
        """As many numbers as `default` has; one value in the script stands for all."""
        if knob not in self.node.knobs:
            return default
        count = len(default)
        return self.engine.evaluator.numbers(
            self.node, knob, count, frame=self.frame, view=self.view, default=default
        )

    def string(self, knob: str, default: str = "") -> str:
        return self.engine.evaluator.string(self.node, knob, frame=self.frame, view=self.view, default=default)

    def boolean(self, knob: str, *, default: bool = False) -> bool:
        return self.engine.evaluator.boolean(self.node, knob, frame=self.frame, view=self.view, default=default)

    def choice(self, knob: str, names: Sequence[str], default: str = "") -> str:
        """One of `names`, given by name or index. Raises UnsupportedNode for another."""
        if knob not in self.node.knobs:
            return default or names[0]
        plain = self.string(knob).strip()
        for name in names:
            if plain.lower() == name.lower():
                return name
        if plain.isdigit() and int(plain) < len(names):
            return names[int(plain)]
        raise UnsupportedNode(
            f"{describe(self.node)}: the stand-in does not do {knob} {plain!r}; it does {', '.join(names)}."
        )

    def input(self, pipe: int = 0, *, frame: Frame | None = None, view: str | None = None) -> Image | None:
        """What comes in; None where nothing is connected."""
        pipes = self.node.pipe_inputs
        node = pipes[pipe] if pipe < len(pipes) else None
        if node is None:
            return None
        return self.engine.pull(node, self.frame if frame is None else frame, self.view if view is None else view)

    def source(self, pipe: int = 0, *, frame: Frame | None = None, view: str | None = None) -> Image:
        """What comes in; black in the script's format where nothing is connected."""
        found = self.input(pipe, frame=frame, view=view)
        return Image.black(self.engine.format) if found is None else found

    def pulls(self) -> list[Pull]:
        """The pictures of its inputs that the node asks for, and their shares."""
        return pulls(self.node, self.engine.evaluator, self.frame, self.view)

    def pulled(self, pull: Pull) -> Image:
        """One of `pulls`."""
        source = self.node.inputs[pull.pipe]
        assert source is not None
        return self.engine.pull(source, pull.frame, pull.view)

    def read_frame(self) -> int | None:
        """For a Read: the frame of its file that it shows; None is black."""
        return read_frame(self.node, self.engine.evaluator, self.frame, self.view)

    def channels(self, image: Image, default: str, knob: str = "channels") -> tuple[str, ...]:
        """The channels of `image` that the knob selects."""
        return tuple(
            name for name in layers.select(self.string(knob, default), image.names) if name in image.planes
        )

    def failed(self, reason: str) -> RenderError:
        """An error that names the node and the frame."""
        return RenderError(f"frame {self.frame}: {describe(self.node)}: {reason}")


Operation = Callable[[Call], Image]


def describe(node: Node) -> str:
    """How messages name a node: ``Blur Group1.Blur2 (line 17)``."""
    return f"{node.cls} {node.full_name} (line {node.line})"


def weight(call: Call, box: Box, source: Image | None = None) -> Plane | float:
    """How much of the node's effect is let through: `mix` times the mask."""
    mix = call.number("mix", 1.0)
    mask = _mask(call, box, source)
    if mask is None:
        return mix
    if call.boolean("invert_mask"):
        mask = 1 - mask
    return mask if mix == 1 else mask * np.float32(mix)


def _mask(call: Call, box: Box, source: Image | None) -> Plane | None:
    mask_node = call.node.mask_input
    if mask_node is not None:
        name = layers.channel(call.string("maskChannelMask", ALPHA))
        image = call.engine.pull(mask_node, call.frame, call.view)
        return image.only([name]).fitted(box).plane(name) if name else None
    name = layers.channel(call.string("maskChannelInput", "none"))
    if not name or name in ("false", "true") or source is None or "maskChannelInput" not in call.node.knobs:
        return None
    return source.only([name]).fitted(box).plane(name)


def blended(call: Call, before: Image, changed: Mapping[str, Plane]) -> Image:
    """`before` with the changed planes, as far as `mix` and the mask let them through."""
    amount = weight(call, before.box, before)
    if isinstance(amount, float | int):
        if amount >= 1:
            return before.having(changed)
        if amount <= 0:
            return before
    factor = np.float32(amount) if isinstance(amount, float | int) else amount
    return before.having({name: _lerp(before.plane(name), plane, factor) for name, plane in changed.items()})


def _lerp(before: Plane, after: Plane, amount: Plane | np.float32) -> Plane:
    mixed = np.subtract(after, before, dtype=np.float32)
    mixed *= amount
    mixed += before
    return mixed


def blended_over(call: Call, before: Image, after: Image) -> Image:
    """As `blended` for operations that change the data window too."""
    amount = weight(call, before.box, before)
    if isinstance(amount, float | int) and amount >= 1:
        return after
    if isinstance(amount, float | int) and amount <= 0:
        return before
    box = common_box((before, after))
    before, after = before.fitted(box), after.fitted(box)
    factor = np.float32(amount) if isinstance(amount, float | int) else weight(call, box, before)
    changed = {
        name: _lerp(before.plane(name), plane, np.asarray(factor, np.float32))
        for name, plane in after.planes.items()
        if plane is not before.planes.get(name)
    }
    return before.having(changed)
