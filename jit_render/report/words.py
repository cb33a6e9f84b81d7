"""Sizes and times as people say them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime


def size(size_bytes: float) -> str:
    """``310 MB``: three digits, powers of 1000, as storage is sold and billed."""
    unit, *larger = ("B", "kB", "MB", "GB", "TB")
    while abs(size_bytes) >= 999.5 and larger:
        size_bytes /= 1000
        unit = larger.pop(0)
    digits = 0 if unit == "B" or abs(size_bytes) >= 100 else 1
    return f"{size_bytes:.{digits}f} {unit}"


def duration(seconds: float) -> str:
    """``8.4 s``, ``3:05`` minutes, ``2:10:07`` hours."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def moment(wall: float) -> str:
    """A time of day in the reader's own zone."""
    return datetime.fromtimestamp(wall, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def share(part: float | None) -> str:
    """``83 %``; a dash where there is nothing to say yet. Only the whole is 100 %."""
    if part is None:
        return "-"
    return f"{min(round(part * 100), 99 if part < 1 else 100)} %"


def count(number: int, one: str, many: str = "") -> str:
    """``1 frame``, ``2 frames``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def cut_end(text: str, width: int) -> str:
    """`text` in `width` columns: a node's name says most in front."""
    return text if len(text) <= width else text[: width - 1] + "…"


def cut_start(text: str, width: int) -> str:
    """`text` in `width` columns: a path says most behind."""
    return text if len(text) <= width else "…" + text[len(text) - width + 1 :]


FEW_VIEWS = 6


def views_told(views: Sequence[str]) -> str:
    """The names of a few views; of many, the first, the last and how many: cameras may be hundreds."""
    return " ".join(views) if len(views) <= FEW_VIEWS else f"{views[0]} to {views[-1]}, {len(views)} views"
