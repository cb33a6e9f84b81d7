"""Charts: well-formed, escaped, with units, and no number that cannot be drawn."""

import itertools
from xml.etree import ElementTree as ET

import pytest

from jit_render.report.charts import Axis, Bar, Chart, Line, bars, lines, rows

CHART = Chart(title="Times <b>&", x=Axis("nodes"), y=Axis("rate", unit="frames/h"))


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(svg).iter("text")]


def test_a_bar_chart_names_its_axes_units_and_series():
    found = texts(bars(CHART, [Bar("1001", (("render", 3.0), ("wait", 1.0))), Bar("1002", (("render", 2.0),))]))
    assert {"Times <b>&", "rate (frames/h)", "nodes", "render", "wait", "1001", "1002"} <= set(found)


def test_a_stack_is_as_high_as_its_parts_together():
    svg = ET.fromstring(bars(CHART, [Bar("a", (("x", 3.0), ("y", 1.0))), Bar("b", (("x", 4.0),))]))
    heights = [float(node.get("height")) for node in svg.iter("rect") if node.find("title") is not None]
    assert heights[0] + heights[1] == pytest.approx(heights[2], abs=0.02)


def test_a_band_has_a_point_for_each_bound():
    svg = lines(CHART, [Line("jit", ((1, 10), (2, 19)), low=(9, 17), high=(11, 21)), Line("filer", ((1, 10), (2, 10)))])
    polygon = next(ET.fromstring(svg).iter("polygon"))
    assert len(polygon.get("points").split()) == 4
    dashes = [node.get("stroke-dasharray") for node in ET.fromstring(svg).iter("polyline")]
    assert dashes[0] != dashes[1]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><x', "a" * 500, "&amp;", ""])
def test_hostile_names_are_words(name):
    chart = Chart(title=name, x=Axis(name), y=Axis(name, unit=name))
    for svg in (bars(chart, [Bar(name, ((name, 1.0), ("other", 1.0)))]), lines(chart, [Line(name, ((1, 2), (3, 4)))])):
        assert {node.tag for node in ET.fromstring(svg).iter()} <= {
            "svg", "text", "rect", "line", "title", "polyline", "polygon", "circle",
        }  # fmt: skip


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf"), -3.0, 1e-9, 1e15])
def test_any_number_can_be_drawn(value):
    for svg in (bars(CHART, [Bar("a", (("x", value),))]), lines(CHART, [Line("x", ((1, value), (2, 1.0)))])):
        assert not {"nan", "inf"} & {word for node in ET.fromstring(svg).iter() for word in node.attrib.values()}


def test_no_data_says_so():
    assert "nothing to show yet" in texts(bars(CHART, []))
    assert "nothing to show yet" in texts(lines(CHART, []))


def test_names_on_the_axis_never_overlap():
    svg = ET.fromstring(bars(CHART, [Bar(str(1001 + n), (("x", 1.0),)) for n in range(400)]))
    at = [
        float(node.get("x")) for node in svg.iter("text") if (node.text or "").startswith("1") and len(node.text) == 4
    ]
    assert 5 < len(at) < 20
    assert min(b - a for a, b in itertools.pairwise(at)) > 28


def test_rows_say_their_values_and_keep_long_names_out_of_the_bars():
    svg = ET.fromstring(rows(CHART, [("waiting for files " * 9, 3.0, "$3.00"), ("<b>", 0.0, "$0"), ("x", 1.5, "y")]))
    wide = [float(node.get("width")) for node in svg.iter("rect")]
    assert wide[0] == pytest.approx(2 * wide[2], abs=0.02)
    assert {"$3.00", "<b>", "nodes"} <= {node.text for node in svg.iter("text")}
    assert "nothing to show yet" in texts(rows(CHART, []))
