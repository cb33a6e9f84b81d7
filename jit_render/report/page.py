"""The page of a job: one HTML file that needs nothing else, for a screen, a phone and paper.

What stands in it comes from scripts, paths and machines, so everything is escaped; there is no script in it.
"""

from __future__ import annotations

from html import escape
from itertools import groupby
from pathlib import Path

from jit_render.cost.bill import PARTS, usd
from jit_render.farm.plan_diff import PlanDiff
from jit_render.report.charts import Axis, Bar, Chart, Line, bars, lines, rows
from jit_render.report.cost import NAMES, assumptions, hours, otherwise
from jit_render.report.document import document, grid
from jit_render.report.page_data import PageData
from jit_render.report.words import count, duration, moment, share, size

MOST_BARS = 96  # on one chart; of longer jobs neighbours are averaged


def page(data: PageData) -> str:
    """The whole document."""
    title = f"{data.cost.spec.id}: {data.status.state}"
    sections = [_head(data), _progress(data), _times(data), _cost(data), _cache(data), _slowest(data)]
    sections += [_plan(data), _failures(data), _foot(data)]
    return document(title, sections)


def write_page(data: PageData, path: Path) -> None:
    """The page as a file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(page(data), encoding="utf-8")
    temporary.replace(path)


def _head(data: PageData) -> str:
    status, spec, total = data.status, data.cost.spec, data.cost.bill.total
    done = data.cost.frames_done
    mean = sum(one.seconds for one in data.frames) / len(data.frames) if data.frames else 0.0
    facts = [
        (f"{status.frames_done} of {status.frames_total}", "frames done"),
        (duration(status.seconds), "from first to last sign of life"),
        (duration(mean), "in a renderer, mean of a frame"),
        (share(status.hit_rate), "of files were on the node already"),
        (usd(total.total), f"cost{_as_if(data)}"),
        (usd(total.total / done) if done else "-", "a frame"),
    ]
    cells = "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for value, name in facts)
    made = f"{spec.user or 'somebody'}, {moment(spec.created)}; {spec.script_name}, {data.cost.version}"
    frames = spec.frames if len(spec.frames) <= 60 else spec.frames[:59] + "…"
    return (
        f"<h1>{escape(spec.shot)}: {escape(status.state)}</h1>"
        f'<p class="quiet">{escape(spec.id)}; frames {escape(frames)}; {escape(made)}</p>'
        f'<div class="facts">{cells}</div>'
    )


def _as_if(data: PageData) -> str:
    return f", as if on {data.cost.terms.machine}" if data.cost.bill.is_assumed else ""


def _progress(data: PageData) -> str:
    ends = sorted(one.done_at for one in data.frames if not one.adopted_from)
    there = sum(bool(one.adopted_from) for one in data.frames)
    last = max(ends, default=data.started)
    unit, divide = ("min", 60.0) if last - data.started > 180 else ("s", 1.0)
    points = [(0.0, float(there)), *(((at - data.started) / divide, float(there + n + 1)) for n, at in enumerate(ends))]
    step = max(1, len(points) // 400)
    thin = [*points[:-1:step], points[-1]]
    chart = Chart("Frames done over time", Axis("since the start", unit), Axis("frames done"))
    note = f'<p class="quiet">{count(there, "frame")} were there already.</p>' if there else ""
    return "<h2>Progress</h2>" + lines(chart, [Line("done", tuple(thin))] if ends else []) + note


def _times(data: PageData) -> str:
    fresh = [one for one in data.frames if not one.adopted_from]
    size_of = max(1, -(-len(fresh) // MOST_BARS))
    given = []
    for _, part in groupby(enumerate(fresh), key=lambda pair: pair[0] // size_of):
        group = [one for _, one in part]
        wait = sum(one.wait_seconds for one in group) / len(group)
        work = sum(one.seconds for one in group) / len(group) - wait
        given.append(Bar(str(group[0].frame), (("rendering", work), ("waiting for files", wait))))
    averaged = f'<p class="quiet">Each bar is the mean of {size_of} frames.</p>' if size_of > 1 else ""
    said = '<p class="quiet">Waiting is known for each attempt and shared among its frames by their length.</p>'
    return (
        "<h2>Frames</h2>" + bars(Chart("Time of each frame", Axis("frame"), Axis("time", "s")), given) + averaged + said
    )


def _cost(data: PageData) -> str:
    total = data.cost.bill.total
    shown = [part for part in PARTS if getattr(total, part) > 0]
    chart = Chart("Cost by part", Axis("cost", "USD"), Axis("part"))
    drawn = rows(chart, [(NAMES[part], getattr(total, part), usd(getattr(total, part))) for part in shown])
    told_parts = [[NAMES[part], usd(getattr(total, part)), share(getattr(total, part) / total.total)] for part in shown]
    seconds = data.cost.bill.seconds
    timed = [
        [*row, hours(seconds[part] / 3600) if part in seconds else ""]
        for row, part in zip(told_parts, shown, strict=True)
    ]
    table = grid(("part", "cost", "share", "machine time"), timed, numbers=(1, 2, 3))
    more = [*otherwise(data.cost), *_expected(data)]
    told = "".join(f"<li>{escape(text)}</li>" for text in more)
    small = "".join(f"<li>{escape(text)}</li>" for text in assumptions(data.cost))
    return (
        f"<h2>Cost</h2>{drawn}{table}<p>Otherwise:</p><ul>{told}</ul>"
        f'<p class="quiet">Assumed:</p><ul class="quiet">{small}</ul>'
    )


def _expected(data: PageData) -> list[str]:
    expected = data.cost.estimate
    if expected is None:
        return []
    said = f"{usd(expected.usd.mid)} ({usd(expected.usd.low)} to {usd(expected.usd.high)}) were estimated"
    return [f"{said}: {expected.basis}"]


def _cache(data: PageData) -> str:
    asked = [one for one in data.tasks if one.hits + one.misses]
    size_of = max(1, -(-len(asked) // MOST_BARS))
    given = []
    for _, part in groupby(enumerate(asked), key=lambda pair: pair[0] // size_of):
        group = [one for _, one in part]
        hits, misses = sum(one.hits for one in group), sum(one.misses for one in group)
        whole = hits + misses
        parts = (("on the node", hits / whole * 100), ("fetched", misses / whole * 100))
        given.append(Bar(str(group[0].task), parts))
    spent = data.status.spent
    chart = Chart("Where files came from", Axis("task"), Axis("files asked for", "%", top=100.0))
    told = f"{size(spent.bytes_fetched)} fetched, {size(spent.bytes_from_cache)} from the cache, "
    ahead = f"{spent.prefetch_useful:,} files fetched ahead in time, {spent.prefetch_late:,} late"
    said = f"{told}{size(spent.bytes_uploaded)} uploaded; {ahead}."
    return f"<h2>Files</h2>{bars(chart, given)}<p>{escape(said)}</p>"


def _slowest(data: PageData) -> str:
    slow = [
        [str(one.frame), f"{one.seconds:.2f}", f"{one.wait_seconds:.2f}", str(one.inputs), usd(one.usd), one.host]
        for one in data.slowest
    ]
    heads = ("frame", "time (s)", "wait (s)", "inputs", "cost", "host")
    return "<h2>Slowest frames</h2>" + grid(heads, slow, numbers=(0, 1, 2, 3, 4))


def _plan(data: PageData) -> str:
    said = "<h2>Plan</h2>"
    if data.plan is None:
        return f"{said}<p>{escape(data.plan_note)}</p>"
    if not data.plan.frames:
        return f"{said}<p>No frame is done yet; there is nothing to compare.</p>"
    planned, read = sum(one.planned for one in data.plan.nodes), sum(one.read for one in data.plan.nodes)
    exact = "The plan was exact." if data.plan.is_exact else "The plan was not exact:"
    head = f"{said}<p>{planned:,} files planned, {read:,} read. {exact}</p>"
    return head if data.plan.is_exact else head + _differences(data.plan)


def _differences(plan: PlanDiff) -> str:
    found = [
        [one.node or "(no node of the plan)", one.pattern, f"{one.unread:,}", f"{one.unplanned:,}"]
        for one in plan.nodes
        if not one.is_exact
    ]
    return grid(("node", "files", "not read", "not planned"), found, numbers=(2, 3))


def _failures(data: PageData) -> str:
    if not data.failures:
        return f"<h2>Failures</h2><p>None in {count(data.status.attempts, 'attempt')}.</p>"
    given = [(kind.replace("_", " "), float(number), str(number)) for kind, number, _ in data.failures]
    chart = Chart("Attempts that failed", Axis("attempts"), Axis("class of failure"))
    told = [[kind.replace("_", " "), str(number), message] for kind, number, message in data.failures]
    lost = f"<p>{count(data.status.frames_lost, 'frame')} begun and lost.</p>"
    table = grid(("class", "attempts", "one of them said"), told, numbers=(1,))
    return f'<h2>Failures</h2><div class="alarm">{rows(chart, given)}{table}{lost}</div>'


def _foot(data: PageData) -> str:
    prices = data.cost.prices
    text = f"Made {moment(data.made)} from {data.status.home}; prices of {prices.region} as of {prices.as_of}."
    again = f"jit-render report {data.cost.spec.id}"
    return f'<p class="quiet">{escape(text)} Again: <code>{escape(again)}</code></p>'
