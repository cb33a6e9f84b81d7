"""What the example shot shows: dusk over a lake, paper lanterns rising, fireflies, a moon, drifting mist.

Everything is a formula of frame, view and size, so the same call gives the same pixels on any machine of one
kind. Nothing is measured in pixels but in heights of the picture, so that tests can ask for a tiny one. Colour is
scene-linear; pictures are float32 arrays, rows from the top, (height, width, channels); alpha is premultiplied.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]

FRAMES = 48
HORIZON = 0.6  # of the height, from the top
MOON_CENTRE = (0.70, 0.21)  # of the width, of the height
EYE_HEIGHTS = 0.012  # half the parallax of the nearest hill, in picture heights

_ZENITH = np.array([0.010, 0.016, 0.060], np.float32)
_MIDDLE = np.array([0.080, 0.055, 0.170], np.float32)
_GLOW = np.array([1.250, 0.430, 0.130], np.float32)
_MOONLIGHT = np.array([0.55, 0.62, 0.80], np.float32)


@dataclass(frozen=True)
class Hill:
    """One ridge: how far down it stands, how rough it is, how much of the camera's move it takes."""

    base: float
    height: float
    near: float
    colour: tuple[float, float, float]
    waves: tuple[tuple[float, float, float], ...]


_HILLS = (
    Hill(
        0.53,
        0.130,
        0.15,
        (0.125, 0.078, 0.165),
        ((2.3, 0.9, 0.9), (5.9, 2.0, 0.55), (14.0, 0.7, 0.22), (37.0, 1.0, 0.08)),
    ),
    Hill(
        0.56,
        0.095,
        0.40,
        (0.046, 0.034, 0.082),
        ((3.1, 3.6, 1.0), (8.3, 0.3, 0.45), (23.0, 1.9, 0.16), (71.0, 1.0, 0.05)),
    ),
    Hill(
        0.588,
        0.045,
        0.75,
        (0.013, 0.013, 0.028),
        ((3.7, 5.2, 1.0), (11.0, 1.1, 0.35), (97.0, 0.2, 0.16), (231.0, 2.0, 0.14)),
    ),
)
_SHORE = Hill(0.965, 0.050, 1.60, (0.004, 0.005, 0.009), ((2.3, 1.3, 1.0), (47.0, 0.5, 0.35), (173.0, 2.2, 0.45)))


def background(size: tuple[int, int], index: int, eye: float) -> Picture:
    """The lake plate: frame `index` from 0, `eye` -1 for left and 1 for right."""
    width, height = size
    picture = _sky(width, height).copy()
    _sprinkle_stars(picture, index)
    pan = 0.10 * index / FRAMES
    for hill in _HILLS:
        _raise_hill(picture, hill, pan, eye, int(HORIZON * height))
    _fill_lake(picture, index)
    _raise_hill(picture, _SHORE, pan, eye, height)
    return picture


@lru_cache(maxsize=1)
def _sky(width: int, height: int) -> Picture:
    """What no frame changes: computed once per process."""
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None] / HORIZON
    across = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    dusk = np.clip(down, 0, 1)
    near = np.exp(-(((across - 0.34) / 0.42) ** 2)) * np.exp(-(((down - 1.02) / 0.30) ** 2))
    moon = _around_moon(width, height)
    picture = np.empty((height, width, 3), np.float32)
    for channel in range(3):
        column = _ZENITH[channel] + (_MIDDLE[channel] - _ZENITH[channel]) * dusk**1.6
        np.multiply(near, _GLOW[channel], out=picture[..., channel])
        picture[..., channel] += column
        picture[..., channel] += moon * (_MOONLIGHT[channel] * 0.22)
    return picture


def _around_moon(width: int, height: int) -> Picture:
    """A halo that falls off softly, over the whole picture."""
    aspect = width / height
    x = (np.linspace(0, 1, width, dtype=np.float32) - MOON_CENTRE[0]) * aspect
    y = np.linspace(0, 1, height, dtype=np.float32) - MOON_CENTRE[1]
    away = np.square(x)[None, :] + np.square(y)[:, None]
    return np.asarray(1 / (1 + away * 55), np.float32) ** 2


def _sprinkle_stars(picture: Picture, index: int) -> None:
    height, width, _ = picture.shape
    rng = np.random.default_rng(1604)
    count = 420
    x = (rng.random(count) * width).astype(int)
    depth = rng.random(count) ** 1.5
    y = (depth * 0.46 * height).astype(int)
    bright = rng.random(count) ** 3 * (1 - depth) * 1.6 + 0.03
    twinkle = 0.75 + 0.25 * np.sin(index * 0.55 + rng.random(count) * 6.283)
    picture[y, x] += ((bright * twinkle)[:, None] * np.array([0.85, 0.92, 1.0])).astype(np.float32)


def _raise_hill(picture: Picture, hill: Hill, pan: float, eye: float, bottom: int) -> None:
    """Lay a ridge over `picture` from its crest down to row `bottom`, lit a little along the crest."""
    height, width, _ = picture.shape
    x = np.arange(width, dtype=np.float64) / height + (pan - eye * EYE_HEIGHTS) * hill.near
    crest = sum(weight * np.sin(x * pitch + phase) for pitch, phase, weight in hill.waves)
    ridge = ((hill.base - hill.height * (0.5 + 0.35 * np.asarray(crest))) * height).astype(np.float32)
    top = max(0, int(ridge.min()) - 1)
    rows = np.arange(top, bottom, dtype=np.float32)[:, None]
    cover = np.clip(rows - ridge[None, :], 0, 1)
    haze = 1 + 0.45 * np.exp(-(rows - ridge[None, :]) / (0.018 * height + 1))
    region = picture[top:bottom]
    for channel in range(3):
        ground = hill.colour[channel] * haze
        region[..., channel] += cover * (ground - region[..., channel])


def _fill_lake(picture: Picture, index: int) -> None:
    """Mirror what is above the horizon into the rows below it, rippled, and let the moon glitter in them."""
    height, width, _ = picture.shape
    horizon = int(HORIZON * height)
    rows = np.arange(horizon, height)
    near = ((rows - horizon) / (height - horizon)).astype(np.float32)
    ripple = np.sin(near * 60 / (0.25 + near) + index * 0.45) + 0.5 * np.sin(near * 170 - index * 0.8)
    source = np.clip(horizon - 1 - (rows - horizon) * 1.25 + ripple * near * 0.02 * height, 0, horizon - 1).astype(int)
    picture[horizon:] = picture[source]
    dim = (0.80 - 0.42 * near)[:, None]
    tint = (0.70, 0.86, 1.05)
    x = np.arange(width, dtype=np.float32)[None, :] / width - MOON_CENTRE[0]
    path = np.exp(-np.square(x / (0.012 + 0.075 * near[:, None])))
    wave = ripple[:, None]
    sparkle = np.clip(
        wave * 0.9 + np.sin(x * 310 + wave * 5 + index * 0.3) * np.cos(x * 91 - near[:, None] * 23) - 0.30, 0, None
    )
    glitter = np.asarray(path * sparkle * (0.45 * (1 - 0.55 * near[:, None])), np.float32)
    for channel in range(3):
        water = picture[horizon:, :, channel]
        water *= dim * tint[channel]
        water += glitter * _MOONLIGHT[channel]


@dataclass(frozen=True)
class Lantern:
    """Where a lantern floats at a frame, in picture heights, and how large and bright it is."""

    x: float
    y: float
    radius: float
    glow: float


def lanterns_at(index: int, aspect: float) -> list[Lantern]:
    """All lanterns of frame `index`, the farthest first."""
    rng = np.random.default_rng(88)
    found = []
    count = 26
    for number in range(count):
        near = (number + 0.5) / count
        start_x, start_y, phase, sway = rng.random(4)
        time = index / FRAMES
        x = (0.04 + 0.92 * start_x) * aspect + 0.02 * near * np.sin(time * 5 + phase * 6.283) * (0.5 + sway)
        y = 0.16 + 0.66 * start_y - time * (0.05 + 0.16 * near)
        flicker = 0.88 + 0.12 * np.sin(index * 1.7 + phase * 40)
        found.append(Lantern(float(x), float(y), 0.008 + 0.034 * near**1.8, float(flicker)))
    return found


def lanterns(size: tuple[int, int], index: int) -> tuple[Picture, tuple[int, int]]:
    """The lantern element and its data window's upper left corner: only what the lanterns cover is kept."""
    width, height = size
    picture = np.zeros((height, width, 4), np.float32)
    boxes = []
    for lantern in lanterns_at(index, width / height):
        box = _box(lantern.x * height, lantern.y * height, lantern.radius * height * 3.2 + 2, width, height)
        if box is not None:
            _light_lantern(picture, lantern, box)
            boxes.append(box)
    left, top, right, bottom = np.array(boxes or [(0, 0, 1, 1)]).T
    x, y = int(left.min()), int(top.min())
    return picture[y : int(bottom.max()), x : int(right.max())], (x, y)


def _box(x: float, y: float, reach: float, width: int, height: int) -> tuple[int, int, int, int] | None:
    left, right = max(0, int(x - reach)), min(width, int(x + reach) + 1)
    top, bottom = max(0, int(y - reach)), min(height, int(y + reach) + 1)
    return (left, top, right, bottom) if left < right and top < bottom else None


def _light_lantern(picture: Picture, lantern: Lantern, box: tuple[int, int, int, int]) -> None:
    """A paper drum, brighter towards its flame, in a faint halo of its own."""
    height = picture.shape[0]
    left, top, right, bottom = box
    u = ((np.arange(left, right, dtype=np.float32) / height - lantern.x) / lantern.radius)[None, :]
    v = ((np.arange(top, bottom, dtype=np.float32) / height - lantern.y) / lantern.radius)[:, None]
    waist = 0.74 + 0.10 * v
    inside = np.abs(u / waist) ** 4 + np.abs(v) ** 6
    edge = max(0.05, 1.5 / (lantern.radius * height))
    cover = np.clip((1 - inside) / (4 * edge) + 0.5, 0, 1) * 0.94
    flame = np.exp(-((u / 0.75) ** 2) - ((v - 0.55) / 0.8) ** 2)
    halo = np.clip(0.11 * np.exp(-(u * u + v * v) / 2.6) - 0.0025, 0, None) * lantern.glow
    heat = (0.55 + 2.6 * flame) * lantern.glow
    region = picture[top:bottom, left:right]
    region *= (1 - cover)[..., None]
    region[..., 0] += cover * heat * 1.00 + halo * 1.0
    region[..., 1] += cover * heat * (0.34 + 0.20 * flame) + halo * 0.42
    region[..., 2] += cover * heat * (0.07 + 0.10 * flame) + halo * 0.11
    region[..., 3] += cover


def fireflies(size: tuple[int, int], index: int) -> tuple[Picture, tuple[int, int]]:
    """Small lights over the water, each on a loop of its own, with little alpha: they add light.

    The data window (its upper left corner is the second value) is the lower half of the picture.
    """
    width, height = size
    picture = np.zeros((height, width, 4), np.float32)
    rng = np.random.default_rng(33)
    for _ in range(90):
        x, y, phase, speed, bright = rng.random(5)
        turn = index * (0.03 + 0.07 * speed) + phase * 6.283
        blink = max(0.0, float(np.sin(turn * 2.3)))
        reach = (0.0022 + 0.0035 * bright) * height
        centre_x = x * width + 0.035 * height * np.sin(turn)
        centre_y = (0.58 + 0.36 * y) * height + 0.02 * height * np.cos(turn * 1.3)
        box = _box(centre_x, centre_y, reach * 3.5 + 1, width, height)
        if box is None or not blink:
            continue
        left, top, right, bottom = box
        across = np.square((np.arange(left, right, dtype=np.float32) - centre_x) / (reach + 0.3))[None, :]
        down = np.square((np.arange(top, bottom, dtype=np.float32) - centre_y) / (reach + 0.3))[:, None]
        light = (np.exp(-across - down) * blink * (0.7 + 1.6 * bright)).astype(np.float32)
        light[light < 1e-3] = 0
        picture[top:bottom, left:right] += light[..., None] * np.array([0.75, 1.0, 0.28, 0.18], np.float32)
    return picture[height // 2 :], (0, height // 2)


def moon(size: int) -> Picture:
    """A full moon with seas and craters, as a square still."""
    line = np.linspace(-1.06, 1.06, size, dtype=np.float32)
    x, y = line[None, :], line[:, None]
    radius = np.sqrt(x * x + y * y)
    cover = np.clip((1 - radius) * size / 2.12 + 0.5, 0, 1)
    seas = 0.55 * _clouds(size, size, 5, 5) + 0.30 * _clouds(size, size, 17, 6) + 0.15 * _clouds(size, size, 60, 7)
    grey = 0.95 - 0.55 * np.clip((seas - 0.36) * 2.2, 0, 1)
    rng = np.random.default_rng(12)
    for _ in range(46):
        at_x, at_y = rng.uniform(-0.8, 0.8, 2)
        reach = 0.02 + 0.08 * rng.random() ** 3
        away = np.sqrt((x - at_x) ** 2 + (y - at_y) ** 2) / reach
        grey += 0.12 * np.exp(-np.square((away - 1) * 4)) - 0.10 * np.exp(-np.square(away * 1.2))
    shade = np.sqrt(np.clip(1 - radius * radius * 0.8, 0, 1))
    light = cover * grey * shade
    return np.stack([light * 0.66, light * 0.68, light * 0.74, cover], axis=-1).astype(np.float32)


def mist(width: int, height: int) -> Picture:
    """A wide card of mist, thick in its middle and nothing at its edges."""
    coarse, middle, fine = (_clouds(width, height, cells, 20 + cells) for cells in (5, 13, 37))
    cloud = 0.6 * coarse + 0.3 * middle + 0.1 * fine
    across = np.clip(np.sin(np.linspace(0, np.pi, width, dtype=np.float32)), 0, 1)[None, :] ** 0.5
    down = np.clip(np.sin(np.linspace(0, np.pi, height, dtype=np.float32)), 0, 1)[:, None] ** 1.5
    cover = np.clip((cloud - 0.32) * 1.5, 0, 1) * across * down * 0.6
    return np.stack([cover * 0.42, cover * 0.36, cover * 0.48, cover], axis=-1).astype(np.float32)


def _clouds(width: int, height: int, cells: int, seed: int) -> Picture:
    """Smooth noise in 0..1 with `cells` features across the height."""
    across = max(2, round(cells * width / height))
    grid = np.random.default_rng(seed).random((cells + 2, across + 2), dtype=np.float32)

    def spread(line: NDArray[np.float32], count: int, features: int) -> NDArray[np.float32]:
        at = np.linspace(0, features, count, endpoint=False, dtype=np.float32)
        low = at.astype(int)
        ease = at - low
        ease = ease * ease * (3 - 2 * ease)
        return np.asarray(line[low] * (1 - ease)[:, None] + line[low + 1] * ease[:, None], np.float32)

    return spread(spread(grid, height, cells).T.copy(), width, across).T


def look(edge: int = 17) -> str:
    """The .cube of the shot's look: cooler shadows, warmer lights, a gentle shoulder. Red runs fastest."""
    line = np.linspace(0, 1, edge)
    blue, green, red = np.meshgrid(line, line, line, indexing="ij")
    rgb = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
    luma = (rgb @ np.array([0.2126, 0.7152, 0.0722]))[:, None]
    warm = np.array([1.06, 1.0, 0.92]) * luma + np.array([0.96, 1.0, 1.08]) * (1 - luma)
    graded = rgb * warm
    graded = luma + (graded - luma) * 1.08
    rows = "\n".join(f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in np.clip(graded, 0, 1))
    return f'TITLE "dusk"\nLUT_3D_SIZE {edge}\nDOMAIN_MIN 0 0 0\nDOMAIN_MAX 1 1 1\n{rows}\n'
