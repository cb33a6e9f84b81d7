"""``jit-preprocess run``: a pipeline on some frames and cameras, from the bucket to the bucket."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jit_render.cli.engine_options import LOCAL, Budget, Engine, Fallback, Given, Machine, MaxNodes, Spot, Wait, Yes
from jit_render.cli.options import Json, Set, State
from jit_render.cli.run_local import Workers

PipelineFile = Annotated[
    Path, typer.Argument(metavar="PIPELINE", help="A .toml, .yaml or .json file.", show_default=False)
]
Range = Annotated[
    str, typer.Option("--frames", "-F", metavar="RANGE", help="Like 1001-1100x2,1150.", show_default=False)
]
Cameras = Annotated[str, typer.Option("--cameras", metavar="NAMES", help="Like A001-A016,B002 [source.cameras].")]
PlanOnly = Annotated[bool, typer.Option("--plan", help="Show what would be read and written; submit nothing.")]
Staged = Annotated[bool, typer.Option("--staged", help="Store what comes out of each stage, too; same results.")]
Force = Annotated[bool, typer.Option("--force", help="Make all outputs, even those that were made before.")]
Chunk = Annotated[int, typer.Option("--chunk", metavar="N", min=0, help="Frames of one task; 0: some per worker.")]
Memory = Annotated[str, typer.Option("--memory", metavar="SIZE", help="Of one worker's process, like 1500M.")]
NoRun = Annotated[bool, typer.Option("--no-run", help="Only submit; 'jit-render retry' runs it.")]
Show = Annotated[str, typer.Option("--show", metavar="NAME", help="Name of the show [job.show].")]


def run(
    pipeline: PipelineFile,
    *,
    frames: Range,
    cameras: Cameras = "",
    engine: Engine = LOCAL,
    workers: Workers = 0,
    machine: Machine = "",
    spot: Spot = None,
    fallback: Fallback = "",
    max_nodes: MaxNodes = 0,
    budget: Budget = 0,
    yes: Yes = False,
    wait: Wait = False,
    plan: PlanOnly = False,
    staged: Staged = False,
    force: Force = False,
    chunk: Chunk = 0,
    memory: Memory = "",
    no_run: NoRun = False,
    show: Show = "",
    state: State = "",
    overrides: Set = None,
    json: Json = False,
) -> None:
    """Make PIPELINE's outputs of these frames and cameras. What was made before, of the same inputs, stays."""
    from jit_render.cli.imaging import need_images
    from jit_render.cli.session import session, with_state
    from preprocess.cli.submitting import submit_pipeline
    from preprocess.environment import Wishes, parse_memory
    from preprocess.pipeline_file import read_pipeline
    from preprocess.submission import Request, cameras_of

    need_images()
    chosen = Given(engine, machine, spot, fallback, max_nodes, budget, yes, wait)
    chosen.check([("--workers", workers)])
    given_pipeline, data = read_pipeline(pipeline)
    wishes = Wishes(parse_memory(memory), staged, force)
    request = Request(pipeline, frames, cameras_of(given_pipeline, cameras), chunk, show, wishes)
    flags = [*with_state(overrides or (), state), *chosen.flags()]
    flags += [f"farm.workers={workers}"] if workers else []
    with session(flags) as given:
        exit_code = submit_pipeline(
            given, given_pipeline, data, request, engine=chosen, plan_only=plan, run=not no_run, json=json
        )
    raise typer.Exit(exit_code)
