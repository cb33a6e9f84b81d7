"""What the operations found out in all frames and cameras, as one file.

Each image has its own .json, committed like any output. Whoever commits the last of them (a task, or ``jit-preprocess
run`` when the job is over) joins them. The result depends on them alone, in a fixed order, so it does not matter who
does it, how often, or what was killed: equal bytes are left as they are, others are replaced under a precondition.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from jit_render.farm.records import JobReader, concurrently
from jit_render.model.errors import ObjectNotFound, PreconditionFailed
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import CommitKey
from jit_render.store import ABSENT, Store
from preprocess.pipeline import Output, Pipeline

RACES = 5


def gather(reader: JobReader, pipeline: Pipeline, locate: Callable[[str], ObjectUrl]) -> list[ObjectUrl]:
    """Write every sequence file whose images are all done; where they are. Raises StoreError."""
    spec = reader.spec()
    written = []
    for output in pipeline.outputs:
        target = next((write for write in spec.writes if write.name == output.name), None)
        if not output.sequence or target is None:
            continue
        keys = [
            CommitKey(write=output.name, view=view, frame=frame) for view in target.views for frame in spec.frame_set
        ]
        if len(reader.committed_of(keys)) == len(keys):
            url = locate(output.sequence)
            replace_object(reader.store, url, joined(reader, output, keys))
            written.append(url)
    return written


def joined(reader: JobReader, output: Output, keys: list[CommitKey]) -> bytes:
    """The documents of `keys` in one, by camera and frame."""
    records = reader.commit_records(keys)
    ordered = sorted(keys, key=lambda key: (key.view, key.frame))
    urls = [ObjectUrl.parse(records[key].outputs[0].url) for key in ordered]
    documents = [json.loads(data) for data, _ in concurrently(reader.store.read, urls)]
    if output.sequence.endswith(".json"):
        return (json.dumps({"schema_version": 1, "images": documents}, sort_keys=True, indent=1) + "\n").encode()
    return as_parquet(documents)


def as_parquet(documents: list[dict[str, Any]]) -> bytes:
    """One row for each image; nested names are joined by dots, lists stay lists."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [flat(document) for document in documents]
    names = sorted({name for row in rows for name in row})
    columns = {name: _column([row.get(name) for row in rows]) for name in names}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


def _column(values: list[Any]) -> list[Any]:
    """`values` of one kind: Parquet's columns are."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    if len(kinds) > 1:
        return [None if value is None else json.dumps(value) for value in values]
    return values


def flat(value: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Nested tables as one, with dots in the names; lists of anything but numbers as JSON."""
    found: dict[str, Any] = {}
    for name, part in value.items():
        if isinstance(part, dict):
            found.update(flat(part, f"{before}{name}."))
        elif isinstance(part, list):
            numbers = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in part)
            found[before + name] = [float(one) for one in part] if numbers else json.dumps(part)
        else:
            found[before + name] = part
    return found


def replace_object(store: Store, url: ObjectUrl, data: bytes) -> None:
    """Have `data` at `url`, whatever is there. Raises PreconditionFailed where somebody else keeps writing it."""
    condition = ABSENT
    for _ in range(RACES):
        try:
            store.write(url, data, if_generation=condition)
            return
        except PreconditionFailed:
            try:
                there, info = store.read(url)
            except ObjectNotFound:
                condition = ABSENT
                continue
            if there == data:
                return
            condition = info.id.generation
    raise PreconditionFailed(f"{url} was changed by somebody else {RACES} times while it was being replaced; end them.")
