"""``jit-render script``: what a script reads, frame by frame, without a bucket and without rendering."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jit_render.cli.options import Json, Set

Script = Annotated[Path, typer.Argument(metavar="SCRIPT", help="A .nk script.", show_default=False)]
Range = Annotated[str, typer.Option("--frames", "-F", metavar="RANGE", help="Like 1001-1100x2; else the script's own.")]
Writes = Annotated[list[str] | None, typer.Option("--write", "-X", metavar="NODE", help="Only this Write; repeatable.")]
Views = Annotated[list[str] | None, typer.Option("--view", metavar="VIEW", help="Only this view; repeatable.")]
Env = Annotated[list[str] | None, typer.Option("--env", metavar="NAME=VALUE", help="As the render will have it.")]
Proxy = Annotated[bool, typer.Option("--proxy", help="As rendered in proxy mode.")]


def script(
    script: Script,
    *,
    frames: Range = "",
    write: Writes = None,
    view: Views = None,
    env: Env = None,
    proxy: Proxy = False,
    overrides: Set = None,
    json: Json = False,
) -> None:
    """Tell which files SCRIPT's frames read.

    Per node the frames it needs, what is widened because the script cannot tell, and what cannot be told at all.
    Precomps, gizmos and colour configurations are looked into where they are on this disk.
    """
    import os

    from jit_render.cli.config import load
    from jit_render.cli.output import say, say_json
    from jit_render.farm.preparing import read_script
    from jit_render.farm.script_files import ScriptFiles
    from jit_render.model.pathmap import PathMap
    from jit_render.report.script_plan import script_lines
    from jit_render.script import parse
    from jit_render.script.plan import plan, script_frames

    settings = load(overrides or ()).settings
    read = parse(read_script(script), name=script.name)
    planned = plan(
        read,
        frames=_frames(frames) or script_frames(read),
        writes=write or (),
        views=view or (),
        script_path=str(script.absolute()),
        environment={**os.environ, **settings.render.environment, **_environment(env or ())},
        gizmo_path=settings.render.gizmo_path,
        files=ScriptFiles(PathMap(rules=settings.paths), None),
        proxy=proxy,
    )
    if json:
        say_json({"script": str(script.absolute()), **planned.as_json()})
        return
    for line in script_lines(planned, script.name):
        say(line)


def _frames(text: str) -> tuple[int, ...]:
    from jit_render.model.frames import FrameSet

    return FrameSet.parse(text).frames if text else ()


def _environment(pairs: list[str] | tuple[str, ...]) -> dict[str, str]:
    from jit_render.model.errors import UsageError

    strange = [pair for pair in pairs if "=" not in pair or pair.startswith("=")]
    if strange:
        raise UsageError(f"--env {strange[0]!r} is no variable; write it like --env SHOT=sh010.")
    return dict(pair.split("=", 1) for pair in pairs)
