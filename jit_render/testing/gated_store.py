"""A store in memory that a test holds by the reins: strict about generations, stopped at a gate, failing on order."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from jit_render.model.errors import GenerationGone, ObjectNotFound, PreconditionFailed, RangeInvalid
from jit_render.model.identity import ObjectId, ObjectInfo, ObjectUrl
from jit_render.store.crc import crc32c_of_bytes
from jit_render.store.port import ABSENT, Guarantees, Sink, Store

GATE_SECONDS = 20.0  # a test that forgets to open its gate fails instead of hanging


class GatedStore(Store):
    """Objects in memory.

    * `gate`: downloads wait in front of it; open unless a test closes it. `arrived` counts those that came so far.
    * `failures`: taken from the front, one per download: an exception to raise, or a function of the bytes that
      gives what is sent instead.
    * `downloads`: how often each identity was asked for (ranges count once per range).
    """

    def __init__(self, *, piece_bytes: int = 1 << 16, checksums: bool = True) -> None:
        self.piece_bytes = piece_bytes
        self.checksums = checksums
        self.gate = threading.Event()
        self.gate.set()
        self.failures: list[Exception | Callable[[bytes], bytes]] = []
        self.downloads: Counter[ObjectId] = Counter()
        self.order: list[ObjectId] = []
        self._arrivals = threading.Condition()
        self._objects: dict[ObjectUrl, tuple[bytes, ObjectInfo]] = {}
        self._generations = itertools.count(1)

    def put(self, url: str | ObjectUrl, data: bytes, *, writer: str | None = None) -> ObjectInfo:
        """Write without asking."""
        place = ObjectUrl.parse(url) if isinstance(url, str) else url
        crc = crc32c_of_bytes(data) if self.checksums else None
        info = ObjectInfo(ObjectId(place, str(next(self._generations))), len(data), crc, writer=writer)
        self._objects[place] = data, info
        return info

    def wait_for_arrivals(self, count: int) -> bool:
        """Wait until `count` downloads have come to the gate; False when they did not."""
        with self._arrivals:
            return self._arrivals.wait_for(lambda: len(self.order) >= count, GATE_SECONDS)

    def guarantees(self, root: str) -> Guarantees:
        del root
        return Guarantees(
            atomic_create=True, atomic_replace=True, checksums=self.checksums, pinned_reads=True, writer_mark=True
        )

    def stat(self, url: ObjectUrl, *, generation: str | None = None) -> ObjectInfo:
        if url not in self._objects:
            raise ObjectNotFound(f"{url} is not there.")
        info = self._objects[url][1]
        if generation not in {None, info.id.generation}:
            raise GenerationGone(f"{url}#{generation} was overwritten.")
        return info

    def list(self, prefix: ObjectUrl, *, recursive: bool = True) -> Iterator[ObjectInfo]:
        head = f"{prefix.key}/" if prefix.key else ""
        for url in sorted(self._objects):
            below = url.root == prefix.root and url.key.startswith(head)
            if below and (recursive or "/" not in url.key[len(head) :]):
                yield self._objects[url][1]

    def read(self, url: ObjectUrl, *, generation: str | None = None) -> tuple[bytes, ObjectInfo]:
        info = self.stat(url, generation=generation)
        return self._objects[url][0], info

    def download(self, info: ObjectInfo, sink: Sink, *, start: int = 0, end: int | None = None) -> None:
        with self._arrivals:
            self.downloads[info.id] += 1
            self.order.append(info.id)
            failure = self.failures.pop(0) if self.failures else None
            self._arrivals.notify_all()
        if not self.gate.wait(GATE_SECONDS):
            raise TimeoutError("the test never opened the gate")
        if isinstance(failure, Exception):
            raise failure
        self.stat(info.url, generation=info.id.generation)
        whole = self._objects[info.url][0]
        stop = len(whole) if end is None else end
        if not 0 <= start <= stop <= len(whole):
            raise RangeInvalid(f"{info.id}: {start}:{stop} is outside of {len(whole)} bytes.")
        data = whole[start:stop]
        if failure is not None:
            data = failure(data)
        for position in range(0, len(data), self.piece_bytes):
            sink(memoryview(data)[position : position + self.piece_bytes])

    def write(self, url: ObjectUrl, data: bytes, *, if_generation: str, writer: str | None = None) -> ObjectInfo:
        live = self._objects.get(url)
        if (live[1].id.generation if live else ABSENT) != if_generation:
            raise PreconditionFailed(f"{url} was written by somebody else.")
        return self.put(url, data, writer=writer)

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
        del crc32c, session, on_session
        return self.write(url, path.read_bytes(), if_generation=if_generation, writer=writer)

    def delete(self, url: ObjectUrl, *, if_generation: str | None = None) -> None:
        del if_generation
        self._objects.pop(url, None)

    def close(self) -> None:
        self._objects.clear()
