"""The operations by name: ours from a table, other people's from an entry point group.

A package adds its own by the entry point group ``jit_render.preprocess_operations``::

    [project.entry-points."jit_render.preprocess_operations"]
    glow = "my_studio.glow:Glow"        # a subclass of Operation whose kind is "glow"

Names are looked up without importing; a class is imported when a pipeline asks for it. An entry point cannot take the
name of an operation of ours: a pipeline file must mean the same on every node.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from jit_render.model.errors import ConfigError

if TYPE_CHECKING:
    from preprocess.operations.port import Operation

GROUP = "jit_render.preprocess_operations"

BUILT_IN = {
    "black_level": "black_level:BlackLevel",
    "channels": "channels:Channels",
    "chroma_key": "chroma_key:ChromaKey",
    "colour_matrix": "colour_matrix:ColourMatrix",
    "crop": "crop:Crop",
    "dead_pixel": "dead_pixel:DeadPixel",
    "demosaic": "demosaic:Demosaic",
    "denoise": "denoise:Denoise",
    "difference_key": "difference_key:DifferenceKey",
    "flat_field": "flat_field:FlatField",
    "homography": "homography:Homography",
    "linearise": "linearise:Linearise",
    "ocio": "ocio:Ocio",
    "proxy": "proxy:Proxy",
    "resize": "resize:Resize",
    "statistics": "statistics:Statistics",
    "stmap": "stmap:StMap",
    "undistort": "undistort:Undistort",
}


@cache
def _third_party() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in BUILT_IN}


def kinds() -> tuple[str, ...]:
    """The names of all operations, ours first."""
    return (*sorted(BUILT_IN), *sorted(_third_party()))


def operation_class(kind: str) -> type[Operation]:
    """The class behind a name. Raises ConfigError for an unknown or unusable one."""
    from preprocess.operations.port import Operation

    if kind in BUILT_IN:
        module, name = BUILT_IN[kind].split(":")
        found = getattr(import_module(f"preprocess.operations.{module}"), name)
    elif kind in _third_party():
        entry = _third_party()[kind]
        try:
            found = entry.load()
        except Exception as error:
            raise ConfigError(f"operation {kind!r}: {entry.value} cannot be imported: {error}") from error
    else:
        near = difflib.get_close_matches(kind, kinds(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(kinds())}."
        raise ConfigError(f"there is no operation {kind!r}; {hint}")
    if not (isinstance(found, type) and issubclass(found, Operation)):
        raise ConfigError(f"operation {kind!r}: what its entry point names is no subclass of preprocess Operation")
    return found


def operation_from(table: Mapping[str, Any], *, place: str = "operation") -> Operation:
    """An operation from a table such as ``{"kind": "resize", "width": 960}``.

    ``place`` opens the error's message ("stage 'align', operation 2"). Raises ConfigError.
    """
    kind = table.get("kind")
    if not isinstance(kind, str) or not kind:
        raise ConfigError(f"{place}: an operation needs a kind; known: {', '.join(kinds())}.")
    try:
        found = operation_class(kind)
        return found.model_validate({name: value for name, value in table.items() if name != "kind"})
    except ValidationError as error:
        raise ConfigError(f"{place} ({kind}): {_first(error, found)}") from error
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from error


def _first(error: ValidationError, found: type[Operation]) -> str:
    """The first complaint as one line: which parameter, what about it, what to write instead."""
    worst = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in worst["loc"]) or "parameters"
    known = list(found.model_fields)
    if worst["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, known, n=1)
        return f"no parameter {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}.")
    if worst["type"] == "missing":
        return f"parameter {name!r} is missing; write {name} = …"
    message = str(worst["msg"]).removeprefix("Value error, ")
    shown = "" if worst["loc"] == () else f" (it is {str(worst['input'])[:60]!r})"
    return f"{name}: {message[:1].lower()}{message[1:]}{shown}"


def schema() -> dict[str, Any]:
    """The JSON schema of any one operation's table: one variant for each kind."""
    variants = []
    for kind in kinds():
        variant = operation_class(kind).model_json_schema()
        properties = {"kind": {"const": kind}, **variant.get("properties", {})}
        variants.append({**variant, "properties": properties, "required": ["kind", *variant.get("required", [])]})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "operation", "oneOf": variants}
