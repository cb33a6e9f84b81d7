"""``jit-submit --scout``: three frames, what they took, and what to expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jit_render.cli.session import Session
    from jit_render.farm.local import Chaos
    from jit_render.model.identity import ObjectUrl


def scout(
    given: Session,
    home: ObjectUrl,
    *,
    workers: int = 0,
    own_caches: bool = False,
    chaos: Chaos | None = None,
    json: bool = False,
) -> int:
    """Render the job's first, middle and last frame here and say what was found. The exit code."""
    from jit_render.cli.finish import finish
    from jit_render.cli.output import plain, say, say_json
    from jit_render.cli.run_local import render_here
    from jit_render.farm.records import JobReader
    from jit_render.farm.scouting import findings, scouted_frames
    from jit_render.report.scout import scout_lines

    reader = JobReader(given.store, home)
    frames = scouted_frames(reader.spec())
    chosen = frozenset(frames)
    status = render_here(given, home, workers=workers, own_caches=own_caches, chaos=chaos, frames=chosen, quiet=json)
    if reader.missing(frames):
        return finish(given.store, home, status, json=json)
    found = findings(reader, frames, workers or given.settings.farm.workers)
    if json:
        say_json({"job": home.name, "home": str(home), **plain(found)})
    else:
        for line in scout_lines(home.name, found):
            say(line)
    return 0
