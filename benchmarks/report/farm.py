"""What the farm measured: throughput by hosts, bytes moved, where the time went."""

from __future__ import annotations

import re

from benchmarks.farm.values import Result, Run
from benchmarks.report.page import Found, Section, not_run, origin
from jit_render.report.charts import Axis, Bar, Chart, Line, bars, lines
from jit_render.report.document import grid

_TITLE = "Measured: a farm in small"


def farm(found: Found) -> Section:
    document = found.get("farm")
    if document is None:
        return not_run(_TITLE, "farm")
    result = Result.of_json(document)
    one, shot = result.setting, result.shot
    links = (
        f"{one.host_bits_per_second / 1e6:g} Mbit/s a host and {one.filer_bits_per_second / 1e6:g} Mbit/s the filer's, "
        f"real rates divided by {one.scale:g}"
        if one.shaped
        else "not limited, as it was not run as root"
    )
    words = (
        f"Links are {links}. A frame reads {shot.frame_bytes / 1e6:.1f} MB of a shot of {shot.size_bytes / 1e6:.0f} MB "
        f"({100 * shot.frame_share:.1f} %) and computes {one.compute_seconds:g} s."
    )
    charts = {
        "farm-throughput": _throughput(result),
        "farm-bytes": _bytes(result),
        "farm-time": _time(result),
    }
    return Section(_TITLE, words, charts, _table(result) + _left_out(result) + origin(document, "farm"))


def _systems(result: Result) -> list[str]:
    return list(dict.fromkeys(run.system for run in result.runs))


def _throughput(result: Result) -> str:
    chart = Chart("Frames an hour by hosts", Axis("hosts"), Axis("frames an hour"))
    given = [
        Line(system, tuple((float(run.hosts), run.frames_per_hour) for run in result.runs if run.system == system))
        for system in _systems(result)
    ]
    return lines(chart, given)


def _largest(result: Result) -> list[Run]:
    most = max(result.setting.hosts)
    return [run for run in result.runs if run.hosts == most]


def _bytes(result: Result) -> str:
    chart = Chart(f"Bytes over the links, {max(result.setting.hosts)} hosts", Axis("system"), Axis("moved", "MB"))
    parts = [
        Bar(run.system, (("filer", run.filer_bytes / 1e6), ("object store", run.store_bytes / 1e6)))
        for run in _largest(result)
    ]
    return bars(chart, parts)


def _time(result: Result) -> str:
    chart = Chart(f"A host's seconds, {max(result.setting.hosts)} hosts", Axis("system"), Axis("time", "s"))
    given = []
    for run in _largest(result):
        hosts = len(run.per_host)
        wait = run.wait_seconds / hosts
        copy = sum(host.copy_seconds for host in run.per_host) / hosts
        render = sum(host.render_seconds for host in run.per_host) / hosts - wait
        start = sum(host.start_seconds for host in run.per_host) / hosts
        given.append(Bar(run.system, (("start", start), ("copy", copy), ("render", render), ("wait", wait))))
    return bars(chart, given)


def _table(result: Result) -> str:
    """Two tables: nine columns are too many for a phone. Wait and CPU are all hosts', the disk is one host's."""
    heads = ("system", "hosts", "frames/h", "wait s", "CPU s")
    moved = ("system", "hosts", "wall s", "filer", "store", "disk")
    sizes = [
        (
            run.system,
            str(run.hosts),
            f"{run.wall_seconds:.1f}",
            *(f"{size / 1e6:,.0f}" for size in (run.filer_bytes, run.store_bytes, run.peak_disk_bytes)),
        )
        for run in result.runs
    ]
    rows = [
        (
            run.system + ("" if run.frames_equal else " (frames differ)"),
            f"{run.hosts}{' (cores busy)' if run.cpu_bound else ''}",
            f"{run.frames_per_hour:,.0f}",
            f"{run.wait_seconds:.1f}",
            f"{run.cpu_seconds:.1f}",
        )
        for run in result.runs
    ]
    words = (
        "<p>Wall time with programs' starting; MB over the links, both ways; the most MB that one host's disk held.</p>"
    )
    return grid(heads, rows, numbers=(1, 2, 3, 4)) + words + grid(moved, sizes, numbers=(1, 2, 3, 4, 5))


_LINKS = re.compile(r"[a-z][a-z0-9+.-]*://\S+")
"""Programs put addresses into what they say when they fail; the page leads nowhere."""


def _left_out(result: Result) -> str:
    if not result.skipped:
        return ""
    return grid(
        ("left out", "why"), [(system, _LINKS.sub("(an address)", why)[:300]) for system, why in result.skipped.items()]
    )
