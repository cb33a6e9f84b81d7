"""Which files every frame of a job reads, told from the script before anything renders.

::

    universe     the script and the files that it brings in: gizmos, live groups, precomps
    demand       what is wanted of every node upstream of the Writes, all frames at once
    routes         … and where one node's share of it goes on to
    reads        the file knobs of the nodes that are wanted: names and file frames
    shown          … which frames of a file that is
    companions   files that Nuke opens past its file knobs: OCIO configs, tiles, textures of models

A plan is never smaller than what a render opens. Where the script cannot tell, it names all that may be read, marked
as not certain and with the reason; where it cannot even name it, the plan says that too. Pure: other files are looked
into through `Files`, which the caller gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from jit_render.model.errors import UsageError
from jit_render.model.frames import MOST_FRAMES
from jit_render.script.clips import root_range
from jit_render.script.companions import with_companions
from jit_render.script.demand import wants
from jit_render.script.evaluate import Evaluator
from jit_render.script.nodes import Script
from jit_render.script.planned import (
    NO_FRAME,
    ONCE,
    Files,
    NoFiles,
    Plan,
    PlannedFile,
    ReadPlan,
    Undecidable,
    WritePlan,
)
from jit_render.script.reads import Gathered
from jit_render.script.rendered import rendered
from jit_render.script.universe import Universe

__all__ = [
    "NO_FRAME",
    "ONCE",
    "Files",
    "NoFiles",
    "Plan",
    "PlannedFile",
    "ReadPlan",
    "Undecidable",
    "WritePlan",
    "plan",
    "script_frames",
]


def script_frames(script: Script) -> tuple[int, ...]:
    """The frames that Root says; 1 to 100 where it says nothing. Raises Undecided, UsageError."""
    first, last = root_range(Evaluator(script), 1, "")
    if last - first >= MOST_FRAMES or last < first:
        raise UsageError(f"{script.name} says its frames are {first} to {last}; name those that are meant.")
    return tuple(range(first, last + 1))


def plan(
    script: Script,
    *,
    frames: Iterable[int],
    writes: Sequence[str] = (),
    views: Sequence[str] = (),
    script_path: str,
    environment: Mapping[str, str],
    gizmo_path: Sequence[str] = (),
    files: Files | None = None,
    proxy: bool = False,
) -> Plan:
    """The plan of a job.

    `writes` are full names (none: every Write that is enabled), `views` those that are rendered (none: what each
    Write asks for). `environment` is all that the render's environment will hold. Raises UsageError for a Write or
    view that is not there, ScriptError for scripts that lead back to themselves.
    """
    job = tuple(dict.fromkeys(frames))
    if not job:
        raise UsageError("a plan wants at least one frame.")
    universe = Universe(
        script,
        script_path=script_path,
        environment=environment,
        files=files or NoFiles(),
        gizmo_path=gizmo_path,
        frame=job[0],
    )
    chosen = rendered(universe, job, writes, views)
    gathered = Gathered(universe, job, proxy=proxy)
    for untold in chosen.untold:
        gathered.note(untold)
    for want in wants(universe, chosen.flows):
        gathered.add(want)
    reads = tuple(with_companions(universe, job, tuple(gathered.plans()), gathered.note))
    return Plan(
        frames=job,
        views=tuple(view for view in universe.main.views if any(view in write.views for write in chosen.writes)),
        writes=chosen.writes,
        reads=reads,
        undecided=tuple(Undecidable(one.text, one.node, one.knob, one.line, one.why) for one in gathered.untold),
    )
