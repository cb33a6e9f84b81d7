"""A chart of the page as PNG, for slides and mails that take no SVG.

The charts are made of six kinds of mark (`jit_render.report.charts`), and matplotlib draws each of them in the same
place: so there is one look of a chart, and no second program that must be installed to have it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SCALE = 3
"""Pixels of the picture to one unit of the chart, so that it is sharp on paper."""
_POINTS = 0.72
"""Points of type to one unit, at 100 units an inch."""
_ANCHOR = {"end": "right", "middle": "center"}
_CLASS = {"grid": "#d5d5d5", "axis": "#444444"}


def write_png(chart: str, path: Path) -> None:
    """`chart`: one of our own ``<svg>`` elements."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    root = ET.fromstring(chart)
    _, _, width, height = (float(part) for part in root.attrib["viewBox"].split())
    figure = Figure(figsize=(width / 100, height / 100), dpi=100 * _SCALE, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    for order, mark in enumerate(root):
        _draw(axes, mark, order)
    figure.savefig(path)


def _draw(axes: Axes, mark: ET.Element, order: int) -> None:
    from matplotlib.patches import Circle, Polygon, Rectangle

    kind, has = mark.tag.rpartition("}")[2], mark.attrib
    fill = has.get("fill", "#222222")
    if kind == "text":
        _write(axes, mark, order)
    elif kind == "rect":
        x, y, width, height = (float(has[name]) for name in ("x", "y", "width", "height"))
        edge = has.get("stroke", "none")
        axes.add_patch(Rectangle((x, y), width, height, facecolor=fill, edgecolor=edge, linewidth=0.4, zorder=order))
    elif kind == "circle":
        axes.add_patch(Circle((float(has["cx"]), float(has["cy"])), float(has["r"]), facecolor=fill, zorder=order))
    elif kind == "polygon":
        opacity = float(has.get("fill-opacity", 1))
        axes.add_patch(Polygon(_points(has["points"]), facecolor=fill, alpha=opacity, linewidth=0, zorder=order))
    elif kind == "polyline":
        dash = tuple(float(part) * _POINTS for part in has.get("stroke-dasharray", "").split())
        xs, ys = zip(*_points(has["points"]), strict=True) if has["points"] else ((), ())
        axes.plot(xs, ys, color=has["stroke"], linewidth=1.5, linestyle=(0, dash) if dash else "-", zorder=order)
    elif kind == "line":
        ends = [[float(has[f"{name}{end}"]) for end in (1, 2)] for name in "xy"]
        axes.plot(*ends, color=_CLASS.get(has.get("class", ""), "#444444"), linewidth=0.7, zorder=order)


def _write(axes: Axes, mark: ET.Element, order: int) -> None:
    has = mark.attrib
    is_title = has.get("class") == "title"
    axes.text(
        float(has["x"]),
        float(has["y"]),
        (mark.text or "").replace("$", r"\$"),
        fontsize=(15 if is_title else 12) * _POINTS,
        fontweight="bold" if is_title else "normal",
        horizontalalignment=_ANCHOR.get(has.get("text-anchor", ""), "left"),
        verticalalignment="baseline",
        color="#222222",
        zorder=order,
    )


def _points(text: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in text.split())]
