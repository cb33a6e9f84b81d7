"""``jit-render push``: bring files of this disk into the bucket."""

from __future__ import annotations

from typing import Annotated

import typer

from jit_render.cli.options import Json, Set

Paths = Annotated[list[str], typer.Argument(metavar="PATH...", help="Files and folders under a mapped prefix.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be uploaded.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace differing objects even where they are younger than the file.")
]


def push(
    *, paths: Paths, dry_run: DryRun = False, overwrite: Overwrite = False, overrides: Set = None, json: Json = False
) -> None:
    """Upload what the bucket lacks, or has in an older version.

    What is there with the same content is not uploaded again. Exits 1 where something was left behind.
    """
    from jit_render.cli.output import note, say, say_json
    from jit_render.cli.session import session
    from jit_render.farm.ingest import ingest
    from jit_render.farm.ingest_report import Choices
    from jit_render.farm.local_files import find_pushed
    from jit_render.model.pathmap import PathMap
    from jit_render.report.ingest import ingest_json, ingest_lines, open_ingest_display

    with session(overrides or ()) as given, open_ingest_display(given.clock, quiet=json) as display:
        found = find_pushed(PathMap(rules=given.settings.paths), paths)
        choices = Choices(overwrite=overwrite, dry_run=dry_run, on_progress=display.show)
        report = ingest(given.settings, given.store, found, clock=given.clock, choices=choices)
    if json:
        say_json(ingest_json(report))
    else:
        first, *rest = ingest_lines(report)
        say(first)
        for line in rest:
            note(line)
    raise typer.Exit(0 if report.is_whole else 1)
