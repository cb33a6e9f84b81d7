"""``jit-render cost``: what a job cost, and what it would have cost otherwise."""

from __future__ import annotations

from typing import Annotated

import typer

from jit_render.cli.options import Job, Json, Set, State

Machine = Annotated[str, typer.Option("--machine", metavar="TYPE", help="As if on that one, like n2d-standard-8.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print one row for each frame.")]
Shot = Annotated[bool, typer.Option("--shot", help="All jobs of JOB's shot, by version of the script.")]


def cost(
    job: Job = "latest",
    *,
    machine: Machine = "",
    shot: Shot = False,
    csv: Csv = False,
    state: State = "",
    overrides: Set = None,
    json: Json = False,
) -> None:
    """Show what a job cost, by what the money went to.

    Of a job on this machine: what it would have cost on the machine that [gcp] or --machine names.
    """
    from jit_render.cli.output import busy, say, say_json, say_table
    from jit_render.cli.session import session, with_state
    from jit_render.cost.bill import usd
    from jit_render.farm.billing import cost_of, jobs_of_shot
    from jit_render.farm.records import JobReader
    from jit_render.model.errors import UsageError
    from jit_render.report import cost as words

    if csv and json:
        raise UsageError("--csv and --json exclude each other.")
    with session(with_state(overrides or (), state)) as given:
        home = given.job(job)
        homes = jobs_of_shot(given.store, home) if shot else [home]
        now = given.clock.wall()
        with busy("reading the records"):
            found = [cost_of(given.settings, JobReader(given.store, one), now=now, machine=machine) for one in homes]
    if csv:
        say(words.cost_csv(found).rstrip("\n"))
    elif json:
        told = [words.cost_json(one) for one in found]
        say_json(told if shot else told[0])
    elif shot:
        headers = ("version", "job", "frames", "cost", "a frame", "lost")
        say_table(headers, words.version_rows(found), right=headers[2:])
        say(f"{found[0].spec.shot}: {usd(sum(one.bill.total.total for one in found))} in all")
    else:
        for line in words.cost_lines(found[0]):
            say(line)
