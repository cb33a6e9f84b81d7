"""What was made already, and of what: one small record beside each output that this program has ever written.

A commit record belongs to a job. A *made* record belongs to an output object, whatever job made it, and lies under
``<state>/made/``: which version of the object holds the result of which recipe (operations, parameters, storage, tool)
on which versions of which inputs. Before an output is made its record is read; when recipe and inputs are the same and
the object is still that version, there is nothing to do. So a changed proxy does not make the full resolution again,
sixteen cameras do not make the first eight again, and a restart goes on where it was.

The record is written last, after the object and its commit. A kill in between costs the memory of one output, never its
truth: a record that names a version that is no longer live is no record.
"""

from __future__ import annotations

import hashlib

from pydantic import BaseModel, ConfigDict, ValidationError

from jit_render.model.errors import ObjectNotFound, PreconditionFailed
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.job import InputRecord, OutputRecord
from jit_render.store import ABSENT, Store

RACES = 3


class Made(BaseModel):
    """The lineage of one output object."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    output: OutputRecord
    recipe: str
    inputs: tuple[InputRecord, ...]
    tool: str
    job: str
    frame: int
    camera: str


def place_of(state: ObjectUrl, output: ObjectUrl) -> ObjectUrl:
    """Where the record of `output` lies: names of any length and any root become one of fixed length."""
    digest = hashlib.sha256(str(output).encode()).hexdigest()
    return state / "made" / digest[:2] / f"{digest}.json"


def find_made(
    store: Store, state: ObjectUrl, output: ObjectUrl, recipe: str, inputs: tuple[InputRecord, ...]
) -> Made | None:
    """The record of `output` where making it now would make the same bytes. Raises StoreError."""
    try:
        made = Made.model_validate_json(store.read(place_of(state, output))[0])
    except (ObjectNotFound, ValidationError):
        return None
    if made.recipe != recipe or set(made.inputs) != set(inputs) or made.output.url != str(output):
        return None
    try:
        live = store.stat(output)
    except ObjectNotFound:
        return None
    return made if live.id.generation == made.output.generation else None


def remember_made(store: Store, state: ObjectUrl, made: Made) -> None:
    """Write the record over whatever was there. Somebody else keeps writing it: theirs may stay."""
    place = place_of(state, ObjectUrl.parse(made.output.url))
    data = made.model_dump_json(indent=1).encode()
    condition = ABSENT
    for _ in range(RACES):
        try:
            store.write(place, data, if_generation=condition)
            return
        except PreconditionFailed:
            condition = _generation(store, place)


def _generation(store: Store, url: ObjectUrl) -> str:
    try:
        return store.stat(url).id.generation
    except ObjectNotFound:
        return ABSENT


def input_of(info: ObjectInfo) -> InputRecord:
    return InputRecord(url=str(info.url), generation=info.id.generation)
