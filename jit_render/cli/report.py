"""``jit-render report``: one page on a job, to look at, to send, to print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jit_render.cli.cost import Csv, Machine
from jit_render.cli.options import Job, Json, Set, State

Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where the page goes [JOB.html].")]


def report(
    job: Job = "latest",
    *,
    out: Out = None,
    machine: Machine = "",
    csv: Csv = False,
    state: State = "",
    overrides: Set = None,
    json: Json = False,
) -> None:
    """Write a page on how a job went: progress, frame times, cost, files, plan, failures.

    One HTML file that needs no network. --csv and --json print what is in it instead.
    """
    from jit_render.cli.output import busy, plain, say, say_json
    from jit_render.cli.session import session, with_state
    from jit_render.farm.records import JobReader
    from jit_render.model.errors import UsageError
    from jit_render.report.cost import cost_json
    from jit_render.report.page import write_page
    from jit_render.report.page_data import frames_csv, gather

    if csv and json:
        raise UsageError("--csv and --json exclude each other.")
    with session(with_state(overrides or (), state)) as given:
        reader = JobReader(given.store, given.job(job))
        with busy("reading the records"):
            data = gather(given.settings, reader, given.clock, machine=machine)
    if csv:
        say(frames_csv(data).rstrip("\n"))
        return
    if json:
        told = {"status": data.status, "frames": data.frames, "tasks": data.tasks, "plan": data.plan}
        say_json({**told, "failures": data.failures, "cost": plain(cost_json(data.cost))})
        return
    path = out or Path(f"{data.cost.spec.id}.html")
    try:
        write_page(data, path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; name another place with --out.") from None
    say(f"{path}: {len(data.frames)} frames")
