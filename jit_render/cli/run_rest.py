"""Going on with a job, where it ran or elsewhere: what retry and resume share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jit_render.cli.engine_options import Given
    from jit_render.cli.session import Session
    from jit_render.model.frames import FrameSet
    from jit_render.model.identity import ObjectUrl


def run_rest(
    given: Session,
    home: ObjectUrl,
    left: FrameSet | None,
    chosen: Given,
    *,
    flags: Sequence[str] = (),
    run: bool = True,
    workers: int = 0,
    own_caches: bool = False,
    json: bool = False,
) -> int:
    """Render the frames that are `left` of a job, or only say which (without `run`, or where there are none)."""
    from jit_render.cli.budget import allow
    from jit_render.cli.output import note, say, say_json
    from jit_render.cli.run_local import run_local
    from jit_render.cli.run_service import run_service
    from jit_render.farm.engines import engine_of

    if left is None or not run:
        if json:
            say_json({"job": home.name, "url": str(home), "left": str(left) if left else ""})
        else:
            say(f"{home.name}: {f'{left.echo()} left' if left else 'all frames are there'}.")
        return 0
    chosen = chosen.at(engine_of(given.store, home))
    chosen.check([("--workers", workers), ("--own-caches", own_caches)])
    given.refuse_elsewhere(home, chosen.engine)
    allow(given, home, chosen)
    note(f"{home.name}: {left.echo()} left.")
    if chosen.is_local:
        return run_local(given, home, workers=workers, own_caches=own_caches, json=json)
    engine = given.engine(home, [*flags, *chosen.flags()], chosen.engine)
    return run_service(given, home, engine, wait=chosen.wait, json=json)
