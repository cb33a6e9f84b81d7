"""One store over all roots: looks at a URL's scheme and passes the call on.

A backend is opened at the first use of its scheme, so that a command that touches only local folders never
pays for Google's libraries.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from jit_render.model.clock import Clock, SystemClock
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.store.port import Guarantees, Sink, SmallLane, Store


def open_store(settings: StoreSettings, clock: Clock | None = None) -> Store:
    """A store for URLs of every scheme. Opens nothing yet; a broken root is an error at its first use."""
    return Router(settings, clock or SystemClock())


class Router(Store):
    """Passes each call to the backend of the URL's scheme."""

    def __init__(self, settings: StoreSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._backends: dict[str, Store] = {}

    def _of(self, root: str) -> Store:
        scheme = root.partition("://")[0]
        backend = self._backends.get(scheme)
        if backend is None:
            with self._lock:
                backend = self._backends.get(scheme) or self._open(scheme)
                self._backends[scheme] = backend
        return backend

    def _open(self, scheme: str) -> Store:
        if scheme == "gs":
            from jit_render.store.gcs import GcsStore

            return GcsStore(self._settings, self._clock)
        if scheme == "file":
            from jit_render.store.local import LocalStore

            return LocalStore()
        from jit_render.store.anyfs import AnyFsStore

        return AnyFsStore(scheme, self._settings, self._clock)

    def guarantees(self, root: str) -> Guarantees:
        return self._of(root).guarantees(root)

    def stat(self, url: ObjectUrl, *, generation: str | None = None) -> ObjectInfo:
        return self._of(url.root).stat(url, generation=generation)

    def list(self, prefix: ObjectUrl, *, recursive: bool = True) -> Iterator[ObjectInfo]:
        return self._of(prefix.root).list(prefix, recursive=recursive)

    def read(self, url: ObjectUrl, *, generation: str | None = None) -> tuple[bytes, ObjectInfo]:
        return self._of(url.root).read(url, generation=generation)

    def download(self, info: ObjectInfo, sink: Sink, *, start: int = 0, end: int | None = None) -> None:
        self._of(info.url.root).download(info, sink, start=start, end=end)

    def small_lane(self, root: str) -> SmallLane | None:
        """As the port says. None until the backend was used: opening it takes time, and this is asked on a loop."""
        backend = self._backends.get(root.partition("://")[0])
        return None if backend is None else backend.small_lane(root)

    def write(self, url: ObjectUrl, data: bytes, *, if_generation: str, writer: str | None = None) -> ObjectInfo:
        return self._of(url.root).write(url, data, if_generation=if_generation, writer=writer)

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
        return self._of(url.root).upload(
            url,
            path,
            crc32c=crc32c,
            if_generation=if_generation,
            writer=writer,
            session=session,
            on_session=on_session,
        )

    def delete(self, url: ObjectUrl, *, if_generation: str | None = None) -> None:
        self._of(url.root).delete(url, if_generation=if_generation)

    def close(self) -> None:
        with self._lock:
            backends, self._backends = list(self._backends.values()), {}
        for backend in backends:
            backend.close()
