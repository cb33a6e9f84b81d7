"""Moving channels about; no pixel is copied where a plane can be shared."""

from __future__ import annotations

import numpy as np

from jit_render.render.standin import layers
from jit_render.render.standin.call import Call, blended
from jit_render.render.standin.image import ALPHA, Box, Image, Plane, common_box, flat
from jit_render.render.standin.nodes.merge import OPERATIONS, Pair


def _joined(call: Call, first: int, second: int) -> tuple[Image, Image, Box]:
    """Two inputs over one data window; an input that is not there has no pixels."""
    one, two = call.input(first), call.input(second)
    fmt = one.format if one is not None else two.format if two is not None else call.engine.format
    one = Image({}, Box(0, 0, 0, 0), fmt) if one is None else one
    two = Image({}, Box(0, 0, 0, 0), fmt) if two is None else two
    box = common_box((one, two))
    return one.fitted(box), two.fitted(box), box


def copy(call: Call) -> Image:
    """Copy: `from` channels of A (input 1) into `to` channels of B (input 0), and whole layers by `channels`."""
    under, over, _ = _joined(call, 0, 1)
    changed: dict[str, Plane] = {}
    for name in layers.select(call.string("channels", "none"), over.names):
        changed[name] = over.plane(name)
    for index in range(8):
        default = ALPHA if index == 0 else "none"
        source = layers.channel(call.string(f"from{index}", default))
        target = layers.channel(call.string(f"to{index}", default))
        if source and target:
            changed[target] = over.plane(source)
    return blended(call, under, changed)


def remove(call: Call) -> Image:
    """Remove: drop (or keep only) the channels of its knobs."""
    image = call.source()
    named: set[str] = set()
    for knob, default in (("channels", "all"), ("channels2", "none"), ("channels3", "none"), ("channels4", "none")):
        named.update(layers.select(call.string(knob, default), image.names))
    keep = call.choice("operation", ("remove", "keep"), "remove") == "keep"
    return image.only(name for name in image.names if (name in named) == keep)


_CONSTANTS = {"black": 0.0, "white": 1.0}


def shuffle(call: Call) -> Image:
    """Shuffle: eight outputs in two layers, each fed by a channel of `in`, of `in2`, black or white."""
    image = call.source()
    first, second = _layer_channels(call, "in", "rgba", image), _layer_channels(call, "in2", "none", image)
    sources = {**dict(zip(("red", "green", "blue", "alpha"), first, strict=False))}
    sources |= dict(zip(("red2", "green2", "blue2", "alpha2"), second, strict=False))
    changed: dict[str, Plane] = {}
    for knob, default, outputs in (
        ("out", "rgba", ("red", "green", "blue", "alpha")),
        ("out2", "none", ("black", "white", "red2", "green2")),
    ):
        targets = _layer_channels(call, knob, default, image)
        for target, output in zip(targets, outputs, strict=False):
            chosen = call.string(output, output).strip()
            changed[target] = _chosen(image, chosen, sources)
    return image.having(changed)


def _chosen(image: Image, chosen: str, sources: dict[str, str]) -> Plane:
    if chosen in _CONSTANTS:
        return flat(_CONSTANTS[chosen], image.box)
    return image.plane(sources.get(chosen, ""))


def _layer_channels(call: Call, knob: str, default: str, image: Image) -> tuple[str, ...]:
    name = call.string(knob, default).strip().strip("{}").strip()
    if name in ("none", ""):
        return ()
    if name == "alpha":
        return (ALPHA,)
    members = layers.layer(name, layers.in_order(image.names))
    if members:
        return members
    one = layers.channel(name)
    return (one,) if "." in one else tuple(f"{name}.{part}" for part in ("red", "green", "blue", "alpha"))


def shuffle2(call: Call) -> Image:
    """Shuffle2: ``mappings`` says which channel of which input becomes which; without it layer `in1` becomes `out1`.

    A mapping is four words: source channel, its place, output channel, its place; ``black`` and ``white`` are
    sources too. Input 0 is B, input 1 is A.
    """
    under, over, box = _joined(call, 0, 1)
    inputs = {"B": under, "A": over}
    mappings = _mappings(call)
    if not mappings:
        mappings = _default_mappings(call, under)
    changed: dict[str, Plane] = {}
    for fork, source, target in mappings:
        image = inputs["A" if call.node.knobs.get(f"fromInput{fork}", "").split()[-1:] == ["A"] else "B"]
        constant = _CONSTANTS.get(source.rpartition(".")[2])
        changed[layers.channel(target)] = (
            image.plane(layers.channel(source)) if constant is None else flat(constant, box)
        )
    return under.having({name: plane for name, plane in changed.items() if name})


def _mappings(call: Call) -> list[tuple[int, str, str]]:
    """``mappings "4 rgba.red 0 0 rgba.red 0 0 black -1 -1 rgba.green 0 1 …"`` as (input fork, source, target)."""
    words = call.node.knobs.get("mappings", "").replace("{", " ").replace("}", " ").split()
    found = []
    for start in range(1, len(words) - 5, 6):
        source, fork, _, target, _, _ = words[start : start + 6]
        found.append((max(1, int(fork) + 1) if fork.lstrip("-").isdigit() else 1, source, target))
    return found


def _default_mappings(call: Call, image: Image) -> list[tuple[int, str, str]]:
    found: list[tuple[int, str, str]] = []
    for number, default in ((1, "rgba"), (2, "none")):
        sources = _layer_channels(call, f"in{number}", default, image)
        targets = _layer_channels(call, f"out{number}", default, image)
        found += [(number, source, target) for source, target in zip(sources, targets, strict=False)]
    return found


def check_channel_merge(call: Call) -> None:
    call.choice("operation", CHANNEL_OPERATIONS, "union")


def channel_merge(call: Call) -> Image:
    """ChannelMerge: one channel of A and one of B into one output channel."""
    under, over, _ = _joined(call, 0, 1)
    a_name, b_name = layers.channel(call.string("A", ALPHA)), layers.channel(call.string("B", ALPHA))
    output = layers.channel(call.string("output", ALPHA))
    plane_a, plane_b = over.plane(a_name), under.plane(b_name)
    operation = call.choice("operation", CHANNEL_OPERATIONS, "union")
    result = _channel_result(operation, plane_a, plane_b)
    return blended(call, under, {output: np.asarray(result, np.float32)})


CHANNEL_OPERATIONS = (
    "union", "plus", "minus", "from", "multiply", "min", "max", "difference", "divide", "in", "out", "screen",
    "stencil", "absminus", "average", "copy", "a", "b",
)  # fmt: skip


def _channel_result(operation: str, a: Plane, b: Plane) -> Plane:
    if operation == "union":
        return a + b - a * b
    if operation == "in":
        return a * b
    if operation in ("out", "stencil"):
        return a * (1 - b) if operation == "out" else b * (1 - a)
    if operation in ("a", "b"):
        return a if operation == "a" else b
    return OPERATIONS["difference" if operation == "absminus" else operation](Pair(a, b, a, b))


def add_channels(call: Call) -> Image:
    """AddChannels: make channels that are not there, of `color`."""
    image = call.source()
    colour = call.numbers("color", (0.0, 0.0, 0.0, 0.0))
    wanted: list[str] = []
    for knob in ("channels", "channels2", "channels3", "channels4"):
        wanted += layers.select(call.string(knob, "none"), image.names)
    fresh = {name: flat(colour[layers.place(name)], image.box) for name in wanted if name not in image.planes}
    return image.having(fresh)
