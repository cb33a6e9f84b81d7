"""Before a job is submitted: the inputs of its plan that only the submitter has go to the bucket.

Artists plan with what is on their disks, farms render with what is in the bucket; between the two lies the file that
somebody forgot to publish. What the plan names and this disk has under a mapped root is compared with the bucket and
brought (`ingest.py`); then the bucket is asked again, so that the job pins what has just been uploaded. A machine that
has none of the show's folders pays nothing for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from jit_render.farm.ingest import ingest_for
from jit_render.farm.ingest_report import Choices, IngestReport
from jit_render.farm.local_files import Places, find_named
from jit_render.farm.planning import MOST_NAMED, Inputs, Missing, look
from jit_render.farm.submit import Submission
from jit_render.model.clock import Clock
from jit_render.model.errors import MissingInput, PathRefused
from jit_render.model.frames import expand, has_view
from jit_render.model.pathmap import PathMap
from jit_render.model.settings import Settings
from jit_render.script.planned import Plan
from jit_render.store import Store


def bring_inputs(
    settings: Settings,
    store: Store,
    submission: Submission,
    inputs: Inputs,
    *,
    clock: Clock,
    choices: Choices | None = None,
    may_upload: bool = True,
) -> tuple[Inputs, IngestReport]:
    """Upload what the plan reads and the bucket lacks; the inputs as they are then.

    Raises StoreError, and MissingInput with `may_upload` False where something would have to be uploaded.
    """
    choices = replace(choices or Choices(), dry_run=not may_upload)
    there = {info.url: info for info in inputs.objects}
    names = _names(submission.plan, PathMap(rules=settings.paths))
    report = ingest_for(settings, store, names, clock=clock, choices=choices, there=there)
    if report.brought and not may_upload:
        raise MissingInput(_refusal(report))
    if report.brought or report.refused:
        inputs = look(store, submission.plan, submission.spec)
    return inputs, report


def lying_here(settings: Settings, submission: Submission, inputs: Inputs) -> set[Missing]:
    """Those of the missing inputs that a submit from this machine would upload."""
    if not inputs.missing:
        return set()
    path_map = PathMap(rules=settings.paths)
    here = {str(url) for url in find_named(path_map, _names(submission.plan, path_map)).files}
    return {one for one in inputs.missing if one.object in here}


def _names(plan: Plan, path_map: PathMap) -> Iterator[str]:
    """Every name that the plan reads from a folder that this machine has."""
    places = Places(path_map)
    for read in plan.reads:
        if _has_folder(read.pattern, path_map, places):
            for view in read.views if has_view(read.pattern) else ("",):
                for number in read.file_frames():
                    yield expand(read.pattern, number, view or None)


def _has_folder(pattern: str, path_map: PathMap, places: Places) -> bool:
    try:
        mapped = path_map.find(pattern)
    except PathRefused:
        return False  # the plan tells
    path = places.of(mapped) if mapped is not None and mapped.mode == "read" else ""
    return bool(path) and Path(re.split("[%#]", path, maxsplit=1)[0]).parent.is_dir()


def _refusal(report: IngestReport) -> str:
    named = "; ".join(f"{one.object} ({'changed' if one.replaces else 'new'})" for one in report.brought[:MOST_NAMED])
    more = f"; and {len(report.brought) - MOST_NAMED} more" if len(report.brought) > MOST_NAMED else ""
    count = "1 input is" if len(report.brought) == 1 else f"{len(report.brought)} inputs are"
    return (
        f"{count} on this disk and not so in the bucket: {named}{more}. "
        "Upload with 'jit-render push', or submit without --no-upload."
    )
