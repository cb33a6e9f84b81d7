"""Transfer curves between code values (0..1) and linear light (1 is diffuse white, or scene reflectance 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from preprocess.image import Floats

Curve = Callable[[Floats, float, bool], Floats]
"""(values, gamma, inverse) -> values; without `inverse` to linear."""


def gamma(values: Floats, exponent: float, inverse: bool) -> Floats:
    """``v^gamma``, mirrored for negative values."""
    power = np.float32(1 / exponent if inverse else exponent)
    return np.copysign(np.power(np.abs(values), power), values)


def srgb(values: Floats, _: float, inverse: bool) -> Floats:
    """IEC 61966-2-1:1999, mirrored for negative values."""
    size = np.abs(values)
    if inverse:
        curved = np.float32(1.055) * np.power(size, np.float32(1 / 2.4)) - np.float32(0.055)
        return np.copysign(np.where(size <= np.float32(0.0031308), size * np.float32(12.92), curved), values)
    curved = np.power((size + np.float32(0.055)) / np.float32(1.055), np.float32(2.4))
    return np.copysign(np.where(size <= np.float32(0.04045), size / np.float32(12.92), curved), values)


def rec709(values: Floats, _: float, inverse: bool) -> Floats:
    """ITU-R BT.709-6, item 1.2, mirrored for negative values."""
    size = np.abs(values)
    if inverse:
        curved = np.float32(1.099) * np.power(size, np.float32(0.45)) - np.float32(0.099)
        return np.copysign(np.where(size < np.float32(0.018), size * np.float32(4.5), curved), values)
    curved = np.power((size + np.float32(0.099)) / np.float32(1.099), np.float32(1 / 0.45))
    return np.copysign(np.where(size < np.float32(0.081), size / np.float32(4.5), curved), values)


def logc3(values: Floats, _: float, inverse: bool) -> Floats:
    """ARRI LogC3 at EI 800 (ALEXA Log C Curve: Usage in VFX, ARRI 2017, table of the SUP 3.x parameters)."""
    cut, a, b, c, d, e, f = 0.010591, 5.555556, 0.052272, 0.247190, 0.385537, 5.367655, 0.092809
    if inverse:
        log = np.float32(c) * np.log10(values * np.float32(a) + np.float32(b)) + np.float32(d)
        return np.where(values > np.float32(cut), log, values * np.float32(e) + np.float32(f))
    power = (np.power(np.float32(10), (values - np.float32(d)) / np.float32(c)) - np.float32(b)) / np.float32(a)
    return np.where(values > np.float32(e * cut + f), power, (values - np.float32(f)) / np.float32(e))


def slog3(values: Floats, _: float, inverse: bool) -> Floats:
    """Sony S-Log3 (Technical Summary for S-Gamut3.Cine/S-Log3, appendix); code values as ten bits of full range."""
    knee, black = np.float32(171.2102946929), np.float32(95)
    slope = np.float32((171.2102946929 - 95) / 0.01125)
    toe, grey, middle, octave = np.float32(0.01), np.float32(0.18 + 0.01), np.float32(420), np.float32(261.5)
    if inverse:
        log = middle + np.log10((values + toe) / grey) * octave
        codes = np.where(values >= np.float32(0.01125), log, values * slope + black)
        return np.asarray(codes / np.float32(1023), np.float32)
    codes = values * np.float32(1023)
    power = np.power(np.float32(10), (codes - middle) / octave) * grey - toe
    return np.where(codes >= knee, power, (codes - black) / slope)


CURVES: Mapping[str, Curve] = {"gamma": gamma, "srgb": srgb, "rec709": rec709, "logc3": logc3, "slog3": slog3}
