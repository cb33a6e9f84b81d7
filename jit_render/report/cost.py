"""What a job cost, in lines, rows and plain values."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from jit_render.cost.bill import PARTS, Money, usd
from jit_render.cost.whatif import REPLICAS
from jit_render.farm.billing import JobCost
from jit_render.report.words import count, share, size

NAMES = {
    "render": "useful render",
    "fetch_wait": "waiting for files",
    "start": "start-up",
    "lost": "lost to preemption",
    "failed": "failed or stopped",
    "idle": "idle",
    "running": "running now",
    "storage": "storage",
    "operations": "operations",
    "egress": "egress",
}


def hours(value: float) -> str:
    """Hours, minutes or seconds, whichever says most."""
    seconds = value * 3600
    if seconds >= 3600:
        return f"{value:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"


def cost_lines(cost: JobCost) -> list[str]:
    """The bill for people."""
    total = cost.bill.total
    done = cost.frames_done
    per_frame = f", {usd(total.total / done)} a frame" if done else ""
    lines = [f"{cost.spec.id} ({cost.version}): {usd(total.total)} for {count(done, 'frame')}{per_frame}"]
    lines += _parts(cost)
    rows = [("nodes", _machines(cost)), ("prices", f"{cost.prices.region}, list of {cost.prices.as_of.isoformat()}")]
    rows += [("otherwise", text) for text in otherwise(cost)]
    if cost.estimate is not None:
        expected = cost.estimate.usd
        rows.append(("estimated", f"{usd(expected.mid)} ({usd(expected.low)} to {usd(expected.high)})"))
    rows += [("not counted", text) for text in not_counted(cost)]
    rows += [("assumed", text) for text in assumptions(cost)]
    width = max(len(label) for label, _ in rows)
    lines.append("")
    before = ""
    for label, text in rows:
        lines.append(f"  {(label if label != before else '').ljust(width)}  {text}")
        before = label
    return lines


def _parts(cost: JobCost) -> list[str]:
    total = cost.bill.total
    rows = [
        (NAMES[part], usd(value), share(value / total.total if total.total else None), _time(cost, part))
        for part in PARTS
        if (value := getattr(total, part)) or part in {"render", "lost"}
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for name, *numbers in rows:
        aligned = [one.rjust(width) for one, width in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join(["", name.ljust(widths[0]), *aligned]).rstrip())
    return lines


def _time(cost: JobCost, part: str) -> str:
    seconds = cost.bill.seconds.get(part)
    return "" if seconds is None else hours(seconds / 3600)


def _machines(cost: JobCost) -> str:
    told = [f"{hours(took)} of {machine}, {_kind(how)}" for (machine, how), took in sorted(cost.bill.hours.items())]
    return "; ".join(told) or "none"


def _kind(provisioning: str) -> str:
    return "Spot" if provisioning == "spot" else "on demand"


def otherwise(cost: JobCost) -> list[str]:
    """What else it might have cost."""
    other = cost.alternatives
    lines = [f"{usd(other.on_demand)} on demand, where nothing is preempted"]
    if other.glusterfs is not None and other.filer_month is not None:
        lines.append(
            f"{usd(other.glusterfs)} with a GlusterFS of {count(other.filer_servers, 'server')} while the job ran "
            f"({usd(other.filer_month)} a month)"
        )
    return lines


def not_counted(cost: JobCost) -> list[str]:
    """What no record tells: whether, and how often, results were fetched to somewhere outside the cloud.

    At the first step of the price list, which is its dearest; nothing where a table has no price for it.
    """
    rate = cost.prices.rates.get("internet_first")
    written = cost.bill.bytes_written
    if not written or rate is None:
        return []
    once = usd(written / 1024**3 * rate)
    return [f"egress of results pulled off the cloud: {size(written)}, {once} each time"]


def assumptions(cost: JobCost) -> list[str]:
    """What the records do not tell."""
    terms = cost.terms
    told = []
    if cost.bill.is_assumed:
        told.append(f"as if each worker was a {terms.machine}, {_kind(terms.provisioning)}: the records do not say")
    told.append(
        f"{terms.local_ssds} local SSD and {terms.boot_disk_gib:.0f} GiB boot disk a node; outputs kept for "
        f"{terms.storage_months:g} month"
    )
    told.append(f"a {terms.bucket} bucket; list prices, without discounts or licences")
    told.append(f"the filer: {REPLICAS} replicas, large enough for {size(_kept(cost))} and {_gbps(cost)} Gbit/s")
    return told


def _kept(cost: JobCost) -> float:
    return cost.bill.bytes_written + sum(one.spent.bytes_fetched for one in cost.attempts)


def _gbps(cost: JobCost) -> str:
    return f"{cost.alternatives.gbps:.2g}"


def cost_json(cost: JobCost) -> dict[str, Any]:
    """The same with every frame, for programs."""
    other = cost.alternatives
    return {
        "job": cost.spec.id,
        "shot": cost.spec.shot,
        "version": cost.version,
        "frames_done": cost.frames_done,
        "usd": _money(cost.bill.total),
        "seconds": dict(cost.bill.seconds),
        "node_hours": [
            {"machine": machine, "provisioning": how, "hours": took} for (machine, how), took in cost.bill.hours.items()
        ],
        "requests": {"class_a": round(cost.bill.class_a), "class_b": round(cost.bill.class_b)},
        "otherwise": {
            "on_demand_usd": other.on_demand,
            "glusterfs_usd": other.glusterfs,
            "filer_servers": other.filer_servers,
            "filer_month_usd": other.filer_month,
        },
        "estimate": cost.estimate.model_dump(mode="json") if cost.estimate else None,
        "prices": {"region": cost.prices.region, "as_of": cost.prices.as_of.isoformat()},
        "not_counted": not_counted(cost),
        "assumptions": assumptions(cost),
        "as_if": cost.bill.is_assumed,
        "frames": [{"frame": frame, **_money(money)} for frame, money in sorted(cost.bill.frames.items())],
    }


def cost_csv(costs: Sequence[JobCost]) -> str:
    """One row a frame, USD by part."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["shot", "version", "job", "frame", "usd", *PARTS])
    for cost in costs:
        for frame, money in sorted(cost.bill.frames.items()):
            values = [f"{getattr(money, part):.8f}" for part in PARTS]
            writer.writerow([cost.spec.shot, cost.version, cost.spec.id, frame, f"{money.total:.8f}", *values])
    return out.getvalue()


def version_rows(costs: Sequence[JobCost]) -> list[list[str]]:
    """One row a job of a shot: version, job, frames, USD, USD a frame."""
    return [
        [
            cost.version,
            cost.spec.id,
            str(cost.frames_done),
            usd(cost.bill.total.total),
            usd(cost.bill.total.total / cost.frames_done) if cost.frames_done else "-",
            usd(cost.bill.total.lost),
        ]
        for cost in costs
    ]


def _money(money: Money) -> dict[str, float]:
    return {"total": money.total, **{part: getattr(money, part) for part in PARTS}}
