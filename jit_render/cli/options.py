"""Arguments that several commands share, spelled once."""

from __future__ import annotations

from typing import Annotated

import typer

Job = Annotated[str, typer.Argument(metavar="JOB", help="Id, unique beginning of an id, URL, or 'latest'.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a setting.")]
State = Annotated[str, typer.Option("--state", metavar="URL", help="Folder of the jobs' records [job.state].")]
Frames = Annotated[str, typer.Option("--frames", metavar="RANGE", help="Like 1001-1100x2,1150.")]
