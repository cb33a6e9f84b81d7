"""How long a renderer is in the callbacks that are added to it.

A folder for NUKE_PATH, to stand before all others: what its ``init.py`` finds of ``nuke.add…`` it replaces, so that
each callback added later is timed on the thread that calls it. At the end the process writes to the file that the
environment names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "JIT_RENDER_BENCH_HOOKS"
_INIT = f"""\
import atexit, json, os, time
import nuke

spent = []
after_frame = []

def metered(add, took):
    def added(call, *args, **kwargs):
        def timed(*given, **named):
            began, used = time.perf_counter(), time.thread_time()
            try:
                return call(*given, **named)
            finally:
                spent.append(time.thread_time() - used)
                took.append(time.perf_counter() - began)
        add(timed, *args, **kwargs)
    return added

for name in ("addFilenameFilter", "addBeforeRender", "addBeforeFrameRender", "addAfterFrameRender", "addAfterRender"):
    took = after_frame if name == "addAfterFrameRender" else []
    setattr(nuke, name, metered(getattr(nuke, name), took))

@atexit.register
def say():
    with open(os.environ["{VARIABLE}"], "w") as file:
        json.dump([sum(spent), after_frame], file)
"""


@dataclass(frozen=True)
class Said:
    """Seconds: of the processor in all callbacks, and of the clock in each ``afterFrameRender``."""

    cpu: float
    after_frame: list[float]


def read(path: Path) -> Said:
    """What the process wrote."""
    return Said(*json.loads(path.read_text()))


def folder_in(top: Path) -> Path:
    """The folder, made in `top`."""
    folder = top / "hook-meter"
    folder.mkdir(exist_ok=True)
    (folder / "init.py").write_text(_INIT)
    return folder
