"""``jit-preprocess explain``: what a pipeline does to a frame, before anything is read or written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jit_render.cli.options import Json

PipelineFile = Annotated[
    Path, typer.Argument(metavar="PIPELINE", help="A .toml, .yaml or .json file.", show_default=False)
]
Size = Annotated[str, typer.Option("--size", metavar="WxH", help="Of a source frame in pixels.")]
Channels = Annotated[str, typer.Option("--channels", metavar="NAMES", help="Of a source frame, like R,G,B.")]
Memory = Annotated[str, typer.Option("--memory", metavar="SIZE", help="Of one worker's process, like 1500M.")]


def explain(
    pipeline: PipelineFile,
    *,
    size: Size = "1920x1080",
    channels: Channels = "",
    memory: Memory = "",
    json: Json = False,
) -> None:
    """Show the passes of PIPELINE: what is read, what stays in memory, what is written, and bytes at the peak."""
    from jit_render.cli.imaging import need_images
    from jit_render.cli.output import say, say_json
    from preprocess.environment import parse_memory
    from preprocess.explaining import Frame, explanation, explanation_lines
    from preprocess.pipeline_file import read_pipeline

    need_images()
    given, _ = read_pipeline(pipeline)
    found = explanation(given, Frame.parse(size, channels), parse_memory(memory))
    if json:
        say_json(found)
    else:
        for line in explanation_lines(given, found):
            say(line)
