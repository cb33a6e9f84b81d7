"""A store that counts the bytes of pictures that pass through it, in and out. Records are small and not counted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.store import Guarantees, Sink, Store


class CountedStore(Store):
    """See `jit_render.store.port.Store`; closing it closes the one behind it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self.bytes_read = 0
        self.bytes_written = 0

    def guarantees(self, root: str) -> Guarantees:
        return self._store.guarantees(root)

    def stat(self, url: ObjectUrl, *, generation: str | None = None) -> ObjectInfo:
        return self._store.stat(url, generation=generation)

    def list(self, prefix: ObjectUrl, *, recursive: bool = True) -> Iterator[ObjectInfo]:
        return self._store.list(prefix, recursive=recursive)

    def read(self, url: ObjectUrl, *, generation: str | None = None) -> tuple[bytes, ObjectInfo]:
        return self._store.read(url, generation=generation)

    def download(self, info: ObjectInfo, sink: Sink, *, start: int = 0, end: int | None = None) -> None:
        count = 0

        def take(piece: memoryview) -> None:
            nonlocal count
            count += len(piece)
            sink(piece)

        try:
            self._store.download(info, take, start=start, end=end)
        finally:
            with self._lock:
                self.bytes_read += count

    def write(self, url: ObjectUrl, data: bytes, *, if_generation: str, writer: str | None = None) -> ObjectInfo:
        return self._store.write(url, data, if_generation=if_generation, writer=writer)

    def upload(
        self,
        url: ObjectUrl,
        path: Path,
        *,
        crc32c: int,
        if_generation: str,
        writer: str | None = None,
        session: str | None = None,
        on_session: Callable[[str], None] | None = None,
    ) -> ObjectInfo:
        info = self._store.upload(
            url,
            path,
            crc32c=crc32c,
            if_generation=if_generation,
            writer=writer,
            session=session,
            on_session=on_session,
        )
        with self._lock:
            self.bytes_written += info.size_bytes
        return info

    def delete(self, url: ObjectUrl, *, if_generation: str | None = None) -> None:
        self._store.delete(url, if_generation=if_generation)

    def close(self) -> None:
        self._store.close()
