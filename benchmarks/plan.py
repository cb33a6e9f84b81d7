"""What a plan costs: a thousand frames of fifty Reads in a script of five thousand nodes, two views.

Each run is a process of its own, so that its peak is the plan's and not the benchmark's. Seconds are processor time:
the work is one thread without waiting, and other work on the machine would only add its own.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import Any

from rich.table import Table

SECONDS_TARGET = 5.0
BYTES_TARGET = 500 << 20
PARSE_TARGET = 2.0
PARSED_BYTES = 10_000_000
FRAMES = 1_000
READS = 50
SIZES = (1_250, 2_500, 5_000)

_RUN = """
import json, re, sys, time
from pathlib import Path
from benchmarks.large_script import large_script
from jit_render.script import parse
from jit_render.script.plan import plan

nodes, reads, frames = map(int, sys.argv[1:])
text = large_script(nodes, reads)
started = time.process_time()
script = parse(text)
parsed = time.process_time()
done = plan(script, frames=range(1001, 1001 + frames), script_path="/show/sh010/comp.nk", environment={})
ended = time.process_time()
files = sum(len(wanted) * len(read.views) for read in done.reads for wanted in read.wanted.values())
# ru_maxrss would be the peak of whoever started this, too: it outlives fork and exec.
peak = int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
print(json.dumps({"nodes": len(script.nodes), "parse_seconds": parsed - started, "plan_seconds": ended - parsed,
                  "peak_bytes": peak, "files_of_all_frames": files}))
"""


_PARSE = """
import json, sys, time
from benchmarks.large_script import large_script
from jit_render.script import parse

# Nuke writes where each node stands in its graph.
text, size = large_script(5_000).replace("\\n}", "\\n xpos -1180\\n ypos 2614\\n}"), int(sys.argv[1])
text = (text * (size // len(text) + 1))[:size]
text = text[: text.rindex("Read {")]
started = time.process_time()
script = parse(text)
print(json.dumps({"seconds": time.process_time() - started, "bytes": len(text), "nodes": len(script.nodes)}))
"""


def measure(*, quick: bool) -> dict[str, Any]:
    """`raw` by number of nodes; the growth in seconds from the smallest script to the largest, per node."""
    runs = 1 if quick else 3
    raw = {str(nodes): _median([_run(nodes) for _ in range(runs)]) for nodes in SIZES}
    first, last = raw[str(SIZES[0])], raw[str(SIZES[-1])]
    parsed = _median([_script(_PARSE, PARSED_BYTES) for _ in range(runs)])
    growth = (last["plan_seconds"] / last["nodes"]) / (first["plan_seconds"] / first["nodes"])
    return {
        "frames": FRAMES,
        "reads": READS,
        "raw": raw,
        "large_parse": parsed,
        "growth_per_node": growth,
        "targets": {"plan_seconds": SECONDS_TARGET, "peak_bytes": BYTES_TARGET, "parse_seconds": PARSE_TARGET},
        "met": {
            "seconds": last["plan_seconds"] < SECONDS_TARGET,
            "parse": parsed["seconds"] < PARSE_TARGET,
            "memory": last["peak_bytes"] < BYTES_TARGET,
        },
    }


def table(result: dict[str, Any]) -> Table:
    """The same for people."""
    shown = Table("nodes", "parse s", "plan s", "target s", "peak MB", "target MB", title="plan")
    for entry in result["raw"].values():
        shown.add_row(
            f"{entry['nodes']:,}",
            f"{entry['parse_seconds']:.2f}",
            f"{entry['plan_seconds']:.2f}",
            f"< {result['targets']['plan_seconds']:g}",
            f"{entry['peak_bytes'] / 1e6:.0f}",
            f"< {result['targets']['peak_bytes'] / 1e6:.0f}",
        )
    parsed = result["large_parse"]
    shown.caption = (
        f"{parsed['bytes'] / 1e6:.1f} MB with {parsed['nodes']:,.0f} nodes parsed in {parsed['seconds']:.2f} s "
        f"(< {result['targets']['parse_seconds']:g})"
    )
    return shown


def _run(nodes: int) -> dict[str, float]:
    return _script(_RUN, nodes, READS, FRAMES)


def _script(code: str, *arguments: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def _median(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}
