"""Running a job on this machine with its progress on the screen: what jit-submit and retry share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from jit_render.cli.session import Session
    from jit_render.farm.local import Chaos, Progress
    from jit_render.farm.status import JobStatus
    from jit_render.model.identity import ObjectUrl
    from jit_render.report.progress import Display

Workers = Annotated[int, typer.Option("--workers", min=0, help="Worker processes; 0: what farm.workers says.")]
OwnCaches = Annotated[bool, typer.Option("--own-caches", help="A cache for each worker, as on nodes of their own.")]


def run_local(
    given: Session,
    home: ObjectUrl,
    *,
    workers: int = 0,
    own_caches: bool = False,
    chaos: Chaos | None = None,
    json: bool = False,
) -> int:
    """Render the job at `home` here until nothing is left to try; print how it went. The exit code."""
    from jit_render.cli.finish import finish

    began = given.clock.monotonic()
    status = render_here(given, home, workers=workers, own_caches=own_caches, chaos=chaos, quiet=json)
    return finish(given.store, home, status, json=json, wall_seconds=given.clock.monotonic() - began)


def render_here(
    given: Session,
    home: ObjectUrl,
    *,
    workers: int = 0,
    own_caches: bool = False,
    chaos: Chaos | None = None,
    frames: frozenset[int] | None = None,
    quiet: bool = False,
) -> JobStatus:
    """Render (of `frames`) until nothing is left to try, with the progress on the screen."""
    from jit_render.farm.local import LocalEngine, LocalOptions
    from jit_render.report.follow import watching
    from jit_render.report.progress import open_display

    display = open_display(given.clock, quiet=quiet)
    screen = _Screen(display)
    options = LocalOptions(
        workers=workers, shared_cache=not own_caches, chaos=chaos, frames=frames, on_progress=screen.hear
    )
    try:
        with watching(given.store, home, given.clock, screen.show):
            status = LocalEngine(given.settings, given.store, given.clock, options).run(home)
        display.show(status)
    except KeyboardInterrupt:
        display.close()
        display.note("stopped; what is finished is in the bucket, and the same command goes on from there.")
        raise
    finally:
        display.close()
    return status


class _Screen:
    """Joins what the records say with what the engine knows a moment earlier."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._in_hand: dict[int, int] = {}

    def show(self, status: JobStatus) -> None:
        self._display.show(replace(status, frames_running=len(self._in_hand)))

    def hear(self, progress: Progress) -> None:
        if progress.kind == "frame" and progress.frame is not None:
            self._in_hand[progress.slot] = progress.frame
        elif progress.kind in {"ended", "killed"}:
            self._in_hand.pop(progress.slot, None)
        text = {
            "notice": f"preempted on purpose, frame {progress.frame} in hand",
            "retry": f"tried again: {progress.message}",
            "gave_up": f"given up: {progress.message}",
        }.get(progress.kind)
        if text:
            self._display.note(f"task {progress.task}, attempt {progress.attempt}: {text}")
