"""``jit-render agent``: the node's agent in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jit_render.cli.options import Set

Cache = Annotated[Path | None, typer.Option("--cache", metavar="FOLDER", help="The node's cache [cache.root].")]
Socket = Annotated[Path | None, typer.Option("--socket", metavar="PATH", help="Default: agent.sock in the cache.")]
Idle = Annotated[float, typer.Option("--idle-seconds", min=0, help="End when unused for so long; 0: never.")]
Grace = Annotated[float | None, typer.Option("--grace", min=0, help="Seconds to finish in after SIGTERM [farm.grace].")]
Metrics = Annotated[int, typer.Option("--metrics-port", help="Prometheus on 127.0.0.1; 0: none, -1: any free port.")]


def agent(
    *,
    cache: Cache = None,
    socket: Socket = None,
    idle_seconds: Idle = 0,
    grace: Grace = None,
    metrics_port: Metrics = 0,
    overrides: Set = None,
) -> None:
    """Run a node's agent in the foreground.

    Workers start one by themselves; this is for services.
    """
    import json

    from jit_render.agent.__main__ import main
    from jit_render.cli.config import load

    settings = load(overrides or ()).settings
    arguments = [
        *("--cache", str(cache or settings.cache.root)),
        *("--settings", json.dumps(settings.model_dump(mode="json", include={"cache", "store"}))),
        *("--idle-seconds", str(idle_seconds)),
        *("--grace", str(settings.farm.grace if grace is None else grace)),
        *("--metrics-port", str(metrics_port)),
    ]
    if socket is not None:
        arguments += ["--socket", str(socket)]
    raise typer.Exit(main(arguments))
