"""The claim's four figures beside what was measured and what was simulated."""

from __future__ import annotations

from html import escape
from typing import Any

from benchmarks.report.page import Found, Section, not_run, origin
from benchmarks.simulate import told_linear, validated_hosts
from jit_render.report.document import grid

_TITLE = "The claim: 40 % less cost, 30 % faster, 280 % more instances, 15 % preempted a day"


def claim(found: Found) -> Section:
    simulated = found.get("simulate")
    if simulated is None:
        return not_run(_TITLE, "simulate")
    hosts = validated_hosts(simulated)
    below = "".join(
        _of_shot(shot["headline"], simulated["source"], found, hosts) for shot in simulated["shots"].values()
    )
    words = (
        f"Simulated means with 95 % intervals over {simulated['seeds']} seeds; prices of "
        f"{simulated['prices']['region']} as of {simulated['prices']['as_of']}. Before: one filer server and as many "
        "nodes as still compute 80 % of their time. After: just in time on 280 % more nodes. A farm of more nodes is "
        "faster whatever feeds it: each row says the sizes of both."
    )
    return Section(_TITLE, words, below=below + origin(simulated, "simulate"))


def _of_shot(headline: dict[str, Any], source: dict[str, float], found: Found, hosts: int) -> str:
    rows = [("more instances", percent(source["instances_more"]), "below")]
    rows += [
        (f"cost less {name}", percent(source["cost_less"]), _spelt(value))
        for name, value in headline["cost_less"].items()
    ]
    rows += [(f"faster {name}", percent(source["faster"]), _spelt(value)) for name, value in headline["faster"].items()]
    lost = headline["lost_to_preemption"]
    rows.append(("node time lost to preemption", "", f"{100 * lost['mean']:.2f} %"))
    rows += _measured(found)
    nodes = f"{headline['shot']}: {headline['before_nodes']} nodes before, {headline['after_nodes']} after"
    return (
        f"<h3>{escape(nodes)}</h3>"
        + grid(("figure", "the account", "here"), rows, numbers=(1, 2))
        + _instances(headline, hosts)
    )


def _instances(headline: dict[str, Any], hosts: int) -> str:
    return f"<p>More instances: {escape(told_linear(headline, hosts))}.</p>"


def _measured(found: Found) -> list[tuple[str, str, str]]:
    ratios = found.get("farm", {}).get("ratios", {})
    return [
        (
            f"frames an hour, measured, hosts: {name.rpartition('_')[2]}; jit prefetched or warm to GlusterFS",
            "",
            f"{value:.2f} times",
        )
        for name, value in ratios.items()
    ]


def percent(share: float) -> str:
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def _spelt(value: dict[str, float]) -> str:
    mean, low, high = (round(100 * value[end]) for end in ("mean", "low", "high"))  # whole: there is no minus nothing
    return f"{mean} ({low} to {high}) %"
