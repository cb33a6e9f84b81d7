"""Where the colours of a mosaic stand.

The pattern's phase is anchored at the display window's corner, so that a crop or a tile at an odd place still means the
same filters.
"""

from __future__ import annotations

from typing import Literal

from preprocess.image import Image, Window

Pattern = Literal["RGGB", "BGGR", "GRBG", "GBRG"]
PATTERNS: tuple[Pattern, ...] = ("RGGB", "BGGR", "GRBG", "GBRG")
BLACK, WHITE, PATTERN = "sensor:black", "sensor:white", "sensor:pattern"
"""Metadata of camera raw: four numbers, one number, a pattern."""


def corner_phase(image: Image) -> tuple[int, int]:
    """The row and column, modulo 2, of the image's first pixel inside the pattern."""
    return phase_of(image.data_window, image.display_window)


def phase_of(window: Window, display: Window) -> tuple[int, int]:
    return (window.y - display.y) % 2, (window.x - display.x) % 2


def colour_at(pattern: Pattern, phase: tuple[int, int], row: int, column: int) -> str:
    """The filter over the pixel at this row and column of the array."""
    return pattern[2 * ((row + phase[0]) % 2) + (column + phase[1]) % 2]
