"""How much processor time a renderer spends in the callbacks that are added to it.

A folder for NUKE_PATH, to stand before all others: what its ``init.py`` finds of ``nuke.add…`` it replaces, so that
each callback added later is timed on the thread that calls it. At the end the process writes the sum, in seconds, to
the file that the environment names.
"""

from __future__ import annotations

from pathlib import Path

VARIABLE = "JIT_RENDER_BENCH_HOOKS"
_INIT = f"""\
import atexit, os, time
import nuke

spent = []

def metered(add):
    def added(call, *args, **kwargs):
        def timed(*given, **named):
            began = time.thread_time()
            try:
                return call(*given, **named)
            finally:
                spent.append(time.thread_time() - began)
        add(timed, *args, **kwargs)
    return added

for name in ("addFilenameFilter", "addBeforeRender", "addBeforeFrameRender", "addAfterFrameRender", "addAfterRender"):
    setattr(nuke, name, metered(getattr(nuke, name)))

@atexit.register
def say():
    with open(os.environ["{VARIABLE}"], "w") as file:
        file.write(repr(sum(spent)))
"""


def folder_in(top: Path) -> Path:
    """The folder, made in `top`."""
    folder = top / "hook-meter"
    folder.mkdir(exist_ok=True)
    (folder / "init.py").write_text(_INIT)
    return folder
