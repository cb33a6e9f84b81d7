"""``jit-submit``: from a script on this disk to frames in the bucket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from jit_render.cli import boundary
from jit_render.cli.options import Json, Set, State
from jit_render.cli.run_local import OwnCaches, Workers

if TYPE_CHECKING:
    from jit_render.cli.session import Session
    from jit_render.farm.submit import Submission, Submitted

NAME = "jit-submit"

Script = Annotated[Path, typer.Argument(metavar="SCRIPT", help="A .nk script.", show_default=False)]
Range = Annotated[
    str, typer.Option("--frames", "-F", metavar="RANGE", help="Like 1001-1100x2,1150.", show_default=False)
]
Writes = Annotated[list[str] | None, typer.Option("--write", "-X", metavar="NODE", help="Only this Write; repeatable.")]
Views = Annotated[list[str] | None, typer.Option("--view", metavar="VIEW", help="Only this view; repeatable.")]
Engine = Annotated[Literal["local"], typer.Option("--engine", help="Where the tasks run.")]
Renderer = Annotated[str, typer.Option("--renderer", metavar="nuke|standin", help="What renders [render.renderer].")]
Chunk = Annotated[int, typer.Option("--chunk", min=0, help="Frames of one task; 0: what job.chunk says.")]
Proxy = Annotated[bool, typer.Option("--proxy", help="Render in proxy mode.")]
Force = Annotated[bool, typer.Option("--force", help="Render all frames, even those that are there already.")]
Latest = Annotated[bool, typer.Option("--latest", help="Follow overwritten inputs instead of one version for the job.")]
AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="Leave absent inputs to each node's on_error.")]
ChaosRate = Annotated[
    float, typer.Option("--chaos", metavar="RATE", min=0, max=1, help="Preempt this share of attempts.")
]
Seed = Annotated[int, typer.Option("--seed", help="Of --chaos: the same seed hits the same attempts.")]
Grace = Annotated[float, typer.Option("--chaos-grace", metavar="SECONDS", min=0, help="Between notice and end.")]
Sheet = Annotated[Path | None, typer.Option("--sheet", metavar="PNG", help="Draw a contact sheet when it is done.")]
NoRun = Annotated[bool, typer.Option("--no-run", help="Only submit; 'jit-render retry' runs it.")]
Show = Annotated[str, typer.Option("--show", metavar="NAME", help="Name of the show [job.show].")]

app = boundary.application(name=NAME)


@app.command(epilog=boundary.EXIT_CODES)
def submit(
    script: Script,
    *,
    frames: Range,
    write: Writes = None,
    view: Views = None,
    engine: Engine = "local",
    workers: Workers = 0,
    own_caches: OwnCaches = False,
    chunk: Chunk = 0,
    renderer: Renderer = "",
    proxy: Proxy = False,
    force: Force = False,
    latest: Latest = False,
    allow_missing: AllowMissing = False,
    chaos: ChaosRate = 0,
    seed: Seed = 0,
    chaos_grace: Grace = 30,
    sheet: Sheet = None,
    no_run: NoRun = False,
    show: Show = "",
    state: State = "",
    overrides: Set = None,
    json: Json = False,
) -> None:
    """Render SCRIPT's frames into the bucket. Frames that are there already, from the same inputs, stay."""
    from jit_render.cli.imaging import need_images
    from jit_render.cli.session import session, with_state
    from jit_render.farm.local import Chaos
    from jit_render.farm.submit import Options, prepare
    from jit_render.farm.submit import submit as submit_job

    if sheet is not None:
        need_images()
    assert engine == "local"
    flags = _renderer_flag(renderer) + with_state(overrides or (), state)
    with session(flags) as given:
        options = Options(chunk=chunk, proxy=proxy, allow_missing=allow_missing, latest=latest, force=force, show=show)
        submission = prepare(
            given.settings,
            script,
            frames=frames,
            writes=write or (),
            views=view or (),
            options=options,
            clock=given.clock,
        )
        _echo(submission)
        done = submit_job(given.store, submission, given.clock)
        exit_code = 0
        if done.action == "nothing" or no_run:
            _say_submitted(done, json=json)
        else:
            from jit_render.cli.output import note
            from jit_render.cli.run_local import run_local

            note(done.message)
            trouble = Chaos(chaos, seed, chaos_grace) if chaos else None
            exit_code = run_local(given, done.home, workers=workers, own_caches=own_caches, chaos=trouble, json=json)
        if sheet is not None:
            _draw(given, done, sheet)
    raise typer.Exit(exit_code)


def _renderer_flag(renderer: str) -> list[str]:
    return [f"render.renderer={renderer}"] if renderer else []


def _echo(submission: Submission) -> None:
    """What was understood, on standard error, before anything is done."""
    from jit_render.cli.output import note
    from jit_render.report.words import count

    spec = submission.spec
    writes = ", ".join(f"{write.name} ({' '.join(write.views)})" for write in spec.writes)
    note(f"{spec.script_name}: {spec.frame_set.echo()}; {writes}; {count(len(spec.tasks()), 'task')}")
    for text in submission.notes:
        note(f"note: {text}")


def _say_submitted(done: Submitted, *, json: bool) -> None:
    from jit_render.cli.output import say, say_json

    if json:
        answer = {"job": done.spec.id, "home": str(done.home), "action": done.action, "frames_there": done.there}
        say_json({**answer, "message": done.message})
    else:
        say(done.message)


def _draw(given: Session, done: Submitted, path: Path) -> None:
    from jit_render.cli.output import note
    from jit_render.report.sheet import contact_sheet

    drawn = contact_sheet(given.store, done.home, path)
    note(f"contact sheet: {drawn.path} ({drawn.shown} frames)")


def run() -> None:
    """The console script."""
    boundary.run(app, NAME)


if __name__ == "__main__":
    run()
