"""Operations on each pixel's own value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jit_render.render.standin import layers
from jit_render.render.standin.call import Call, blended
from jit_render.render.standin.image import ALPHA, COLOUR, Image, Plane, in_strips
from jit_render.render.standin.transfer import signed_power

_ONE = (1.0, 1.0, 1.0, 1.0)
_ZERO = (0.0, 0.0, 0.0, 0.0)
_REC709 = (0.2126, 0.7152, 0.0722)
_RANGES = ("shadows", "midtones", "highlights")

Apply = Callable[[Plane, int], Plane]
"""A plane and which element of the colour knobs it takes (0 red … 3 alpha) to the changed plane."""


def _each(call: Call, default: str, apply: Apply) -> Image:
    image = call.source()
    names = call.channels(image, default)
    divisor = _divisor(call, image)
    changed = {}
    for name in names:
        plane = image.planes[name]
        if divisor is not None and name != divisor[0]:
            straight = np.divide(plane, divisor[1], out=np.array(plane), where=divisor[1] != 0)
            changed[name] = np.asarray(apply(straight, layers.place(name)) * divisor[1], np.float32)
        else:
            changed[name] = np.asarray(apply(plane, layers.place(name)), np.float32)
    return blended(call, image, changed)


def _divisor(call: Call, image: Image) -> tuple[str, Plane] | None:
    """The channel of the `unpremult` knob: divided out before, multiplied back after."""
    if "unpremult" not in call.node.knobs:
        return None
    name = layers.channel(call.string("unpremult", "none"))
    return (name, image.planes[name]) if name in image.planes else None


def grade(call: Call) -> Image:
    """Grade: ``((white-black)*multiply/(whitepoint-blackpoint) * x + …) ^ (1/gamma)``, or its reverse."""
    black_point, white_point = call.numbers("blackpoint", _ZERO), call.numbers("whitepoint", _ONE)
    lift, gain = call.numbers("black", _ZERO), call.numbers("white", _ONE)
    multiply, offset, gamma = call.numbers("multiply", _ONE), call.numbers("add", _ZERO), call.numbers("gamma", _ONE)
    clamp_black, clamp_white = call.boolean("black_clamp", default=True), call.boolean("white_clamp")
    reverse = call.boolean("reverse")

    def apply(plane: Plane, i: int) -> Plane:
        span = white_point[i] - black_point[i]
        slope = multiply[i] * (gain[i] - lift[i]) / (span or 1e-6)
        base = offset[i] + lift[i] - slope * black_point[i]
        if reverse:
            out = signed_power(plane, gamma[i]) if gamma[i] not in (0, 1) else plane
            out = (out - np.float32(base)) / np.float32(slope or 1e-6)
        else:
            out = plane * np.float32(slope)
            out += np.float32(base)
            if gamma[i] != 1:
                out = _gamma(out, gamma[i])
        if clamp_black:
            out = np.maximum(out, 0, out=out)
        return np.minimum(out, 1, out=out) if clamp_white else out

    return _each(call, "rgb", apply)


def _gamma(plane: Plane, gamma: float) -> Plane:
    """Values of zero or less stay as they are, as in Nuke; a gamma of zero or less leaves only what is over one."""
    if gamma <= 0:
        return np.where(plane < 1, np.float32(0), plane)
    return np.where(plane > 0, signed_power(plane, 1 / gamma), plane)


def multiply(call: Call) -> Image:
    value = call.numbers("value", _ONE)
    return _each(call, "all", lambda plane, i: plane * np.float32(value[i]))


def add(call: Call) -> Image:
    value = call.numbers("value", _ZERO)
    return _each(call, "all", lambda plane, i: plane + np.float32(value[i]))


def gamma(call: Call) -> Image:
    value = call.numbers("value", _ONE)
    return _each(call, "all", lambda plane, i: plane if value[i] == 1 else _gamma(plane, value[i]))


def invert(call: Call) -> Image:
    clamp = call.boolean("clamp")

    def apply(plane: Plane, _: int) -> Plane:
        out = 1 - plane
        return np.clip(out, 0, 1, out=out) if clamp else out

    return _each(call, "all", apply)


def clamp(call: Call) -> Image:
    low, high = call.numbers("minimum", _ZERO), call.numbers("maximum", _ONE)
    low_to, high_to = call.numbers("MinClampTo", _ZERO), call.numbers("MaxClampTo", _ONE)
    use_low, use_high = call.boolean("minimum_enable", default=True), call.boolean("maximum_enable", default=True)
    use_low_to, use_high_to = call.boolean("MinClampTo_enable"), call.boolean("MaxClampTo_enable")

    def apply(plane: Plane, i: int) -> Plane:
        out = plane
        if use_low:
            out = np.where(plane < low[i], np.float32(low_to[i] if use_low_to else low[i]), out)
        if use_high:
            out = np.where(plane > high[i], np.float32(high_to[i] if use_high_to else high[i]), out)
        return out

    return _each(call, "all", apply)


def saturation(call: Call) -> Image:
    """Saturation: away from or towards the pixel's luminance."""
    amount = np.float32(call.number("saturation", 1.0))
    mode = call.choice("mode", ("Rec 709", "Ccir 601", "Average", "Maximum"), "Rec 709")
    image = call.source()
    names = call.channels(image, "rgb")
    divisor = _divisor(call, image)
    planes = [image.plane(name) for name in COLOUR]
    if divisor is not None:
        planes = [np.divide(plane, divisor[1], out=np.array(plane), where=divisor[1] != 0) for plane in planes]
    grey = _luminance(planes, mode)
    changed = {}
    for name, plane in zip(COLOUR, planes, strict=True):
        if name in names:
            mixed = grey + (plane - grey) * amount
            changed[name] = np.asarray(mixed if divisor is None else mixed * divisor[1], np.float32)
    return blended(call, image, changed)


def _luminance(planes: list[Plane], mode: str = "Rec 709") -> Plane:
    if mode == "Maximum":
        return np.maximum(np.maximum(planes[0], planes[1]), planes[2])
    weights = {"Ccir 601": (0.299, 0.587, 0.114), "Average": (1 / 3, 1 / 3, 1 / 3)}.get(mode, _REC709)
    out = planes[0] * np.float32(weights[0])
    for plane, share in zip(planes[1:], weights[1:], strict=True):
        out = out + plane * np.float32(share)
    return out


def color_correct(call: Call) -> Image:
    """ColorCorrect: saturation, contrast, gamma, gain, offset for all, then for shadows, midtones, highlights.

    The ranges are Nuke's default curves: shadows fade out from 0 to 0.09, highlights fade in from 0.5 to 1, the
    midtones are the rest.
    """
    image = call.source()
    names = call.channels(image, "rgb")
    divisor = _divisor(call, image)
    before = [image.plane(name) for name in COLOUR]
    if divisor is not None:
        before = [np.divide(plane, divisor[1], out=np.array(plane), where=divisor[1] != 0) for plane in before]
    master = Correction.of(call, "")
    ranges = {prefix: Correction.of(call, f"{prefix}.") for prefix in _RANGES if _touches(call, prefix)}

    def correct(*strips: Plane) -> list[Plane]:
        base = out = master.apply(list(strips))
        weights = _range_weights(_luminance(list(strips))) if ranges else {}
        for prefix, correction in ranges.items():
            corrected = correction.apply(base)
            out = [p + (c - o) * weights[prefix] for p, c, o in zip(out, corrected, base, strict=True)]
        return out

    planes = in_strips(correct, before, 3)
    changed = {}
    for name, plane in zip(COLOUR, planes, strict=True):
        if name in names:
            changed[name] = np.asarray(plane if divisor is None else plane * divisor[1], np.float32)
    return blended(call, image, changed)


def _touches(call: Call, prefix: str) -> bool:
    return any(knob.startswith(f"{prefix}.") for knob in call.node.knobs)


def _range_weights(luminance: Plane) -> dict[str, Plane]:
    shadows = _ease(np.clip(1 - luminance / np.float32(0.09), 0, 1))
    highlights = _ease(np.clip((luminance - np.float32(0.5)) * 2, 0, 1))
    return {"shadows": shadows, "highlights": highlights, "midtones": 1 - shadows - highlights}


def _ease(x: Plane) -> Plane:
    return x * x * (3 - 2 * x)


@dataclass(frozen=True, slots=True)
class Correction:
    """One set of ColorCorrect's knobs."""

    saturation: tuple[float, ...]
    contrast: tuple[float, ...]
    gamma: tuple[float, ...]
    gain: tuple[float, ...]
    offset: tuple[float, ...]

    @classmethod
    def of(cls, call: Call, prefix: str) -> Correction:
        return cls(
            saturation=call.numbers(f"{prefix}saturation", _ONE),
            contrast=call.numbers(f"{prefix}contrast", _ONE),
            gamma=call.numbers(f"{prefix}gamma", _ONE),
            gain=call.numbers(f"{prefix}gain", _ONE),
            offset=call.numbers(f"{prefix}offset", _ZERO),
        )

    def apply(self, planes: list[Plane]) -> list[Plane]:
        grey = _luminance(planes) if any(one != 1 for one in self.saturation[:3]) else None
        return [self._channel(plane, grey, index) for index, plane in enumerate(planes)]

    def _channel(self, plane: Plane, grey: Plane | None, i: int) -> Plane:
        value = plane
        if grey is not None:
            value = grey + (value - grey) * np.float32(self.saturation[i])
        if self.contrast[i] != 1:
            # Contrast turns about Nuke's grey, 18 % reflectance.
            turned = signed_power(value / np.float32(0.18), self.contrast[i]) * np.float32(0.18)
            value = np.where(value > 0, turned, value)
        if self.gain[i] != 1:
            value = value * np.float32(self.gain[i])
        if self.gamma[i] != 1:
            value = _gamma(value, self.gamma[i])
        if self.offset[i]:
            value = value + np.float32(self.offset[i])
        return value


def premult(call: Call) -> Image:
    image = call.source()
    alpha_name = layers.channel(call.string("alpha", ALPHA))
    if alpha_name not in image.planes:
        return image
    alpha = image.planes[alpha_name]
    names = [name for name in call.channels(image, "rgb") if name != alpha_name]
    return blended(call, image, {name: image.planes[name] * alpha for name in names})


def unpremult(call: Call) -> Image:
    """Unpremult: where alpha is zero the value stays."""
    image = call.source()
    alpha_name = layers.channel(call.string("alpha", ALPHA))
    if alpha_name not in image.planes:
        return image
    alpha = image.planes[alpha_name]
    names = [name for name in call.channels(image, "rgb") if name != alpha_name]
    changed = {
        name: np.divide(image.planes[name], alpha, out=np.array(image.planes[name]), where=alpha != 0)
        for name in names
    }
    return blended(call, image, changed)
