"""Combining pictures: Merge2, Keymix, Dissolve, Copy is in channels. `a` and `b` are the inputs' alphas."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jit_render.render.standin import layers
from jit_render.render.standin.call import Call, blended, weight
from jit_render.render.standin.image import ALPHA, Box, Image, Plane

Formula = Callable[[Plane, Plane, Plane, Plane], Plane]


def _screen(A: Plane, B: Plane, a: Plane, b: Plane) -> Plane:  # noqa: ARG001, N803 - one signature; A, B as Nuke writes
    return np.where((A >= 0) & (A <= 1) & (B >= 0) & (B <= 1), A + B - A * B, np.maximum(A, B))


def _divide(A: Plane, B: Plane, a: Plane, b: Plane) -> Plane:  # noqa: ARG001, N803 - as above
    return np.divide(A, B, out=np.zeros_like(A + B), where=(B != 0) & ~((A < 0) & (B < 0)))


def _multiply(A: Plane, B: Plane, a: Plane, b: Plane) -> Plane:  # noqa: ARG001, N803 - as above
    return np.where((A < 0) & (B < 0), A, A * B)


def _geometric(A: Plane, B: Plane, a: Plane, b: Plane) -> Plane:  # noqa: ARG001, N803 - as above
    total = A + B
    return np.divide(2 * A * B, total, out=np.zeros_like(total), where=total != 0)


def _over(A: Plane, B: Plane, a: Plane, b: Plane) -> Plane:  # noqa: ARG001, N803 - as above
    out = np.subtract(np.float32(1), a)
    out *= B
    out += A
    return out


OPERATIONS: dict[str, Formula] = {
    "atop": lambda A, B, a, b: A * b + B * (1 - a),
    "average": lambda A, B, a, b: (A + B) / 2,
    "copy": lambda A, B, a, b: A,
    "difference": lambda A, B, a, b: np.abs(A - B),
    "divide": _divide,
    "exclusion": lambda A, B, a, b: A + B - 2 * A * B,
    "from": lambda A, B, a, b: B - A,
    "geometric": _geometric,
    "hypot": lambda A, B, a, b: np.hypot(A, B),
    "in": lambda A, B, a, b: A * b,
    "mask": lambda A, B, a, b: B * a,
    "matte": lambda A, B, a, b: A * a + B * (1 - a),
    "max": lambda A, B, a, b: np.maximum(A, B),
    "min": lambda A, B, a, b: np.minimum(A, B),
    "minus": lambda A, B, a, b: A - B,
    "multiply": _multiply,
    "out": lambda A, B, a, b: A * (1 - b),
    "over": _over,
    "plus": lambda A, B, a, b: A + B,
    "screen": _screen,
    "stencil": lambda A, B, a, b: B * (1 - a),
    "under": lambda A, B, a, b: A * (1 - b) + B,
    "xor": lambda A, B, a, b: A * (1 - b) + B * (1 - a),
}
CHOICES = {"operation": tuple(OPERATIONS), "bbox": ("union", "intersection", "A", "B")}


def merge(call: Call) -> Image:
    """Merge2: B is input 0; every A is laid over the result so far, A, then A2 and so on."""
    operation = call.choice("operation", tuple(OPERATIONS), "over")
    result = call.input(0)
    first_a = next((image for pipe in _a_pipes(call) if (image := call.input(pipe)) is not None), None)
    if result is None:
        result = Image.black(first_a.format if first_a is not None else call.engine.format)
        result = Image({}, Box(0, 0, 0, 0), result.format)
    for pipe in _a_pipes(call):
        image = first_a if pipe == 1 and first_a is not None else call.input(pipe)
        if image is not None:
            result = _merge_one(call, operation, image, result)
    return result


def _a_pipes(call: Call) -> range:
    return range(1, len(call.node.pipe_inputs))


def _merge_one(call: Call, operation: str, over: Image, under: Image) -> Image:
    box = _box(call, over.box, under.box)
    over, under = over.fitted(box), under.fitted(box)
    every = tuple(dict.fromkeys((*over.names, *under.names)))
    a_names = layers.select(call.string("Achannels", "rgba"), every)
    b_names = layers.select(call.string("Bchannels", "rgba"), every)
    outputs = layers.select(call.string("output", "rgba"), every)
    pairs = list(zip(outputs, a_names, b_names, strict=False))
    also = layers.select(call.string("also_merge", "none"), every)
    pairs += [(name, name, name) for name in also if name not in {pair[0] for pair in pairs}]
    formula = OPERATIONS[operation]
    a, b = over.plane(ALPHA), under.plane(ALPHA)
    changed: dict[str, Plane] = {}
    for output, a_name, b_name in pairs:
        if a_name not in over.planes and b_name not in under.planes:
            continue
        if output == ALPHA and call.boolean("screen_alpha"):
            changed[output] = a + b - a * b
        else:
            changed[output] = np.asarray(formula(over.plane(a_name), under.plane(b_name), a, b), np.float32)
    return blended(call, under, changed)


def _box(call: Call, over: Box, under: Box) -> Box:
    kind = call.choice("bbox", CHOICES["bbox"], "union")
    if kind == "A":
        return over
    if kind == "B":
        return under
    return over.intersect(under) if kind == "intersection" else over.union(under)


def keymix(call: Call) -> Image:
    """Keymix: A over B where the mask says so."""
    under, over = call.source(0), call.source(1)
    kind = call.choice("bbox", ("union", "B", "A", "intersection"), "union")
    box = {
        "union": over.box.union(under.box),
        "intersection": over.box.intersect(under.box),
        "A": over.box,
        "B": under.box,
    }[kind]
    over, under = over.fitted(box), under.fitted(box)
    names = layers.select(call.string("channels", "all"), tuple(dict.fromkeys((*under.names, *over.names))))
    amount = _keymix_weight(call, box)
    changed = {}
    for name in names:
        lower = under.plane(name)
        changed[name] = np.asarray(lower + (over.plane(name) - lower) * amount, np.float32)
    return under.having(changed)


def _keymix_weight(call: Call, box: Box) -> Plane | np.float32:
    """Keymix's mask is its third pipe in older files, its mask input in others; its knobs are its own."""
    mix = np.float32(call.number("mix", 1.0))
    pipes = call.node.pipe_inputs
    node = call.node.mask_input or (pipes[2] if len(pipes) > 2 else None)
    name = layers.channel(call.string("maskChannel", ALPHA))
    if node is None or not name:
        return mix
    mask = call.engine.pull(node, call.frame, call.view).only([name]).fitted(box).plane(name)
    return (1 - mask if call.boolean("invertMask") else mask) * mix


def dissolve(call: Call) -> Image:
    """Dissolve: between the two inputs that `which` lies between."""
    which = max(0.0, call.number("which", 0.0))
    last = max(0, len(call.node.pipe_inputs) - 1)
    low = min(int(which), last)
    fraction = which - low
    lower = call.source(low)
    if fraction <= 0 or low >= last:
        return lower
    upper = call.source(low + 1)
    box = lower.box.union(upper.box)
    lower, upper = lower.fitted(box), upper.fitted(box)
    names = layers.select(call.string("channels", "all"), tuple(dict.fromkeys((*lower.names, *upper.names))))
    amount = np.asarray(weight(call, box, lower), np.float32) * np.float32(fraction)
    changed = {}
    for name in names:
        base = lower.plane(name)
        changed[name] = np.asarray(base + (upper.plane(name) - base) * amount, np.float32)
    return lower.having(changed)
