"""What a job pinned when it was submitted, as far as this agent has read it.

The manifest is read in threads and in pieces (see `model.manifest`): the index and the volumes of a task when its
worker or renderer says hello, which does not wait for them; the first question that they must answer does. An object
that those volumes do not hold may be planned for other frames: where its name may stand is looked up, and that volume
is read too, before anybody takes whatever version is live. So all frames of a job see one version, on all nodes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from jit_render.model import manifest
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.volume import Volume, read_volume
from jit_render.store.port import Store

_T = TypeVar("_T")


class PlannedInputs:
    """The manifest of one job. Every method is called on the loop's thread. Raises StoreError, JobError."""

    def __init__(self, index: ObjectUrl, store: Store, threads: Executor) -> None:
        self._place = index
        self._store = store
        self._threads = threads
        self._known: dict[ObjectUrl, ObjectInfo] = {}
        self._volumes: dict[int, Volume] = {}
        self._reading: dict[object, asyncio.Task[Any]] = {}

    def known(self, url: ObjectUrl) -> ObjectInfo | None:
        """The planned version of `url`, if it has been read."""
        return self._known.get(url)

    def begin(self, frames: Iterable[int]) -> None:
        """Start to read what `frames` need. What goes wrong is told to whoever needs it."""
        asked = tuple(frames)
        self._start(("frames", asked), lambda: self._load(asked))

    async def find(self, url: ObjectUrl) -> ObjectInfo | None:
        """The planned version of `url`; None: no frame was planned to read it."""
        await asyncio.gather(*(asyncio.shield(task) for task in self._reading.values()), return_exceptions=True)
        info = self._known.get(url)
        if info is None:
            where = await self._once("where", self._read_where)
            await self._load_volumes(where.volumes_of(url))
            info = self._known.get(url)
        return info

    async def of_frame(self, frame: int) -> list[ObjectInfo]:
        """What `frame` was planned to read; nothing for a frame that is not the job's."""
        index = await self._index()
        part = index.part_of(frame)
        if part is None:
            return []
        await self._load_volumes(part.volumes)
        volumes = [self._volumes[number] for number in part.volumes]
        numbers = chain.from_iterable(volumes[0].frames.get(frame, ()))
        return [info for number in numbers if (info := _at(volumes, number)) is not None]

    async def _load(self, frames: tuple[int, ...]) -> None:
        await self._load_volumes((await self._index()).volumes_for(frames))

    async def _index(self) -> manifest.Index:
        return await self._once("index", lambda: self._read(self._place, manifest.read_index))

    async def _read_where(self) -> manifest.Where:
        index = await self._index()
        return await self._read(self._place.parent / index.place("where"), manifest.read_where)

    async def _load_volumes(self, numbers: Iterable[int]) -> None:
        missing = [number for number in numbers if number not in self._volumes]
        await asyncio.gather(*(self._once(number, partial(self._load_volume, number)) for number in missing))

    async def _load_volume(self, number: int) -> None:
        index = await self._index()
        volume = await self._read(self._place.parent / index.place(number), partial(read_volume, number))
        self._known.update((info.url, info) for info in volume.objects)
        self._volumes[number] = volume

    async def _once(self, key: object, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """One reading of `key`, however many wait and whoever of them leaves; again, where it failed."""
        return await asyncio.shield(self._start(key, work))

    def _start(self, key: object, work: Callable[[], Coroutine[Any, Any, _T]]) -> asyncio.Task[_T]:
        task = self._reading.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._reading[key] = asyncio.ensure_future(work())
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def _read(self, url: ObjectUrl, read: Callable[[bytes, str], _T]) -> _T:
        def fetch() -> _T:
            data, _ = self._store.read(url)
            return read(data, str(url))

        return await asyncio.get_running_loop().run_in_executor(self._threads, fetch)


def _at(volumes: list[Volume], number: int) -> ObjectInfo | None:
    for volume in volumes:
        if 0 <= number - volume.start < len(volume.objects):
            return volume.objects[number - volume.start]
    return None
