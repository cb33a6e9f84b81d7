"""What `jit-submit` does with its options: plan, bring inputs, store the job, have it run.

Nothing is stored, and nothing that costs is begun, before the plan is known and the person has agreed to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jit_render.cli.engine_options import Given
from jit_render.model.errors import MissingInput, UsageError

if TYPE_CHECKING:
    from jit_render.cli.session import Session
    from jit_render.farm.engine import Engine
    from jit_render.farm.planning import Inputs
    from jit_render.farm.submit import Submission, Submitted


@dataclass(frozen=True, slots=True)
class What:
    """The script and what of it."""

    script: Path
    frames: str
    writes: tuple[str, ...]
    views: tuple[str, ...]
    chunk: str
    proxy: bool
    force: bool
    latest: bool
    allow_missing: bool
    show: str


@dataclass(frozen=True, slots=True)
class Here:
    """How this machine renders it."""

    workers: int
    own_caches: bool
    chaos: float
    seed: int
    chaos_grace: float
    scout: bool

    def options(self) -> list[tuple[str, object]]:
        """What makes no sense elsewhere, by its option."""
        return [
            ("--workers", self.workers),
            ("--own-caches", self.own_caches),
            ("--chaos", self.chaos),
            ("--scout", self.scout),
        ]


@dataclass(frozen=True, slots=True)
class How:
    """What to do with it."""

    engine: Given
    here: Here
    sheet: Path | None
    plan_only: bool
    may_upload: bool
    run: bool
    json: bool


def submit_script(given: Session, what: What, how: How) -> int:
    """The whole of it. The exit code."""
    from jit_render.cli.imaging import need_images
    from jit_render.farm.engines import open_engine

    if how.sheet is not None:
        need_images()
    engine = open_engine(how.engine.engine, given.settings, given.store, given.clock)
    return submit_prepared(given, engine, _prepare(given, what, how), how)


def submit_prepared(given: Session, engine: Engine, submission: Submission, how: How) -> int:
    """What follows once it is known what the job is. The exit code."""
    from jit_render.cli.run_service import ask_before
    from jit_render.farm.billing import put_estimate
    from jit_render.farm.planning import look
    from jit_render.farm.scouting import scouted_frames
    from jit_render.farm.submit import submit as submit_job

    _echo(submission)
    if how.here.scout:
        scouted_frames(submission.spec)  # a movie cannot be; better said before anything is stored
    inputs = look(given.store, submission.plan, submission.spec)
    if how.plan_only:
        return _show_plan(given, submission, inputs, may_upload=how.may_upload, json=how.json)
    on_service = how.run and not how.engine.is_local
    expected = ask_before(given, engine, submission, yes=how.engine.yes) if on_service else None
    inputs = _bring(given, submission, inputs, may_upload=how.may_upload, quiet=how.json)
    _warn(inputs, allow_missing=submission.spec.allow_missing)
    done = submit_job(given.store, submission, given.clock, inputs)
    if expected is not None:
        put_estimate(given.store, done.home, expected)
    exit_code = 0
    if done.action == "nothing" or not how.run:
        _say_submitted(done, json=how.json)
    else:
        exit_code = _run(given, engine, done, how)
    if how.sheet is not None:
        _draw(given, done, how.sheet)
    return exit_code


def _prepare(given: Session, what: What, how: How) -> Submission:
    from jit_render.farm.submit import Options, prepare

    workers = how.here.workers if how.engine.is_local else given.settings.gcp.nodes
    options = Options(
        chunk=_chunk(given, what.chunk, what.script, frames=what.frames, show=what.show, workers=workers),
        proxy=what.proxy,
        allow_missing=what.allow_missing,
        latest=what.latest,
        force=what.force,
        show=what.show,
    )
    return prepare(
        given.settings,
        what.script,
        frames=what.frames,
        writes=what.writes,
        views=what.views,
        options=options,
        clock=given.clock,
        store=given.store,
    )


def _run(given: Session, engine: Engine, done: Submitted, how: How) -> int:
    """Have the job run. The exit code."""
    from jit_render.cli.budget import allow
    from jit_render.cli.output import note
    from jit_render.cli.run_local import run_local
    from jit_render.cli.run_service import run_service
    from jit_render.cli.scout import scout
    from jit_render.farm.local import Chaos

    note(done.message)
    given.refuse_elsewhere(done.home, how.engine.engine)
    allow(given, done.home, how.engine)
    if not how.engine.is_local:
        return run_service(given, done.home, engine, wait=how.engine.wait, json=how.json)
    here = how.here
    chaos = Chaos(here.chaos, here.seed, here.chaos_grace) if here.chaos else None
    render = scout if here.scout else run_local
    return render(
        given, done.home, workers=here.workers, own_caches=here.own_caches, chaos=chaos, json=how.json
    )


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
    from jit_render.report.words import count, views_told

    spec = submission.spec
    writes = ", ".join(f"{write.name} ({views_told(write.views)})" for write in spec.writes)
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
