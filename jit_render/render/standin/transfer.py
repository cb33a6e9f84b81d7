"""Transfer functions between files and scene-linear light, one plane at a time.

Each curve is published by its owner: sRGB (IEC 61966-2-1), Rec. 709 (ITU-R BT.709), Cineon (Kodak: 95 black, 685
white, 0.002 density a code value, 0.6 gamma), ARRI LogC3 at EI 800.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jit_render.render.standin.image import Plane

Curve = Callable[[Plane], Plane]


@dataclass(frozen=True, slots=True)
class Transfer:
    """`decode` takes stored values to linear, `encode` back."""

    decode: Curve
    encode: Curve


def _same(plane: Plane) -> Plane:
    return plane


def _f32(value: np.ndarray) -> Plane:
    return np.asarray(value, np.float32)


def _srgb_decode(x: Plane) -> Plane:
    return _f32(np.where(x <= 0.04045, x / 12.92, power(np.maximum((x + 0.055) / 1.055, 0), 2.4)))


def _srgb_encode(x: Plane) -> Plane:
    return _f32(np.where(x <= 0.0031308, x * 12.92, 1.055 * power(np.maximum(x, 0), 1 / 2.4) - 0.055))


def _rec709_decode(x: Plane) -> Plane:
    return _f32(np.where(x < 0.081, x / 4.5, power(np.maximum((x + 0.099) / 1.099, 0), 1 / 0.45)))


def _rec709_encode(x: Plane) -> Plane:
    return _f32(np.where(x < 0.018, x * 4.5, 1.099 * power(np.maximum(x, 0), 0.45) - 0.099))


_CINEON_BLACK = 10 ** ((95 - 685) * 0.002 / 0.6)


def _cineon_decode(x: Plane) -> Plane:
    return _f32((10 ** ((x * 1023 - 685) * np.float32(0.002 / 0.6)) - _CINEON_BLACK) / (1 - _CINEON_BLACK))


def _cineon_encode(x: Plane) -> Plane:
    light = np.maximum(x * (1 - _CINEON_BLACK) + _CINEON_BLACK, 1e-10)
    return _f32((np.log10(light) * np.float32(0.6 / 0.002) + 685) / 1023)


_CUT, _A, _B, _C, _D, _E, _F = 0.010591, 5.555556, 0.052272, 0.247190, 0.385537, 5.367655, 0.092809


def _logc_decode(x: Plane) -> Plane:
    return _f32(np.where(x > _E * _CUT + _F, (10 ** ((x - _D) / np.float32(_C)) - _B) / _A, (x - _F) / _E))


def _logc_encode(x: Plane) -> Plane:
    return _f32(np.where(x > _CUT, _C * np.log10(np.maximum(_A * x + _B, 1e-10)) + _D, _E * x + _F))


def _gamma(value: float) -> Transfer:
    return Transfer(lambda x: signed_power(x, value), lambda x: signed_power(x, 1 / value))


def power(plane: Plane, exponent: float) -> Plane:
    """`plane ** exponent` for values of zero or more; by exp and log, which NumPy has vectorised for float32."""
    if exponent == 1:
        return plane
    result = np.log(plane)
    result *= np.float32(exponent)
    return np.exp(result, out=result)


def signed_power(plane: Plane, exponent: float) -> Plane:
    """As `power`, negative values mirrored."""
    return np.copysign(power(np.abs(plane), exponent), plane)


LINEAR = Transfer(_same, _same)
SRGB = Transfer(_srgb_decode, _srgb_encode)
_REC709 = Transfer(_rec709_decode, _rec709_encode)
_CINEON = Transfer(_cineon_decode, _cineon_encode)
_TRANSFERS = {
    "linear": LINEAR,
    "scene_linear": LINEAR,
    "raw": LINEAR,
    "data": LINEAR,
    "none": LINEAR,
    "srgb": SRGB,
    "srgbf": SRGB,
    "rec709": _REC709,
    "rec.709": _REC709,
    "cineon": _CINEON,
    "alexav3logc": Transfer(_logc_decode, _logc_encode),
    "gamma1.8": _gamma(1.8),
    "gamma1.80": _gamma(1.8),
    "gamma2.2": _gamma(2.2),
    "gamma2.20": _gamma(2.2),
    "gamma2.4": _gamma(2.4),
    "gamma2.40": _gamma(2.4),
    "gamma2.6": _gamma(2.6),
    "gamma2.60": _gamma(2.6),
}


def transfer(name: str) -> Transfer | None:
    """The curve Nuke calls `name`; also its roles' names. None for what this module does not know."""
    plain = name.strip().lower().replace(" ", "")
    if plain.startswith("default(") and plain.endswith(")"):
        plain = plain[len("default(") : -1]
    for role in ("compositing_linear", "scene_linear", "linear"):
        if plain == role or plain.startswith(f"{role}("):
            return LINEAR
    return _TRANSFERS.get(plain)
