"""The JSON schema of a pipeline file: the tables of `pipeline.py`, and one variant for each kind of operation."""

from __future__ import annotations

from typing import Any

from preprocess.operations import schema as operation_schema
from preprocess.pipeline import Pipeline

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def pipeline_schema() -> dict[str, Any]:
    """Draft 2020-12."""
    document = Pipeline.model_json_schema()
    shared = document.setdefault("$defs", {})
    variants = []
    for variant in operation_schema()["oneOf"]:
        own = dict(variant)
        shared.update(own.pop("$defs", {}))
        variants.append(own)
    shared.pop("Operation", None)
    shared["operation"] = {"title": "operation", "oneOf": variants}
    for table in ("Stage", "Output"):
        shared[table]["properties"]["operations"]["items"] = {"$ref": "#/$defs/operation"}
    return {"$schema": DIALECT, **document}
