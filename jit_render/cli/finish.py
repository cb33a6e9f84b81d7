"""How a command that watched a job to its end says so."""

from __future__ import annotations

import os

from jit_render.cli.output import say, say_json
from jit_render.farm.records import JobReader
from jit_render.farm.status import JobStatus
from jit_render.model.identity import ObjectUrl
from jit_render.report.summary import exit_code_of, summarise
from jit_render.store import Store


def finish(
    store: Store,
    home: ObjectUrl,
    status: JobStatus,
    *,
    json: bool,
    wall_seconds: float | None = None,
    gave_up: bool = False,
) -> int:
    """Print the summary; the command's exit code. `gave_up`: the command's time was over before the job was."""
    exit_code = os.EX_TEMPFAIL if gave_up else exit_code_of(status)
    if json:
        say_json({**as_json(status), "exit_code": exit_code})
    else:
        for line in summarise(status, JobReader(store, home).spec(), wall_seconds=wall_seconds):
            say(line)
    return exit_code


def as_json(status: JobStatus) -> dict[str, object]:
    """The status as every command's ``--json`` spells it."""
    from jit_render.cli.output import plain

    return {**plain(status), "hit_rate": status.hit_rate}
