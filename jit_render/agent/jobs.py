"""The jobs this agent has been asked to serve: their specs, and which object a name stands for."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jit_render.agent.planned import PlannedInputs
from jit_render.cache import ViewTree
from jit_render.model.errors import JobError, JobNotFound, ObjectNotFound
from jit_render.model.frames import is_pattern
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.pathmap import Mode, PathMap
from jit_render.model.script_place import ScriptPlace, script_place
from jit_render.store.port import Store

NEGATIVE_SECONDS = 5.0  # how long "the bucket has none" is believed; longer would hide a plate that just arrived
MOST_NEGATIVES = 100_000
MOST_LOCATED = 100_000
_FOLDER_ENDS = ("/", "\\", "/.", "/..", "\\.", "\\..")
_REDUNDANT = re.compile(r"/(?:\.?/)+")  # '//' and '/./' mean '/' to every file system
MOST_JOBS = 64  # that are remembered when no session uses them; reading a spec again costs one request


@dataclass(frozen=True, slots=True)
class Located:
    """What a name stands for."""

    url: ObjectUrl
    """Its key may hold placeholders."""
    mode: Mode
    shown: str
    """Where it is in the job's view."""
    is_single: bool
    """One object. Patterns stand for many, bucket roots and names with a closing slash for folders."""

    @property
    def place(self) -> Path:
        """`shown` as a path."""
        return Path(self.shown)


@dataclass(slots=True)
class Job:
    """One job as the agent needs it."""

    home: ObjectUrl
    id: str
    path_map: PathMap
    latest: bool
    view: ViewTree
    script: ScriptPlace
    tasks: list[tuple[int, ...]] = field(default_factory=list)
    """The frames of each task."""
    planned: PlannedInputs | None = None
    """None: the job was submitted without a plan."""
    _located: dict[str, Located] = field(default_factory=dict)
    _absent_until: dict[ObjectUrl, float] = field(default_factory=dict)
    _looking: dict[ObjectUrl, asyncio.Task[ObjectInfo]] = field(default_factory=dict)

    def locate(self, name: str) -> Located | None:
        """What `name`, which may also be a path in this job's view, stands for; None: unmapped. Raises HostilePath."""
        known = self._located.get(name)
        if known is None:
            found = self._locate(name)
            if found is None:
                return None
            url, mode = found
            is_single = bool(url.key) and not name.endswith(_FOLDER_ENDS) and not is_pattern(url.key)
            known = Located(url, mode, self.view.spelled(self.id, url), is_single)
            if len(self._located) >= MOST_LOCATED:
                self._located.clear()
            self._located[name] = known
        return known

    def locate_object(self, url: ObjectUrl) -> Located:
        """The one object `url`, whatever the names are that stand for it."""
        return Located(url, self.path_map.mode_of(url) or "read", self.view.spelled(self.id, url), is_single=True)

    def _locate(self, name: str) -> tuple[ObjectUrl, Mode] | None:
        # Places in the view come first: a rule's prefix may hold the cache's own disk.
        said = self.script.original(str(self.view.home(self.id)), _REDUNDANT.sub("/", name))
        if said is None:
            url = self.view.url_of(self.id, name)
            if url is not None:
                mode = self.path_map.mode_of(url)
                return None if mode is None else (url, mode)
        mapped = self.path_map.find(name if said is None else said)
        if mapped is None:
            return None
        return mapped.url, mapped.mode if said is None else self.path_map.mode_of(mapped.url) or mapped.mode

    def frames_of(self, task: int) -> tuple[int, ...]:
        return self.tasks[task] if 0 <= task < len(self.tasks) else ()

    def is_unplanned(self, url: ObjectUrl) -> bool:
        """Whether `url` is an input that the job's plan should have held, and does not."""
        if self.planned is None or self.planned.known(url) is not None:
            return False
        return self.path_map.mode_of(url) != "write"

    def is_absent(self, url: ObjectUrl, now: float) -> bool:
        """Whether the bucket had no `url` a moment ago (monotonic seconds)."""
        return self._absent_until.get(url, 0.0) > now

    def remember_absent(self, url: ObjectUrl, now: float) -> None:
        if len(self._absent_until) >= MOST_NEGATIVES:
            self._absent_until.clear()
        self._absent_until[url] = now + NEGATIVE_SECONDS

    async def look_once(self, url: ObjectUrl, look: Callable[[], Coroutine[Any, Any, ObjectInfo]]) -> ObjectInfo:
        """One metadata request for `url` however many ask at once; it goes on when one of them leaves."""
        task = self._looking.get(url)
        if task is None:
            task = self._looking[url] = asyncio.ensure_future(look())
            task.add_done_callback(lambda done: (self._looking.pop(url, None), done.cancelled() or done.exception()))
        return await asyncio.shield(task)


class Jobs:
    """Loads each job's spec once."""

    def __init__(self, store: Store, view: ViewTree, threads: Executor) -> None:
        self._store = store
        self._view = view
        self._threads = threads
        self._loading: OrderedDict[ObjectUrl, asyncio.Task[Job]] = OrderedDict()

    async def open(self, home: ObjectUrl) -> Job:
        """The job whose folder is at `home`. Raises JobNotFound, JobError, StoreError."""
        task = self._loading.get(home)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._loading[home] = asyncio.ensure_future(self._load(home))
            if len(self._loading) > MOST_JOBS:
                self._loading.popitem(last=False)
        self._loading.move_to_end(home)
        return await asyncio.shield(task)

    async def _load(self, home: ObjectUrl) -> Job:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, home)

    def _read(self, home: ObjectUrl) -> Job:
        from pydantic import ValidationError

        from jit_render.model.job import JobPaths, JobSpec  # 60 ms of imports that a starting agent does not wait for

        url = JobPaths(home).spec
        try:
            data, _ = self._store.read(url)
        except ObjectNotFound:
            raise JobNotFound(f"there is no job at {home}: {url} is missing; submit it first.") from None
        try:
            spec = JobSpec.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise JobError(f"{url} cannot be read ({where}: {first['msg']}); is this release older than it?") from None
        place = script_place(spec.path_map, spec.script_source, spec.script_name)
        # A preprocessing pipeline reads its inputs straight from the bucket, once each: they need no place on the disk.
        fetches = bool(spec.inputs) and spec.renderer != "preprocess"
        planned = PlannedInputs(home / spec.inputs, self._store, self._threads) if fetches else None
        return Job(home, spec.id, spec.path_map, spec.latest, self._view, place, spec.tasks(), planned)
