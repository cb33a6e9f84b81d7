"""Where settings come from: flags, environment, project file, user file, defaults; the strongest first.

* ``--set section.key=value`` and the named flags;
* ``JIT_RENDER_<SECTION>_<KEY>``, like ``JIT_RENDER_CACHE_LIMIT=400G`` (a list: separated by ``:``);
* ``jit-render.toml``, searched from the working folder upward, or the file that ``JIT_RENDER_CONFIG`` names;
* ``$XDG_CONFIG_HOME/jit-render/config.toml`` (``~/.config`` where that is not set).

In both files ``${CONFIG_DIR}`` stands for the folder of the file itself, so that a show can be moved as a whole:
``target = "file://${CONFIG_DIR}/bucket/plates"``. Nothing else is expanded.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel

from jit_render.model.errors import ConfigError
from jit_render.model.settings import Layer, Resolved, Settings, resolve

FILE_NAME = "jit-render.toml"
CONFIG_VARIABLE = "JIT_RENDER_CONFIG"
_PREFIX = "JIT_RENDER_"
_NODE = {"JIT_RENDER_MACHINE", "JIT_RENDER_PROVISIONING", "JIT_RENDER_BOOTED"}  # what an engine tells a node of itself


def load(
    flags: Iterable[str] = (), *, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> Resolved:
    """Settings for a command started in `folder`. `flags` are ``section.key=value``. Raises ConfigError."""
    environ = os.environ if environ is None else environ
    layers = [flag_layer(flags), environment_layer(environ)]
    project = project_file(environ, folder or Path.cwd())
    if project is not None:
        layers.append(file_layer(project))
    user = user_file(environ)
    if user.is_file():
        layers.append(file_layer(user))
    return resolve(layers)


def project_file(environ: Mapping[str, str], folder: Path) -> Path | None:
    """The nearest project file above `folder`, or the one the environment names. Raises ConfigError."""
    named = environ.get(CONFIG_VARIABLE)
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise ConfigError(f"{CONFIG_VARIABLE}: there is no file {named}; unset it or name a {FILE_NAME}.")
        return path.absolute()
    for above in (folder.absolute(), *folder.absolute().parents):
        if (above / FILE_NAME).is_file():
            return above / FILE_NAME
    return None


def user_file(environ: Mapping[str, str]) -> Path:
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".config")
    return Path(home) / "jit-render" / "config.toml"


def file_layer(path: Path) -> Layer:
    """What a TOML file says. Raises ConfigError naming file and line."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None
    return Layer(str(path), _expand(values, str(path.parent)))


def _expand(value: Any, folder: str) -> Any:
    if isinstance(value, str):
        return value.replace("${CONFIG_DIR}", folder)
    if isinstance(value, dict):
        return {key: _expand(inner, folder) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expand(inner, folder) for inner in value]
    return value


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """What the environment says. A name close to a setting's is an error; other names belong to others."""
    values: dict[str, dict[str, Any]] = {}
    for name, text in sorted(environ.items()):
        section, _, key = name.removeprefix(_PREFIX).lower().partition("_")
        if not name.startswith(_PREFIX) or not key or section not in _sections():
            _refuse_near(name)
            continue
        values.setdefault(section, {})[key] = _value(section, key, text)
    return Layer("environment", values)


def _refuse_near(name: str) -> None:
    """``JIT_RENDER_CAHCE_LIMIT`` must not be ignored in silence."""
    if not name.startswith(_PREFIX) or name in _NODE:
        return
    known = [f"{_PREFIX}{section}_{key}".upper() for section, kind in _sections().items() for key in kind.model_fields]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.9)
    if near:
        raise ConfigError(f"environment: unknown variable {name}; did you mean {near[0]}?")


def flag_layer(flags: Iterable[str]) -> Layer:
    """What ``section.key=value`` flags say. Raises ConfigError."""
    values: dict[str, dict[str, Any]] = {}
    for flag in flags:
        name, equals, text = flag.partition("=")
        section, dot, key = name.strip().partition(".")
        if not equals or not dot:
            raise ConfigError(f"--set {flag!r}: write it as section.key=value, like cache.limit=400G.")
        values.setdefault(section, {})[key] = _value(section, key, text)
    return Layer("flags", values)


def _sections() -> dict[str, type[BaseModel]]:
    """Sections that hold single keys, by name; not the list of path rules."""
    return {
        name: kind
        for name, field in Settings.model_fields.items()
        if isinstance(kind := field.annotation, type) and issubclass(kind, BaseModel)
    }


def _value(section: str, key: str, text: str) -> object:
    """`text`, or its parts where the setting is a list. Types are checked when layers are merged."""
    kind = _sections().get(section)
    field = kind.model_fields.get(key) if kind else None
    if field is not None and get_origin(field.annotation) is tuple:
        return [part for part in text.split(os.pathsep) if part]
    return text
