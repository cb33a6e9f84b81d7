"""``jit-submit``: from a script on this disk to frames in the bucket."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jit_render.cli import boundary
from jit_render.cli.engine_options import (
    LOCAL,
    Budget,
    Engine,
    Fallback,
    Given,
    Machine,
    MaxNodes,
    Spot,
    Wait,
    Yes,
)
from jit_render.cli.options import Json, Set, State
from jit_render.cli.run_local import OwnCaches, Workers
from jit_render.cli.submitting import Here, How, What, submit_script

NAME = "jit-submit"

Script = Annotated[Path, typer.Argument(metavar="SCRIPT", help="A .nk script.", show_default=False)]
Range = Annotated[
    str, typer.Option("--frames", "-F", metavar="RANGE", help="Like 1001-1100x2,1150.", show_default=False)
]
Writes = Annotated[list[str] | None, typer.Option("--write", "-X", metavar="NODE", help="Only this Write; repeatable.")]
Views = Annotated[list[str] | None, typer.Option("--view", metavar="VIEW", help="Only this view; repeatable.")]
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
    engine: Engine = LOCAL,
    workers: Workers = 0,
    own_caches: OwnCaches = False,
    machine: Machine = "",
    spot: Spot = None,
    fallback: Fallback = "",
    max_nodes: MaxNodes = 0,
    budget: Budget = 0,
    yes: Yes = False,
    wait: Wait = False,
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
    from jit_render.cli.session import session, with_state

    chosen = Given(engine, machine, spot, fallback, max_nodes, budget, yes, wait)
    local = Here(workers, own_caches, chaos, seed, chaos_grace, scout)
    chosen.check(local.options())
    what = What(script, frames, tuple(write or ()), tuple(view or ()), chunk, proxy, force, latest, allow_missing, show)
    flags = [*_renderer_flag(renderer), *with_state(overrides or (), state), *chosen.flags()]
    how = How(chosen, local, sheet, plan, not no_upload, not no_run, json)
    with session(flags) as given:
        exit_code = submit_script(given, what, how)
    raise typer.Exit(exit_code)


def _renderer_flag(renderer: str) -> list[str]:
    return [f"render.renderer={renderer}"] if renderer else []


def run() -> None:
    """The console script."""
    boundary.run(app, NAME)


if __name__ == "__main__":
    run()
