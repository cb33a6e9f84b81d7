"""What the model says: throughput and cost by nodes, what suits which shot, what the saving hangs on."""

from __future__ import annotations

from html import escape
from typing import Any

from benchmarks.report.claim import percent
from benchmarks.report.page import Found, Section, not_run, origin
from jit_render.report.charts import Axis, Bar, Chart, Line, bars, lines, rows
from jit_render.report.document import grid

_GROWTH = "Simulated: 10 to 10,000 nodes"
_CHOICES = "Which system suits which shot"
_SENSITIVITY = "What the saving hangs on"


def growth(found: Found) -> Section:
    """Throughput with its band, and cost per frame by part at the middle size."""
    result = found.get("simulate")
    if result is None:
        return not_run(_GROWTH, "simulate")
    charts: dict[str, str] = {}
    for shot, told in result["shots"].items():
        slug = shot.replace(" ", "-")
        charts[f"simulated-{slug}"] = _throughput(shot, told["growth"])
        charts[f"cost-{slug}"] = _cost(shot, told["growth"])
    validation = result["validation"]
    words = "Both axes' values per farm; bands are 95 % intervals over seeds. "
    if validation["worst"] is None:
        words += "The model was not held against a farm run here."
    else:
        verdict = "met" if validation["met"] else "not met"
        words += (
            f"Against the measured farm it is off by at most {percent(validation['worst'])} (wanted 15 %: {verdict})."
        )
    return Section(_GROWTH, words, charts, _validated(validation) + origin(result, "simulate"))


def _throughput(shot: str, told: list[dict[str, Any]]) -> str:
    chart = Chart(f"{shot}: frames an hour", Axis("nodes", is_log=True), Axis("frames an hour"))
    given = []
    for system in dict.fromkeys(row["system"] for row in told):
        own = [row for row in told if row["system"] == system]
        rate = [row["frames_per_hour"] for row in own]
        points = tuple((float(row["nodes"]), one["mean"]) for row, one in zip(own, rate, strict=True))
        given.append(Line(system, points, tuple(one["low"] for one in rate), tuple(one["high"] for one in rate)))
    return lines(chart, given)


def _cost(shot: str, told: list[dict[str, Any]]) -> str:
    counts = sorted({row["nodes"] for row in told})
    middle = counts[len(counts) // 2]
    chart = Chart(f"{shot}: cost of a frame, {middle:,} nodes", Axis("system"), Axis("cost", "US cents"))
    given = [
        Bar(row["system"], tuple((part, 100 * usd) for part, usd in row["usd_by_part"].items() if usd > 0))
        for row in told
        if row["nodes"] == middle
    ]
    return bars(chart, given)


def _validated(validation: dict[str, Any]) -> str:
    if not validation["runs"]:
        return ""
    told = [
        (
            one["system"],
            f"{one['hosts']}{'' if one['is_judged'] else ' (cores busy)'}",
            f"{one['measured']:.2f}",
            f"{one['predicted']:.2f}",
            f"{100 * one['off']:+.1f} %",
        )
        for one in validation["runs"]
    ]
    return grid(("system", "hosts", "measured s", "predicted s", "off"), told, numbers=(1, 2, 3, 4))


def choices(found: Found) -> Section:
    """The map."""
    result = found.get("simulate")
    if result is None:
        return not_run(_CHOICES, "simulate")
    words = (
        "The cheapest system by megabytes that a frame reads per second of its computing (rows) and by nodes "
        "(columns), and by how much it is cheaper than the next best (for others: than jit). Before a multi-region "
        "bucket Rapid Cache pays where nodes read each byte "
        f"{result['rapid_cache_pays_from_reads']:.1f} times a day or more."
    )
    whole = "<h3>The filer is whole servers of 4 TiB, which a small farm pays for and does not fill</h3>"
    own = (
        "<h3>The filer may be as small as a tenth of that server, with bandwidth and price in proportion, as long as "
        "it holds the shot</h3>"
    )
    small = [{**cell, **cell["own_filer"]} for cell in result["choices"]]
    return Section(_CHOICES, words, below=whole + _map(result["choices"]) + own + _map(small))


def _map(told: list[dict[str, Any]]) -> str:
    cells = {(cell["mb_per_second"], cell["nodes"]): cell for cell in told}
    nodes = sorted({key[1] for key in cells})
    body = [
        (f"{rate:g}", *(_cell(cells[rate, count]) for count in nodes)) for rate in sorted({key[0] for key in cells})
    ]
    return grid(("MB/s", *(f"{count:,}" for count in nodes)), body)


def _cell(cell: dict[str, Any]) -> str:
    usd = cell["usd_per_frame"]
    others = [value for system, value in usd.items() if system != "jit"]
    saving = 1 - usd["jit"] / min(others) if cell["best"] == "jit" else 1 - usd[cell["best"]] / usd["jit"]
    return f"{cell['best']} {100 * saving:.0f}\N{NO-BREAK SPACE}%"


def sensitivity(found: Found) -> Section:
    """How far the saving moves with each assumption."""
    result = found.get("simulate")
    if result is None:
        return not_run(_SENSITIVITY, "simulate")
    charts = {}
    tables = ""
    for shot, told in result["shots"].items():
        of_shot = told["sensitivity"]
        chart = Chart(f"{shot}: spread of the saving", Axis("assumption"), Axis("spread", "points"))
        spread = [(one["name"], 100 * abs(one["saving_at_high"] - one["saving_at_low"])) for one in of_shot]
        charts[f"sensitivity-{shot.replace(' ', '-')}"] = rows(chart, [(name, by, f"{by:.0f}") for name, by in spread])
        body = [(one["name"], _range(one), _from_to(one), one["source"]) for one in of_shot]
        tables += f"<h3>{escape(shot)}: saving {percent(of_shot[0]['saving'])}</h3>"
        tables += grid(("assumption", "from … to", "saving", "source"), body)
    words = (
        "The saving against the cheapest number of filers at 100 nodes, with one assumption changed at a time: "
        "halved and doubled where nothing better is known. Means of three seeds: differences of a few points are luck."
    )
    return Section(_SENSITIVITY, words, charts, tables)


def _from_to(one: dict[str, Any]) -> str:
    return f"{percent(one['saving_at_low'])} to {percent(one['saving_at_high'])}"


def _range(one: dict[str, Any]) -> str:
    unit = str(one["unit"])
    scale = 1e6 if unit.startswith("B") else 1
    return f"{one['low'] / scale:g} to {one['high'] / scale:g} {'M' if scale > 1 else ''}{unit}".strip()
