"""Combining pictures: Merge2, Keymix, Dissolve."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jit_render.render.standin import layers
from jit_render.render.standin.call import Call, blended, weight
from jit_render.render.standin.image import ALPHA, Box, Image, Plane, common_box, in_strips


class Pair(NamedTuple):
    """One channel of A laid over one of B, and the inputs' alphas."""

    over: Plane
    under: Plane
    a: Plane
    b: Plane


Formula = Callable[[Pair], Plane]


def _screen(pair: Pair) -> Plane:
    """A+B-AB where both lie in 0..1, else the greater."""
    out: Plane = np.subtract(np.float32(1), pair.over)
    out *= pair.under
    out += pair.over
    greater = np.maximum(pair.over, pair.under)
    outside = (greater > 1) | (np.minimum(pair.over, pair.under) < 0)
    np.copyto(out, greater, where=outside)
    return out


def _divide(pair: Pair) -> Plane:
    defined = (pair.under != 0) & ~((pair.over < 0) & (pair.under < 0))
    return np.divide(pair.over, pair.under, out=np.zeros(pair.under.shape, np.float32), where=defined)


def _multiply(pair: Pair) -> Plane:
    return np.where((pair.over < 0) & (pair.under < 0), pair.over, pair.over * pair.under)


def _geometric(pair: Pair) -> Plane:
    total = pair.over + pair.under
    out: Plane = np.divide(2 * pair.over * pair.under, total, out=np.zeros_like(total), where=total != 0)
    return out


def _over(pair: Pair) -> Plane:
    out: Plane = np.subtract(np.float32(1), pair.a)
    out *= pair.under
    out += pair.over
    return out


OPERATIONS: dict[str, Formula] = {
    "atop": lambda p: p.over * p.b + p.under * (1 - p.a),
    "average": lambda p: (p.over + p.under) * np.float32(0.5),
    "copy": lambda p: p.over,
    "difference": lambda p: np.abs(p.over - p.under),
    "divide": _divide,
    "exclusion": lambda p: p.over + p.under - 2 * p.over * p.under,
    "from": lambda p: p.under - p.over,
    "geometric": _geometric,
    "hypot": lambda p: np.hypot(p.over, p.under),
    "in": lambda p: p.over * p.b,
    "mask": lambda p: p.under * p.a,
    "matte": lambda p: p.over * p.a + p.under * (1 - p.a),
    "max": lambda p: np.maximum(p.over, p.under),
    "min": lambda p: np.minimum(p.over, p.under),
    "minus": lambda p: p.over - p.under,
    "multiply": _multiply,
    "out": lambda p: p.over * (1 - p.b),
    "over": _over,
    "plus": lambda p: p.over + p.under,
    "screen": _screen,
    "stencil": lambda p: p.under * (1 - p.a),
    "under": lambda p: p.over * (1 - p.b) + p.under,
    "xor": lambda p: p.over * (1 - p.b) + p.under * (1 - p.a),
}
_KEEPS_B = frozenset(
    {"atop", "exclusion", "from", "matte", "over", "plus", "screen", "stencil", "under", "xor"}
)  # where A is zero the result is B: outside A's data window nothing needs computing
_BOXES = ("union", "intersection", "A", "B")


def merge(call: Call) -> Image:
    """Merge2: B is input 0; every A is laid over the result so far, A, then A2 and so on."""
    operation = call.choice("operation", tuple(OPERATIONS), "over")
    result = call.input(0)
    for pipe in range(1, len(call.node.pipe_inputs)):
        image = call.input(pipe)
        if image is not None:
            under = Image({}, Box(0, 0, 0, 0), image.format) if result is None else result
            result = _merge_one(call, operation, image, under)
    return Image({}, Box(0, 0, 0, 0), call.engine.format) if result is None else result


def check_merge(call: Call) -> None:
    call.choice("operation", tuple(OPERATIONS), "over")


def _merge_one(call: Call, operation: str, over: Image, under: Image) -> Image:
    box = _box(call, over, under)
    under = under.fitted(box)
    part = over.box.intersect(box)
    if operation in _KEEPS_B and part.width * part.height < 0.7 * box.width * box.height:
        small = _merged(call, operation, over.fitted(part), under.fitted(part))
        return under.having(_patched(under, small))
    return _merged(call, operation, over.fitted(box), under)


def _patched(image: Image, part: Image) -> dict[str, Plane]:
    """The planes that differ in `part`, laid into copies of the image's."""
    rows = slice(image.box.top - part.box.top, image.box.top - part.box.y)
    columns = slice(part.box.x - image.box.x, part.box.right - image.box.x)
    patched: dict[str, Plane] = {}
    for name, plane in part.planes.items():
        if not part.box.is_empty or name not in image.planes:
            patched[name] = np.array(image.plane(name))
            patched[name][rows, columns] = plane
    return patched


def _merged(call: Call, operation: str, over: Image, under: Image) -> Image:
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
            pair = (over.plane(a_name), under.plane(b_name), a, b)
            changed[output] = in_strips(lambda *planes: [formula(Pair(*planes))], pair, 1)[0]
    return blended(call, under, changed)


def _box(call: Call, over: Image, under: Image) -> Box:
    kind = call.choice("bbox", _BOXES, "union")
    if kind == "A":
        return over.box
    if kind == "B":
        return under.box
    return over.box.intersect(under.box) if kind == "intersection" else common_box((under, over))


def keymix(call: Call) -> Image:
    """Keymix: A over B where the mask says so."""
    under, over = call.source(0), call.source(1)
    kind = call.choice("bbox", ("union", "B", "A", "intersection"), "union")
    box = {
        "union": common_box((over, under)),
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
    box = common_box((lower, upper))
    lower, upper = lower.fitted(box), upper.fitted(box)
    names = layers.select(call.string("channels", "all"), tuple(dict.fromkeys((*lower.names, *upper.names))))
    amount = np.asarray(weight(call, box, lower), np.float32) * np.float32(fraction)
    changed = {}
    for name in names:
        base = lower.plane(name)
        changed[name] = np.asarray(base + (upper.plane(name) - base) * amount, np.float32)
    return lower.having(changed)
