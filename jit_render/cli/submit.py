"""``jit-submit``: from a script on this disk to frames in the bucket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from jit_render.cli import boundary
from jit_render.cli.options import Json, Set, State
from jit_render.cli.run_local import OwnCaches, Workers
from jit_render.model.errors import MissingInput, UsageError

if TYPE_CHECKING:
    from jit_render.cli.session import Session
    from jit_render.farm.planning import Inputs
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
Chunk = Annotated[
    str, typer.Option("--chunk", metavar="N|auto", help="Frames of one task [job.chunk]; auto: what wastes least.")
]
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
PlanOnly = Annotated[bool, typer.Option("--plan", help="Show what would be read and what is missing; submit nothing.")]
NoUpload = Annotated[bool, typer.Option("--no-upload", help="Stop where an input on this disk is not in the bucket.")]
Scout = Annotated[
    bool, typer.Option("--scout", help="Render first, middle and last frame and say what to expect; 'resume' goes on.")
]
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
    chunk: Chunk = "",
    renderer: Renderer = "",
    proxy: Proxy = False,
    force: Force = False,
    latest: Latest = False,
    allow_missing: AllowMissing = False,
    chaos: ChaosRate = 0,
    seed: Seed = 0,
    chaos_grace: Grace = 30,
    sheet: Sheet = None,
    plan: PlanOnly = False,
    no_upload: NoUpload = False,
    scout: Scout = False,
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
    from jit_render.farm.planning import look
    from jit_render.farm.scouting import scouted_frames
    from jit_render.farm.submit import Options, prepare
    from jit_render.farm.submit import submit as submit_job

    if sheet is not None:
        need_images()
    assert engine == "local"
    flags = _renderer_flag(renderer) + with_state(overrides or (), state)
    with session(flags) as given:
        length = _chunk(given, chunk, script, frames=frames, show=show, workers=workers)
        options = Options(chunk=length, proxy=proxy, allow_missing=allow_missing, latest=latest, force=force, show=show)
        submission = prepare(
            given.settings,
            script,
            frames=frames,
            writes=write or (),
            views=view or (),
            options=options,
            clock=given.clock,
            store=given.store,
        )
        _echo(submission)
        if scout:
            scouted_frames(submission.spec)  # a movie cannot be; better said before anything is stored
        inputs = look(given.store, submission.plan, submission.spec)
        if plan:
            raise typer.Exit(_show_plan(given, submission, inputs, may_upload=not no_upload, json=json))
        inputs = _bring(given, submission, inputs, may_upload=not no_upload, quiet=json)
        _warn(inputs, allow_missing=allow_missing)
        done = submit_job(given.store, submission, given.clock, inputs)
        exit_code = 0
        if done.action == "nothing" or no_run:
            _say_submitted(done, json=json)
        else:
            from jit_render.cli.output import note
            from jit_render.cli.run_local import run_local
            from jit_render.cli.scout import scout as run_scout

            note(done.message)
            trouble = Chaos(chaos, seed, chaos_grace) if chaos else None
            render = run_scout if scout else run_local
            exit_code = render(given, done.home, workers=workers, own_caches=own_caches, chaos=trouble, json=json)
        if sheet is not None:
            _draw(given, done, sheet)
    raise typer.Exit(exit_code)


def _renderer_flag(renderer: str) -> list[str]:
    return [f"render.renderer={renderer}"] if renderer else []


def _chunk(given: Session, asked: str, script: Path, *, frames: str, show: str, workers: int) -> int:
    """Frames of one task; 0: what the settings say. Raises UsageError."""
    from jit_render.cli.output import note
    from jit_render.farm.measures import choose_chunk
    from jit_render.model.frames import FrameSet

    if asked != "auto":
        if asked and not asked.isdecimal():
            raise UsageError(f"--chunk {asked!r} is neither a number of frames nor 'auto'.")
        return int(asked or 0)
    count = len(FrameSet.parse(frames))
    chosen = choose_chunk(given.settings, given.store, script.stem, show=show, frames=count, workers=workers)
    note(str(chosen))
    return chosen.length


def _echo(submission: Submission) -> None:
    """What was understood, on standard error, before anything is done."""
    from jit_render.cli.output import note
    from jit_render.report.words import count

    spec = submission.spec
    writes = ", ".join(f"{write.name} ({' '.join(write.views)})" for write in spec.writes)
    note(f"{spec.script_name}: {spec.frame_set.echo()}; {writes}; {count(len(spec.tasks()), 'task')}")
    for text in submission.notes:
        note(f"note: {text}")


def _bring(given: Session, submission: Submission, inputs: Inputs, *, may_upload: bool, quiet: bool) -> Inputs:
    """Upload the inputs that lie on this disk only; the inputs as they are then."""
    from jit_render.cli.output import note
    from jit_render.farm.bringing import bring_inputs
    from jit_render.farm.ingest_report import Choices
    from jit_render.report.ingest import ingest_lines, open_ingest_display

    with open_ingest_display(given.clock, quiet=quiet) as display:
        choices = Choices(on_progress=display.show)
        inputs, report = bring_inputs(
            given.settings, given.store, submission, inputs, clock=given.clock, choices=choices, may_upload=may_upload
        )
    if report.brought or not report.is_whole:
        for line in ingest_lines(report):
            note(line)
    return inputs


def _show_plan(given: Session, submission: Submission, inputs: Inputs, *, may_upload: bool, json: bool) -> int:
    """The exit code: 3 where the submit would stop for a missing input."""
    from jit_render.cli.output import note, say, say_json
    from jit_render.farm.bringing import lying_here
    from jit_render.report.plan import plan_json, plan_lines

    if json:
        say_json(plan_json(submission.plan, inputs, submission.spec))
    else:
        for line in plan_lines(submission.plan, inputs, submission.spec):
            say(line)
    here = lying_here(given.settings, submission, inputs)
    if here:
        note(f"note: {len(here)} of the missing inputs lie on this disk; a submit uploads them.")
    missing = set(inputs.missing) - (here if may_upload else set())
    stops = not submission.spec.allow_missing and any(one.stops for one in missing)
    return MissingInput.exit_code if stops else 0


def _warn(inputs: Inputs, *, allow_missing: bool) -> None:
    """Of inputs that are not there and stop nothing."""
    from jit_render.cli.output import note
    from jit_render.report.words import count

    forgiven = [one for one in inputs.missing if allow_missing or not one.stops]
    if forgiven:
        some = ", ".join(f"{one.object} ({one.node}.{one.knob})" for one in forgiven[:3])
        note(f"note: {count(len(forgiven), 'input')} not in the bucket, as {some}: left to the render (see --plan).")


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
