"""Sources on their way: one thread that fetches ahead, and what came for a file that several cameras share."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from jit_render.model.errors import JitRenderError
from jit_render.model.identity import ObjectId, ObjectInfo
from jit_render.store import Store
from preprocess.memory_file import MemoryFile
from preprocess.source import fetch


class Fetcher:
    """Fetches each version once for those that ask for it one after the other. Used by one thread."""

    def __init__(self, store: Store, *, keeps_last: bool) -> None:
        """`keeps_last`: several cameras are in one file; else nothing is held longer than its taker holds it."""
        self._store = store
        self._keeps_last = keeps_last
        self._pool = ThreadPoolExecutor(1, "fetch")
        self._coming: dict[ObjectId, Future[MemoryFile]] = {}
        self._last: tuple[ObjectId, MemoryFile] | None = None
        self.bytes_fetched = 0
        self.wait_seconds = 0.0

    def begin(self, info: ObjectInfo) -> None:
        """Have it fetched by the time somebody takes it."""
        if info.id not in self._coming and not self._is_last(info):
            self._coming[info.id] = self._pool.submit(fetch, self._store, info)

    def take(self, info: ObjectInfo) -> MemoryFile:
        """The file, which is the caller's to close. Raises StoreError."""
        if self._last is not None and self._is_last(info):
            return self._last[1].shared()
        self.begin(info)
        file = self._coming.pop(info.id).result()
        self.bytes_fetched += file.size_bytes
        self._forget_last()
        if self._keeps_last:
            self._last = (info.id, file.shared())
        return file

    def _is_last(self, info: ObjectInfo) -> bool:
        return self._last is not None and self._last[0] == info.id

    def _forget_last(self) -> None:
        if self._last is not None:
            self._last[1].close()
        self._last = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._forget_last()
        for coming in self._coming.values():
            if not coming.cancelled():
                with contextlib.suppress(JitRenderError):
                    coming.result().close()
