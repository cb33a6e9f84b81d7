"""The same law at 10 to 10,000 nodes: a model of the farm, held against what the farm measured.

``model`` is the farm in SimPy; ``validate`` has it predict the runs of ``python -m benchmarks farm``; ``cloud`` says
what is assumed of Google Cloud, with sources; ``figures`` asks it for throughput, for what a filer bears, for the
claim's four figures with 95 % intervals over seeds, and for what they hang on; ``choices`` draws the map of which
system suits which shot. Prices come from the dated tables of `jit_render.cost`.

The numbers are no better than the assumptions: each is in the result under its name, and `sensitivity` says what
the saving would be were it something else.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.results import newest
from benchmarks.simulate.interval import Interval

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

REGION = "us-central1"
COUNTS = (10, 30, 100, 300, 1_000, 3_000, 10_000)
QUICK_COUNTS = (10, 100, 600)
SEEDS = 10
QUICK_SEEDS = 3
SOURCE = {"cost_less": 0.40, "faster": 0.30, "instances_more": 2.80, "preempted_a_day": 0.15}
"""What the account says that this project follows; it gives no method."""


def measure(*, quick: bool) -> dict[str, Any]:
    """All figures. The model is held against the newest result of ``benchmarks farm``."""
    from rich.console import Console
    from rich.progress import Progress

    from benchmarks.simulate.choices import MB_PER_SECOND, NODES, choices, rapid_cache_pays_from
    from benchmarks.simulate.cloud import FRAMES_PER_NODE, SHOTS, assumptions, cloud
    from benchmarks.simulate.figures import COMPARED, growth, headline, sensitivity
    from jit_render.cost import prices

    paid = prices(REGION)
    seeds = range(1, (QUICK_SEEDS if quick else SEEDS) + 1)
    counts = QUICK_COUNTS if quick else COUNTS
    nodes = NODES[:-1] if quick else NODES
    clouds = [cloud(shot) for shot in SHOTS]
    steps = len(clouds) * (len(counts) * len(COMPARED) + len(seeds)) + len(MB_PER_SECOND) * len(nodes)
    steps += sum(len(assumptions(one)) for one in clouds)
    shots = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("simulating", total=steps)

        def told() -> None:
            progress.advance(task)

        for one in clouds:
            shots[one.shot] = {
                "assumed": asdict(one),
                "headline": headline(one, seeds, paid, FRAMES_PER_NODE // 2 if quick else FRAMES_PER_NODE, told),
                "growth": growth(one, counts, seeds, paid, told),
                "sensitivity": sensitivity(one, paid, told),
            }
        cells = choices(clouds[0], paid, told, nodes=nodes)
    validation = _validation(newest("farm"))
    return {
        "source": SOURCE,
        "seeds": len(seeds),
        "prices": {"region": REGION, "as_of": paid.as_of.isoformat()},
        "shots": shots,
        "choices": cells,
        "rapid_cache_pays_from_reads": rapid_cache_pays_from(paid, hours=24.0),
        "validation": validation,
        "validation_off": validation["worst"],
        "targets": {"validation_off": validation["within"]},
        "met": {} if validation["met"] is None else {"validation_off": validation["met"]},
    }


def _validation(farm: dict[str, Any] | None) -> dict[str, Any]:
    from benchmarks.farm.values import Result
    from benchmarks.simulate.validate import WITHIN, validate

    if farm is None:
        return {"within": WITHIN, "runs": [], "worst": None, "met": None}
    runs = validate(Result.of_json(farm))
    judged = [abs(one.off) for one in runs if one.is_judged]
    worst = max(judged, default=None)
    met = worst <= WITHIN if worst is not None else None
    return {"within": WITHIN, "runs": [one.to_json() for one in runs], "worst": worst, "met": met}


def table(result: dict[str, Any]) -> Group:
    """The same for people."""
    from rich.console import Group

    shown: list[Any] = [
        _headlines(shot["headline"], result["source"], validated_hosts(result)) for shot in result["shots"].values()
    ]
    shown += [_choices(result), _choices(result, own=True)]
    shown.append(_validated(result["validation"]))
    return Group(*shown)


def _headlines(headline: dict[str, Any], source: dict[str, float], hosts: int) -> Table:
    from rich.table import Table

    before, after, filers = headline["before_nodes"], headline["after_nodes"], headline["filers_grown"]
    shown = Table("", "the account", "simulated (95 %)", title=f"the claim, {headline['shot']} shot")
    shown.add_row("more instances", _percent(source["instances_more"]), told_linear(headline, hosts))
    for name, saving in headline["cost_less"].items():
        shown.add_row(f"cost less: {name}", _percent(source["cost_less"]), _spelt(saving))
    for name, gain in headline["faster"].items():
        shown.add_row(f"faster: {name}", _percent(source["faster"]), _spelt(gain))
    lost = _spelt(headline["lost_to_preemption"], "{:.2f}")
    shown.add_row("node time lost to preemption", f"{_percent(source['preempted_a_day'])} a day", lost)
    shown.caption = f"before: {before:,} nodes on one filer; after: {after:,} nodes; enough filers: {filers}"
    return shown


def validated_hosts(result: dict[str, Any]) -> int:
    """The largest farm that the model was held against; 0: none."""
    return max((run["hosts"] for run in result["validation"]["runs"] if run["is_judged"]), default=0)


def told_linear(headline: dict[str, Any], hosts: int) -> str:
    """Up to how many nodes each of two systems grows in proportion, and what that rests on."""
    found = headline["linear"]
    to = f"to {found['on_bucket']:,}" + (", where the VM quota ends the model's search" if found["quota_ended"] else "")
    held = f"held against up to {hosts} real hosts" if hosts else "not held against real hosts here"
    return f"90 % of linear: one filer to {found['on_filer']:,} nodes, the bucket {to} (model, {held})"


def _choices(result: dict[str, Any], *, own: bool = False) -> Table:
    from rich.table import Table

    cells = {(cell["mb_per_second"], cell["nodes"]): cell["own_filer"] if own else cell for cell in result["choices"]}
    columns = sorted({nodes for _, nodes in cells})
    title = "what makes a frame cheapest, by nodes" + (", if the filer may be small" if own else "")
    shown = Table("MB/s read", *(f"{count:,}" for count in columns), title=title)
    for rate in sorted({rate for rate, _ in cells}):
        shown.add_row(f"{rate:g}", *(_cell(cells[rate, count]) for count in columns))
    if own:
        shown.caption = (
            "as above, but a filer of a part of that server, down to a tenth (with its bandwidth and price in "
            "proportion), as long as it holds the shot"
        )
        return shown
    reads = result["rapid_cache_pays_from_reads"]
    shown.caption = (
        "MB/s: read by a frame per second of its computing; behind a system: what it saves. A filer is whole servers "
        "of 4 TiB here, which a small farm does not fill. Rapid Cache before a "
        f"multi-region bucket pays where nodes read each byte {reads:.1f} times a day or more."
    )
    return shown


def _cell(cell: dict[str, Any]) -> str:
    usd = cell["usd_per_frame"]
    if cell["best"] != "jit":
        return f"{cell['best']} {1 - usd[cell['best']] / usd['jit']:.0%}"
    return f"jit {1 - usd['jit'] / min(value for system, value in usd.items() if system != 'jit'):.0%}"


def _validated(validation: dict[str, Any]) -> Table:
    from rich.table import Table

    shown = Table("system", "hosts", "measured s", "predicted s", "off", title="the model against the farm")
    for run in validation["runs"]:
        mark = "" if run["is_judged"] else " (cores busy)"
        shown.add_row(
            run["system"],
            str(run["hosts"]),
            f"{run['measured']:.2f}",
            f"{run['predicted']:.2f}",
            f"{run['off']:+.1%}{mark}",
        )
    if not validation["runs"]:
        shown.caption = "no farm to compare with: run 'python -m benchmarks farm' first"
    elif validation["worst"] is not None:
        shown.caption = f"worst {validation['worst']:.1%}, wanted within {validation['within']:.0%}"
    return shown


def _percent(share: float) -> str:
    return f"{share:.0%}" if math.isfinite(share) else "any"


def _spelt(share: dict[str, float], form: str = "{:.1f}") -> str:
    return Interval(*(100 * share[end] for end in ("mean", "low", "high"))).spell(form) + " %"
