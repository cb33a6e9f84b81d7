"""A real farm in small on one machine: just in time beside what else a studio would use, measured the same way.

Hosts are network namespaces with links of stated width (`links.py`); programs are real: GlusterFS, rclone, gcsfuse and
this project's own worker, agent and callbacks (`systems/`). Every system renders the same frames of the same shot
(`shot.py`) with the same renderer, the stand-in, and the frames are compared byte by byte at the end.

What is in small, and how it keeps its proportions. Two cores cannot be eight hosts: so links are narrowed until they,
not the cores, are what limits, and a frame's computing is *simulated*: the renderer reads its inputs whole, makes the
picture, writes it, and sleeps `compute_seconds`. Where a run kept the cores busier than 80 % all the same, its row
says so. The filer has one link that all hosts share, as a filer has; the object store has a link to each host, as
wide as the host's own, because object storage's bandwidth grows with its readers. `Setting` states all of it.

The farm lives in one process tree with its own process, mount and network namespaces (`inside.py`): when the
tree dies, in whatever way, the kernel takes processes, mounts, hosts and links with it. Only a temporary folder can be
left, and the next run removes it. Without root there are no namespaces: the hosts are then folders of this machine,
links have no limits, and what needs root is left out and said so.

Each system has N hosts render `frames_per_host` frames each of a longer shot, started at the same moment. A host's
seconds are counted from the copying of the shot (copy-all), or else from its first frame, to its last output being in
storage; how long programs take to start is told apart (`start_seconds`), as eight hosts' programs start on the two
cores of one machine. `frames_per_hour` is the sum over the hosts. The form of the result is in `values.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Group


def measure(*, quick: bool) -> dict[str, Any]:
    """Run the grid; `values.Result` as plain values."""
    from benchmarks.farm.outside import run

    return run(quick=quick)


def table(result: dict[str, Any]) -> Group:
    """The same for people."""
    from benchmarks.farm.table import show

    return show(result)
