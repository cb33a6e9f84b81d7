"""The page of the benchmarks: whatever was measured, said with its origin; nothing fetched, everything escaped."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.report import gather, write
from benchmarks.report.readme import BEGIN, END, block, refresh
from benchmarks.results import keep

MACHINE = {"cpu": "EPYC <b>", "cores": 2, "python": "3.11", "date": "2026-11-21T06:00:00+00:00", "load": 0.5}


def share(mean):
    return {"mean": mean, "low": mean - 0.01, "high": mean + 0.01}


def grown(system, nodes):
    return {
        "system": system,
        "nodes": nodes,
        "frames_per_hour": share(10.0 * nodes),
        "usd_per_frame": share(0.1),
        "usd_by_part": {"compute": 0.08, "filer": 0.02},
    }


def cell(nodes, best, usd, own):
    return {"mb_per_second": 1.0, "nodes": nodes, "usd_per_frame": usd, "best": best, "own_filer": own}


SHOT = {
    "assumed": {"filer_bandwidth": 1.2e9, "spot": {"law": "bathtub"}},
    "headline": {
        "shot": "light <field>",
        "before_nodes": 62,
        "after_nodes": 236,
        "linear": {"on_filer": 31, "on_bucket": 4000, "quota_ended": True},
        "cost_less": {"than one filer": share(0.31)},
        "faster": {"the farm": share(3.0)},
        "lost_to_preemption": share(0.02),
    },
    "growth": [grown(system, nodes) for system in ("gluster", "jit") for nodes in (10, 100)],
    "sensitivity": [
        {
            "name": "boot of a node",
            "unit": "s",
            "source": "assumed",
            "low": 45,
            "high": 180,
            "saving": 0.3,
            "saving_at_low": 0.28,
            "saving_at_high": 0.35,
        }
    ],
}
RUN = {"system": "gluster", "hosts": 4, "measured": 10.0, "predicted": 11.0, "off": 0.1, "is_judged": True}
SIMULATED = {
    "source": {"cost_less": 0.4, "faster": 0.3, "instances_more": 2.8, "preempted_a_day": 0.15},
    "seeds": 3,
    "prices": {"region": "us-central1", "as_of": "2026-07-30"},
    "shots": {"light <field>": SHOT},
    "choices": [
        cell(10, "jit", {"gluster": 0.2, "jit": 0.1}, {"best": "copy-all", "usd_per_frame": {"copy-all": 3, "jit": 4}}),
        cell(300, "gluster", {"gluster": 0.1, "jit": 0.2}, {"best": "jit", "usd_per_frame": {"gluster": 2, "jit": 1}}),
    ],
    "rapid_cache_pays_from_reads": 1.9,
    "validation": {"within": 0.15, "runs": [RUN], "worst": 0.1, "met": True},
}


@pytest.fixture
def results(tmp_path):
    def put(name, result, *, quick=True):
        keep({"benchmark": name, "quick": quick, **result, "machine": MACHINE}, tmp_path / "bench")

    put("simulate", SIMULATED)
    put("fetch", {"ratios": {"large_to_curl": 1.38}, "targets": {"large_to_curl": 0.9}, "met": {"large_to_curl": True}})
    put("warm", {"ratios": {"large": 1.2}, "targets": {"large": 1.01}, "met": {"large": False}}, quick=False)
    return gather(tmp_path / "bench")


def test_the_page_says_what_was_met_missed_and_not_run(results, tmp_path):
    text = write(results, tmp_path / "out").read_text()
    assert "31 (30 to 32) %" in text
    assert "one filer to 31 nodes, the bucket to 4,000, where the VM quota ends the model&#x27;s search" in text
    assert "held against up to 4 real hosts" in text
    assert "copy-all 25\N{NO-BREAK SPACE}%" in text
    assert "1 of 2 targets were missed" in text
    assert "Not measured here. Run: python -m benchmarks farm." in text
    assert "not measured: python -m benchmarks resolve" in text
    assert "gluster 50\N{NO-BREAK SPACE}%" in text
    assert "a quick run of 2026-11-21" in text
    assert "What the model was told" in text
    assert "1,200 MB/s" in text


def test_nothing_is_fetched_and_everything_is_escaped(results, tmp_path):
    text = write(results, tmp_path / "out").read_text()
    assert "<b>" not in text
    assert "light <field>" not in text
    assert not any(mark in text for mark in ("<script", "http://", "https://", "url("))


def test_charts_and_numbers_stand_beside_the_page(results, tmp_path):
    out = tmp_path / "out"
    write(results, out)
    charts = sorted(out.glob("*.svg"))
    assert charts
    for chart in charts:
        assert ET.parse(chart).getroot().tag == "{http://www.w3.org/2000/svg}svg"
        assert chart.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((out / "results.csv").open()))
    assert {"benchmark": "warm", "quick": "False", "figure": "ratios/large", "value": "1.2"}.items() <= next(
        row for row in rows if row["benchmark"] == "warm"
    ).items()
    assert set(json.loads((out / "results.json").read_text())) == {"simulate", "fetch", "warm"}


def test_a_full_run_stands_before_a_quick_one(tmp_path):
    for quick in (False, True):
        keep({"benchmark": "warm", "quick": quick, "machine": MACHINE}, tmp_path)
    assert gather(tmp_path)["warm"]["quick"] is False


def test_the_figures_of_the_readme_are_written_by_the_command(results, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nby hand: 99 times\n{END}\nafter\n")
    assert refresh(readme, results)
    text = readme.read_text()
    assert "by hand" not in text
    assert text.startswith(f"before\n{BEGIN}\n| figure |")
    assert text.endswith(f"{END}\nafter\n")
    assert "| warm: large | 1.2, missed | 1.01 | `python -m benchmarks warm` | 2026-11-21 |" in text
    assert "cost less, than one filer | 31 (30 to 32) % | 40 % | `python -m benchmarks simulate --quick`" in text
    assert "Measured on EPYC b , 2 cores" in text
    assert not refresh(readme, results)


def test_a_readme_without_results_or_marks_says_so(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"{END} {BEGIN}")
    with pytest.raises(ValueError, match="have no place"):
        refresh(readme, {})
    assert block({}) == "Nothing was measured here yet: `make bench` does."


def test_the_block_of_our_readme_has_the_shape_that_the_command_gives():
    """A figure by hand has no command and no day beside it."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    ours = text.split(BEGIN)[1].split(END)[0].strip()
    row = re.compile(r"\| [^|]+ \| [^|]+ \| [^|]* ?\| `python -m benchmarks [a-z-]+( --quick)?` \| \d{4}-\d\d-\d\d \|")
    lines = ours.splitlines()
    assert ours == block({}) or (
        lines[0].startswith("| figure | here |")
        and all(row.fullmatch(line) for line in lines[2:-2])
        and lines[-1].startswith("Measured on ")
    )
    assert not re.search(r"\d (%|times|x)\b", text.split("## How fast")[1].split(BEGIN)[0])
