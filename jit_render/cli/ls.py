"""``jit-render ls``: jobs, or what is in a folder of a bucket."""

from __future__ import annotations

from typing import Annotated

import typer

from jit_render.cli.options import Json, Set, State

Place = Annotated[str, typer.Argument(metavar="[PLACE]", help="A storage URL, or a file name under a mapped prefix.")]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="List the files of all folders below.")]


def ls(
    place: Place = "", recursive: Recursive = False, state: State = "", overrides: Set = None, json: Json = False
) -> None:
    """List jobs, or a folder of a bucket as sequences.

    Without PLACE: the jobs, newest first.
    """
    from jit_render.cli.session import session, with_state

    with session(with_state(overrides or (), state)) as given:
        if place:
            _say_folder(given, place, recursive=recursive, json=json)
        else:
            _say_jobs(given, json=json)


def _say_jobs(given: object, *, json: bool) -> None:
    from jit_render.cli.output import note, say_json, say_table
    from jit_render.cli.session import Session
    from jit_render.farm.records import list_jobs, state_of
    from jit_render.report.words import moment

    assert isinstance(given, Session)
    state = state_of(given.settings)
    jobs = list_jobs(given.store, state)
    if json:
        say_json(jobs)
    elif jobs:
        rows = [(job.id, job.show, job.user, job.frames, moment(job.created)) for job in jobs]
        say_table(("JOB", "SHOW", "USER", "FRAMES", "SUBMITTED"), rows)
    else:
        note(f"there is no job under {state} yet; jit-submit makes one.")


def _say_folder(given: object, place: str, *, recursive: bool, json: bool) -> None:
    from jit_render.cli.output import say_json, say_table
    from jit_render.cli.session import Session
    from jit_render.model.errors import ObjectNotFound
    from jit_render.model.identity import ObjectUrl
    from jit_render.model.pathmap import PathMap
    from jit_render.report.listing import list_folder
    from jit_render.report.words import count, size

    assert isinstance(given, Session)
    url = ObjectUrl.parse(place) if "://" in place else PathMap(rules=given.settings.paths).resolve(place).url
    entries = list_folder(given.store.list(url), url, recursive=recursive)
    if not entries:
        raise ObjectNotFound(f"{url}: no such folder, or nothing in it; `jit-render ls {url.parent}` shows its parent.")
    if json:
        say_json({"url": str(url), "entries": entries})
        return
    rows = [
        (entry.spoken(), count(entry.files, "file") if entry.is_folder else "", size(entry.size_bytes))
        for entry in entries
    ]
    say_table(("NAME", "", "SIZE"), rows, right=("", "SIZE"))
