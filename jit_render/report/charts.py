"""Charts as inline SVG: bars, stacked bars, rows and lines, with axes that say their units.

Everything is text made here: no script, no font, no network, so a page with charts is one file that can be mailed,
printed and kept. Every string that comes from outside is escaped. Colours are those of Okabe and Ito ("Color Universal
Design", 2008), which people with any colour blindness tell apart; lines also differ by their dashes and bars by a
white edge, so that a grey print can be read. A chart scales to its column (``viewBox``), and its words are sized for a
phone's: give it one column's width.

::

    chart = Chart(title="Frame times", x=Axis("frame"), y=Axis("seconds", unit="s"))
    bars(chart, [Bar("1001", (("render", 3.1), ("wait", 0.4)))])      stacked where a bar has several parts
    rows(chart, [("waiting for files", 0.4, "$0.40")])                horizontal, for few things with long names
    lines(chart, [Line("jit", ((1, 10.0), (8, 78.0)), low=(9.5, 70.0), high=(10.5, 82.0))])

All return ``<svg>…</svg>``; `CSS` goes into the page's style once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000", "#999999", "#7B5EA7")
DASHES = ("", "8 3", "2 3", "8 3 2 3", "12 4", "4 4")
CSS = """
svg.chart { width: 100%; height: auto; max-width: 34rem; display: block; font-family: inherit; }
svg.chart text { fill: #222; font-size: 13px; }
svg.chart .title { font-size: 15px; font-weight: 600; }
svg.chart .grid { stroke: #d5d5d5; stroke-width: 1; }
svg.chart .axis { stroke: #444; stroke-width: 1; }
"""

WIDTH = 400
_LEFT, _RIGHT, _TOP, _BOTTOM, _PLOT = 62, 16, 30, 46, 190
_FEW_BARS, _LINE = 12, 15
_LEGEND = 20  # height of one line of the legend
_LETTER = 8.0  # width of a letter at 13 px, generously
_TICKS = 5
_ROW = 25  # height of a horizontal bar with what is around it


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis counts. `top` None: as far as the values go; `is_log` only for a line chart's x."""

    name: str
    unit: str = ""
    top: float | None = None
    is_log: bool = False

    @property
    def label(self) -> str:
        return f"{self.name} ({self.unit})" if self.unit else self.name


@dataclass(frozen=True, slots=True)
class Chart:
    """What is around the marks. `colours`: of series by name, where the palette's order is not wanted."""

    title: str
    x: Axis
    y: Axis
    colours: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its name on the axis, and its parts from below upward (series, value >= 0)."""

    name: str
    parts: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One series of points with rising x; `low` and `high` (one each per point, or none) draw a band."""

    name: str
    points: tuple[tuple[float, float], ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class _Frame:
    """The plot's place. `top` is the y axis's end in values."""

    head: float
    top: float

    def y(self, value: float) -> float:
        return self.head + _PLOT * (1 - min(max(value, 0.0), self.top) / self.top)

    @property
    def foot(self) -> float:
        return self.head + _PLOT


def bars(chart: Chart, given: Sequence[Bar]) -> str:
    """Vertical bars, stacked where they have several parts; names that overlap go below, of many some go out."""
    names = list(dict.fromkeys(name for bar in given for name, _ in bar.parts))
    colours = _colours(chart, names)
    top = max((sum(_plain(value) for _, value in bar.parts) for bar in given), default=0.0)
    frame, marks = _frame(chart, names, colours, top)
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(given))
    edge = ' stroke="#fff" stroke-width="0.5"' if step > 5 else ""
    for number, bar in enumerate(given):
        at, base = _LEFT + number * step + step * 0.08, 0.0
        for name, raw in bar.parts:
            value = _plain(raw)
            high, low = frame.y(base + value), frame.y(base)
            base += value
            if value > 0:
                place = f'x="{at:.2f}" y="{high:.2f}" width="{step * 0.84:.2f}" height="{low - high:.2f}"'
                told = f"{bar.name}: {name} {_shown(value)} {chart.y.unit}".strip()
                marks.append(f'<rect {place} fill="{colours[name]}"{edge}><title>{escape(told)}</title></rect>')
    named = [(_LEFT + (number + 0.5) * step, bar.name) for number, bar in enumerate(given)]
    words = _names(named, frame)
    left_out = [one for one, word in zip(named, words, strict=True) if not word] if len(given) <= _FEW_BARS else []
    lower = _names(left_out, frame, down=_LINE)
    return _svg(chart, frame, [*marks, *words, *lower], empty=not given, deeper=_LINE if left_out else 0)


def rows(chart: Chart, given: Sequence[tuple[str, float, str]]) -> str:
    """Horizontal bars of few things with long names: name, value, and the value in words at the bar's end.

    The x axis is not drawn: each bar says its value, and `chart.x.label` says of what.
    """
    top = max((_plain(value) for _, value, _ in given), default=0.0) or 1.0
    left = min(WIDTH * 0.45, max((len(name) for name, _, _ in given), default=0) * _LETTER + 10)
    right = max((len(words) for _, _, words in given), default=0) * _LETTER + 12
    marks, at = [], _TOP + 22.0
    for name, value, words in given:
        long = max(0.0, WIDTH - left - right) * _plain(value) / top
        colour = chart.colours.get(name, PALETTE[0])
        shown = name if len(name) * _LETTER <= left else name[: int(left / _LETTER) - 1] + "…"
        marks.append(f'<text x="{left - 6:.1f}" y="{at + 13:.1f}" text-anchor="end">{escape(shown)}</text>')
        marks.append(f'<rect x="{left:.1f}" y="{at:.1f}" width="{max(long, 0.5):.2f}" height="18" fill="{colour}"/>')
        marks.append(f'<text x="{left + long + 5:.1f}" y="{at + 13:.1f}">{escape(words)}</text>')
        at += _ROW
    said = "" if given else f'<text x="4" y="{at + 13:.1f}">nothing to show yet</text>'
    return "".join(
        [
            f'<svg class="chart" viewBox="0 0 {WIDTH} {at + (0 if given else 24):.0f}" role="img"',
            f' aria-label="{escape(chart.title)}"><text class="title" x="4" y="16">{escape(chart.title)}</text>',
            f'<text x="4" y="{_TOP + 10}">{escape(chart.x.label)}</text>{said}',
            *marks,
            "</svg>",
        ]
    )


def lines(chart: Chart, given: Sequence[Line]) -> str:
    """Lines with a dot at each point (where there are few), and a band between `low` and `high`."""
    colours = _colours(chart, [line.name for line in given])
    values = [v for line in given for v in (*(y for _, y in line.points), *line.high)]
    frame, marks = _frame(chart, [line.name for line in given], colours, max(map(_plain, values), default=0.0))
    xs = sorted({x for line in given for x, _ in line.points if math.isfinite(x)})
    place = _Across(xs[0] if xs else 0.0, chart.x.top or (xs[-1] if xs else 1.0), is_log=chart.x.is_log)
    for number, line in enumerate(given):
        points = [(place.of(x), frame.y(_plain(y))) for x, y in line.points]
        colour = colours[line.name]
        if line.low and line.high:
            around = [(x, frame.y(_plain(v))) for (x, _), v in zip(points, line.high, strict=True)]
            around += [(x, frame.y(_plain(v))) for (x, _), v in zip(points[::-1], line.low[::-1], strict=True)]
            marks.append(f'<polygon points="{_points(around)}" fill="{colour}" fill-opacity="0.18"/>')
        dash = f' stroke-dasharray="{DASHES[number % len(DASHES)]}"' if DASHES[number % len(DASHES)] else ""
        marks.append(f'<polyline points="{_points(points)}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        if len(points) <= 40:
            told = [f"{line.name}: {_shown(x)}, {_shown(y)} {chart.y.unit}".strip() for x, y in line.points]
            marks += [
                f'<circle cx="{x:.2f}" cy="{y:.2f}" r="3" fill="{colour}"><title>{escape(text)}</title></circle>'
                for (x, y), text in zip(points, told, strict=True)
            ]
    ticks = xs if chart.x.is_log or len(xs) <= _TICKS else [x for x in _ticks(place.end) if x >= place.begin]
    marks += _names([(place.of(x), _shown(x)) for x in ticks], frame)
    return _svg(chart, frame, marks, empty=not xs)


@dataclass(frozen=True, slots=True)
class _Across:
    """Where an x value lies."""

    begin: float
    end: float
    is_log: bool

    def of(self, x: float) -> float:
        low, high, at = (math.log10(max(v, 1e-12)) if self.is_log else v for v in (self.begin, self.end, x))
        share = (at - low) / (high - low) if high > low else 0.5
        return _LEFT + 6 + min(1.0, max(0.0, share)) * (WIDTH - _LEFT - _RIGHT - 12)


def _plain(value: float) -> float:
    """A value that can be drawn: not below nought, and a number."""
    return max(0.0, value) if math.isfinite(value) else 0.0


def _colours(chart: Chart, names: Sequence[str]) -> dict[str, str]:
    return {name: chart.colours.get(name, PALETTE[at % len(PALETTE)]) for at, name in enumerate(dict.fromkeys(names))}


def _frame(chart: Chart, names: Sequence[str], colours: dict[str, str], highest: float) -> tuple[_Frame, list[str]]:
    """The plot's place below title and legend; and legend, grid and y axis as marks."""
    legend, rows = _legend(names if len(names) > 1 else (), colours)
    ticks = _ticks(chart.y.top or highest)
    frame = _Frame(_TOP + rows * _LEGEND + 24, ticks[-1])
    for tick in ticks:
        at = frame.y(tick)
        legend.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.2f}" y2="{at:.2f}"/>')
        legend.append(f'<text x="{_LEFT - 6}" y="{at + 4:.2f}" text-anchor="end">{_shown(tick)}</text>')
    return frame, legend


def _legend(names: Sequence[str], colours: dict[str, str]) -> tuple[list[str], int]:
    marks, at, row = [], float(_LEFT), 0
    for name in dict.fromkeys(names):
        shown = name if len(name) <= 40 else name[:39] + "…"
        wide = 20 + len(shown) * _LETTER + 8
        if at + wide > WIDTH and at > _LEFT:
            at, row = float(_LEFT), row + 1
        y = _TOP + row * _LEGEND
        marks.append(f'<rect x="{at:.1f}" y="{y}" width="13" height="13" fill="{colours[name]}"/>')
        marks.append(f'<text x="{at + 18:.1f}" y="{y + 11}">{escape(shown)}</text>')
        at += wide
    return marks, row + 1 if names else 0


def _ticks(highest: float) -> list[float]:
    """Round numbers from 0 to the first that is not below `highest`."""
    if highest <= 0 or not math.isfinite(highest):
        return [0.0, 1.0]
    rough = highest / _TICKS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= rough * (1 - 1e-9))
    return [number * step for number in range(math.ceil(highest / step - 1e-9) + 1)]


def _names(given: Sequence[tuple[float, str]], frame: _Frame, *, down: float = 0) -> list[str]:
    """Words under the x axis, as many as have room; nothing for each that has none."""
    marks, free = [], -math.inf
    for at, name in given:
        shown = name if len(name) <= 16 else name[:15] + "…"
        half = len(shown) * _LETTER / 2
        if at - half < free:
            marks.append("")
            continue
        anchor, x = ("end", WIDTH - 2.0) if at + half > WIDTH else ("middle", at)
        begin = x - 2 * half if anchor == "end" else at - half
        if begin < free:
            marks.append("")
            continue
        free = begin + 2 * half + _LETTER
        marks.append(
            f'<text x="{x:.2f}" y="{frame.foot + 17 + down:.2f}" text-anchor="{anchor}">{escape(shown)}</text>'
        )
    return marks


def _svg(chart: Chart, frame: _Frame, marks: list[str], *, empty: bool, deeper: float = 0) -> str:
    height = frame.foot + _BOTTOM + deeper
    foot, lowest = f"{frame.foot:.2f}", f"{frame.foot + 37 + deeper:.2f}"
    said = f'<text x="{WIDTH / 2}" y="{frame.head + _PLOT / 2}" text-anchor="middle">nothing to show yet</text>'
    return "".join(
        [
            f'<svg class="chart" viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(chart.title)}">',
            f'<text class="title" x="4" y="16">{escape(chart.title)}</text>',
            *marks,
            said if empty else "",
            f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{foot}" y2="{foot}"/>',
            f'<text x="4" y="{frame.head - 11:.2f}">{escape(chart.y.label)}</text>',
            f'<text x="{WIDTH - _RIGHT}" y="{lowest}" text-anchor="end">{escape(chart.x.label)}</text>',
            "</svg>",
        ]
    )


def _points(given: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in given)


def _shown(value: float) -> str:
    """A number in few characters."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.6f}".rstrip("0").rstrip(".") if abs(value) < 0.01 else f"{value:.4g}"
