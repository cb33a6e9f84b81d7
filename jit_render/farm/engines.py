"""Which engine runs a job, and how one is found.

Engines beside the local one are entry points of the group ``jit_render.engines``: a callable
``(Settings, Store, Clock) -> Engine``. Which one a job is on stands beside its spec in ``engine.json``, written by
whoever has it run. Without that object it is the local one: most jobs never leave their machine.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
from typing import cast

from jit_render.farm.engine import Engine
from jit_render.model.clock import Clock
from jit_render.model.errors import ConfigError, JobConflict, ObjectNotFound, PreconditionFailed
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import JobPaths
from jit_render.model.settings import Settings
from jit_render.store import ABSENT, Store

GROUP = "jit_render.engines"
LOCAL = "local"
_RACES = 5


def engine_of(store: Store, home: ObjectUrl) -> str:
    """The name of the engine that the job was last given to."""
    return _read(store, home)[0]


def give_to(store: Store, home: ObjectUrl, name: str) -> None:
    """Write down that the job is that engine's from now on."""
    data = json.dumps({"schema_version": 1, "engine": name}).encode()
    for _ in range(_RACES):
        now, generation = _read(store, home)
        if now == name:
            return
        with contextlib.suppress(PreconditionFailed):
            store.write(JobPaths(home).engine, data, if_generation=generation)
            return
    raise JobConflict(f"{home.name}: others keep giving the job to other engines; try again.")


def _read(store: Store, home: ObjectUrl) -> tuple[str, str]:
    """The engine's name, and the generation of the object that says so."""
    try:
        data, info = store.read(JobPaths(home).engine)
    except ObjectNotFound:
        return LOCAL, ABSENT
    try:
        name = json.loads(data)["engine"]
    except (ValueError, KeyError, TypeError):
        name = None
    return name if isinstance(name, str) else "", info.id.generation


def known_engines() -> list[str]:
    """Names of the engines that are installed."""
    return [LOCAL, *sorted(point.name for point in importlib.metadata.entry_points(group=GROUP))]


def open_engine(name: str, settings: Settings, store: Store, clock: Clock) -> Engine:
    """Raises ConfigError for an engine that is not installed."""
    if name == LOCAL:
        from jit_render.farm.local import LocalEngine

        return LocalEngine(settings, store, clock)
    for point in importlib.metadata.entry_points(group=GROUP, name=name):
        try:
            return cast("Engine", point.load()(settings, store, clock))
        except ImportError as error:
            raise ConfigError(
                f"engine {name!r} lacks a library ({error}); install jit-render with it: pip install 'jit-render[gcp]'."
            ) from None
    raise ConfigError(f"there is no engine {name!r}; installed are {', '.join(known_engines())}.")
