"""``jit-preprocess``: run a pipeline, explain it, print its schema. ``jit-render`` looks after its jobs."""

from __future__ import annotations

from jit_render.cli import boundary
from preprocess.cli.explain import explain
from preprocess.cli.run import run as run_pipeline
from preprocess.cli.schema import schema

NAME = "jit-preprocess"

app = boundary.application(
    name=NAME,
    no_args_is_help=True,
    help="Preprocess image sequences from bucket to bucket, in one pass. jit-render status, logs, ... know its jobs.",
    epilog=boundary.EXIT_CODES,
)
for command in (run_pipeline, explain, schema):
    app.command(epilog=boundary.EXIT_CODES)(command)


def run() -> None:
    """The console script."""
    boundary.run(app, NAME)


if __name__ == "__main__":
    run()
