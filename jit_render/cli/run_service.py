"""Giving a job to an engine that is a service: the estimate, the question, the hand-over, the waiting."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING

import typer

from jit_render.model.errors import CloudUnavailable, JitRenderError, UsageError

_MAY_GO_ON = {"waiting", "failed", "held"}

if TYPE_CHECKING:
    from jit_render.cli.session import Session
    from jit_render.farm.engine import Engine
    from jit_render.farm.status import JobStatus
    from jit_render.farm.submit import Submission
    from jit_render.model.identity import ObjectUrl
    from jit_render.model.job import EstimateRecord
    from jit_render.report.progress import Display


def ask_before(given: Session, engine: Engine, submission: Submission, *, yes: bool) -> EstimateRecord:
    """Say what will run and what it will take, and go on only if the person wants it. The estimate.

    Raises ConfigError for what the engine cannot run or no table has a price of, UsageError where nobody can be asked.
    """
    from jit_render.cli.budget import expect
    from jit_render.cli.output import note
    from jit_render.report.words import count

    engine.check(submission.spec)
    gcp = given.settings.gcp
    tasks = len(submission.spec.tasks())
    kind = "Spot" if gcp.provisioning == "spot" else "on demand"
    nodes = min(gcp.nodes, tasks)
    after = ", on demand where that fails" if gcp.provisioning == "spot" and gcp.fallback == "on-demand" else ""
    note(f"{count(tasks, 'task')} on up to {count(nodes, 'node')} of {gcp.machine}, {kind}{after}.")
    expected = expect(given, submission.spec)
    if not yes:
        _ask()
    return expected


def _ask() -> None:
    from jit_render.cli.output import note

    if not sys.stdin.isatty():
        raise UsageError("this costs money and there is no terminal to ask at; say --yes.")
    try:
        goes_on = typer.confirm("Go on?", err=True)
    except typer.Abort:
        raise KeyboardInterrupt from None
    if not goes_on:
        note("nothing was submitted.")
        raise typer.Exit(1)


def run_service(given: Session, home: ObjectUrl, engine: Engine, *, wait: bool, json: bool) -> int:
    """Hand the job over; with `wait`, stay until it is over. The exit code."""
    from jit_render.cli.output import say, say_json

    engine.submit(home)
    if wait:
        return wait_for(given, home, engine, json=json)
    if json:
        say_json({"job": home.name, "home": str(home), "engine": engine.name})
    else:
        say(f"{home.name} is with {engine.name}; jit-render wait {home.name} shows its progress.")
    return 0


def wait_for(given: Session, home: ObjectUrl, engine: Engine, *, timeout: float = 0, json: bool = False) -> int:
    """Show the job until it is over, going on with what the machines failed. The exit code."""
    from jit_render.cli.finish import finish
    from jit_render.report.follow import follow
    from jit_render.report.progress import open_display

    display = open_display(given.clock, quiet=json)
    status = follow(lambda: _look(engine, home, display), given.clock, display, timeout_seconds=timeout)
    return finish(given.store, home, status, json=json, gave_up=not status.is_over)


def _look(engine: Engine, home: ObjectUrl, display: Display) -> JobStatus:
    status = engine.status(home)
    if status.state not in _MAY_GO_ON:
        return status
    try:
        said = engine.go_on(home)
    except CloudUnavailable:  # whether it goes on is known when the service is back
        return dataclasses.replace(status, state="waiting") if status.state == "failed" else status
    except JitRenderError as error:  # somebody who may only look, say: how it stands is told all the same
        return dataclasses.replace(status, notes=(*status.notes, f"it could not go on: {error}"))
    if said:
        display.note(said)
        status = engine.status(home)
    return status
