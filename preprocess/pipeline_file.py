"""Reading a pipeline file: TOML, YAML or JSON, by its extension; errors name the file, the key and the way out."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from jit_render.model.errors import ConfigError
from preprocess.pipeline import Pipeline, WrongOperation

Place = tuple[str | int, ...]
SUFFIXES = (".toml", ".yaml", ".yml", ".json")
LIMIT_BYTES = 4 * 1024 * 1024  # a pipeline is a page long; what is longer is another file


def read_pipeline(path: Path) -> tuple[Pipeline, bytes]:
    """The pipeline at `path` and its bytes. Raises ConfigError."""
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise ConfigError(f"{path} is {path.stat().st_size // 1024**2} MiB long; that is no pipeline file.")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{path}: the pipeline cannot be read: {reason}.") from None
    return parse_pipeline(data, path.name), data


def parse_pipeline(data: bytes, name: str) -> Pipeline:
    """The pipeline that `data` spells; `name` says which syntax and stands in errors. Raises ConfigError."""
    tree, lines = _load(data, name)
    try:
        return Pipeline.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_told(error, name, lines)) from None


def _load(data: bytes, name: str) -> tuple[dict[str, Any], Mapping[Place, int]]:
    """The tables, and the lines that their parts stand on where the syntax tells."""
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(
            f"{name}: a pipeline file ends in .toml, .yaml or .json, not in {suffix or 'nothing'}; rename it."
        )
    lines: Mapping[Place, int] = {}
    try:
        text = data.decode()
        if suffix in {".yaml", ".yml"}:
            tree, lines = _yaml(text, name)
        else:
            tree = tomllib.loads(text) if suffix == ".toml" else json.loads(text)
    except RecursionError:
        raise ConfigError(f"{name} is nested too deeply; a pipeline has a few levels.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{name} is no {suffix[1:].upper()}: {error}.") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{name} must hold a table with source, stages and outputs.")
    return tree, lines


def _yaml(text: str, name: str) -> tuple[Any, Mapping[Place, int]]:
    try:
        from preprocess.yaml_file import load_yaml
    except ImportError:
        raise ConfigError(f"{name}: YAML needs PyYAML; pip install 'jit-render[preprocess]', or write TOML.") from None
    return load_yaml(text, name)


def _told(error: ValidationError, name: str, lines: Mapping[Place, int]) -> str:
    """The first thing that is wrong, and how many more there are."""
    errors = error.errors()
    # A misspelt key is also a missing one; what stands in the file is what its writer looks for.
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    where = _place(first["loc"])
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        message = f"there is no such key{_suggestion(key, known_keys(Pipeline))}"
    elif first["type"] == "missing":
        message = "is missing"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    place: Place = tuple(first["loc"])
    wrong = first.get("ctx", {}).get("error")
    if isinstance(wrong, WrongOperation):
        place = (*place, wrong.number - 1)
    while place and place not in lines:  # what is missing has no line; what it is missing in has
        place = place[:-1]
    file = f"{name}, line {lines[place]}" if place else name
    end = "" if message.endswith("?") else "."
    return f"{file}: {where}: {message}{end}{more}" if where else f"{file}: {message}{end}{more}"


def _place(parts: Iterable[str | int]) -> str:
    """``stages[0].operations[2].black``: how the file counts, from 0 as programs do."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _suggestion(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else "; `jit-preprocess schema` prints them all"


def known_keys(model: type[BaseModel]) -> set[str]:
    """Every key that a pipeline may have, at whatever depth."""
    schema = model.model_json_schema()
    keys = set(schema.get("properties", ()))
    for part in schema.get("$defs", {}).values():
        keys.update(part.get("properties", ()))
    return keys
