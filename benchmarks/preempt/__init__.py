"""What Spot costs a job: overhead and wasted work at 0 to 50 % preempted a day, with fixed chunks and ``--chunk auto``.

Twice over. *Measured*: the example's shot with small plates on two nodes of this machine, with a day compressed to
seconds, so that a job of half a minute lives through several; nodes really die (`real.py`). *Simulated*: 2,000 frames
on 50 nodes at a day's true length, over seeds (`law.py`). Both laws of `benchmarks.simulate.spot`.

*Overhead* is what nodes spent beyond frames that count, a start for each task included. *Wasted* is what preemption
added to that, and the *bound* is the most that it may add where work is kept by the frame: for each node that was taken
at work the frame in hand, as if it were the longest and all but done, the next start (in the cloud: a boot as well, and
the first frame's files), and what it takes to notice. Without preemption both are nothing, and waste above the bound
would mean that more than a frame was lost at a time. Simulated, *expected* stands beside it: with half a frame.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

RATES = (0.0, 0.05, 0.15, 0.30, 0.50)
QUICK_RATES = (0.0, 0.15, 0.50)
CHUNKS = (4, 12)
NODES = 2
QUICK_FRAMES = 16
FRAMES = 24
"""Two tasks of the longest chunk, one for each node. More of them would take the full run beyond ten minutes."""
_BOUND = (
    "shares of the work that counts; overhead: with each task's start; wasted: what preemption added; bound: the most "
    "that it may add, a frame in hand, a start and the notice for each that was taken at work; lost: frames in vain"
)


def measure(*, quick: bool) -> dict[str, Any]:
    """Both tables."""
    from rich.console import Console
    from rich.progress import track

    from benchmarks.preempt.law import simulate
    from benchmarks.simulate.spot import LAWS

    rates = QUICK_RATES if quick else RATES
    seeds = range(1, 4 if quick else 11)
    simulated = [
        {"law": law, "per_day": rate, **row}
        for law, rate in track(
            [(law, rate) for law in LAWS for rate in rates],
            "simulating",
            console=Console(stderr=True),
            transient=True,
        )
        for row in simulate(law, rate, seeds)
    ]
    return {"measured": _measured(quick=quick), "simulated": simulated, "seeds": len(seeds)}


def _measured(*, quick: bool) -> list[dict[str, Any]]:
    from rich.console import Console
    from rich.progress import track

    from benchmarks.leftovers import none_left
    from benchmarks.preempt.real import render
    from benchmarks.simulate.spot import LAWS
    from benchmarks.small_shot import SmallShot
    from jit_render.farm.chunking import Costs, chunk_length
    from jit_render.model.identity import ObjectUrl

    frames = QUICK_FRAMES if quick else FRAMES
    laws = LAWS[:1] if quick else LAWS
    rates = QUICK_RATES if quick else RATES
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="jit-render-preempt-") as name, none_left(Path(name)):
        shot = SmallShot(Path(name), ObjectUrl("file://", f"{name.lstrip('/')}/show"), frames)
        shot.make_plates()
        start, each = _calibrated(render(shot, law="exponential", per_day=0, chunk=frames, nodes=1, seed=0), frames)
        runs = [(law, rate) for law in laws for rate in rates if rate or law == laws[0]]
        cells = list(enumerate(runs))  # the chunks of one law and rate face the same dice
        for seed, (law, rate) in track(cells, "preempting", console=Console(stderr=True), transient=True):
            costs = Costs(start, (each,), preemptions_per_hour=rate * 3600 / _day_seconds())
            auto = chunk_length(frames, NODES, costs)
            for label, chunk in (*((str(one), one) for one in CHUNKS), ("auto", auto)):
                row = render(shot, law=law, per_day=rate, chunk=chunk, nodes=NODES, seed=seed)
                rows.append({"law": law, "per_day": rate, "label": label, **row, **judged(row)})
    return rows


def _day_seconds() -> float:
    from benchmarks.preempt.real import DAY_SECONDS

    return DAY_SECONDS


def _calibrated(alone: dict[str, Any], frames: int) -> tuple[float, float]:
    """Seconds of a start and of a frame, from one task on one node without preemption."""
    return alone["busy_seconds"] - alone["useful_seconds"], alone["useful_seconds"] / frames


def judged(row: dict[str, Any]) -> dict[str, float]:
    """As shares of what counts. `wasted`: what the attempts that were cut took beyond the frames that they finished.

    An undisturbed job has one start for each task, and each cut adds an attempt: so all that a cut attempt spent on
    starting and on its frame in hand is preemption's, and nothing else is.
    """
    each = row["longest_frame"] + row["longest_start"] + row["longest_notice"]
    return {
        "overhead": row["busy_seconds"] / row["useful_seconds"] - 1,
        "wasted": row["cut_seconds"] / row["useful_seconds"],
        "bound": row["cut"] * each / row["useful_seconds"],
        "frames_lost_per_preemption": row["frames_lost"] / row["cut"] if row["cut"] else 0.0,
    }


def table(result: dict[str, Any]) -> Group:
    """The same for people."""
    from rich.console import Group

    return Group(_of_measured(result["measured"]), _of_simulated(result["simulated"]))


def _of_measured(rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    shown = Table(
        "law",
        "a day",
        "chunk",
        "taken",
        "at work",
        "wall s",
        "overhead",
        "wasted",
        "bound",
        "lost",
        title="preempt, measured in small",
        padding=0,
    )
    for row in rows:
        shown.add_row(
            row["law"],
            f"{row['per_day']:.0%}",
            f"{row['label']} ({row['chunk']})" if row["label"] == "auto" else row["label"],
            str(row["preemptions"]),
            str(row["cut"]),
            f"{row['wall_seconds']:.1f}",
            *(f"{row[name]:.0%}" for name in ("overhead", "wasted", "bound")),
            str(row["frames_lost"]),
        )
    shown.caption = _BOUND
    return shown


def _of_simulated(rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    shown = Table(
        *("law", "a day", "chunk", "taken", "overhead", "wasted", "expected", "bound", "wall"),
        title="preempt, simulated",
        padding=0,
    )
    for row in rows:
        means = {name: row[name]["mean"] for name in ("preemptions", "overhead", "wasted", "expected", "bound", "wall")}
        shown.add_row(
            row["law"],
            f"{row['per_day']:.0%}",
            f"auto ({row['frames_of_a_task']})" if row["chunk"] == "auto" else row["chunk"],
            f"{means['preemptions']:.1f}",
            *(f"{means[name]:.2%}" for name in ("overhead", "wasted", "expected", "bound")),
            f"{means['wall']:+.1%}",
        )
    shown.caption = (
        "50 nodes, 2,000 frames of 300 s; wasted, wall: against the same job without preemption; expected, bound: half "
        "a frame or the longest, a boot, a start and the first frame's files for each that was taken"
    )
    return shown
