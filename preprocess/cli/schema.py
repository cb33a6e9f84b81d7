"""``jit-preprocess schema``: what a pipeline file may hold."""

from __future__ import annotations

from jit_render.cli.imaging import need_images


def schema() -> None:
    """Print the JSON schema of a pipeline file, for editors and checks."""
    need_images()
    import json

    from jit_render.cli.output import say
    from preprocess.schema import pipeline_schema

    say(json.dumps(pipeline_schema(), indent=2))
