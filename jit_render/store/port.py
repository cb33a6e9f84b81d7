"""The port through which everything reaches object storage.

Contract, for every implementation (``jit_render/testing/store_suite.py`` holds it to this):

* Calls block and may come from any thread at once. A store survives ``fork`` by not being used after it.
* What is permanent: ObjectNotFound, GenerationGone, BucketNotFound, PermissionDenied,
  PreconditionFailed, RangeInvalid. They are raised at once. Everything that may pass (time-outs,
  resets, 408, 429, 5xx, short or corrupted bodies) is retried inside, bounded by the store's
  deadline, with jitter and ``Retry-After`` honoured, and only then raised as TransientStoreError.
* Writes carry a precondition, always, so trying again cannot write twice. A write whose first answer
  was lost and whose retry meets its own result succeeds.
* A read is of one generation; bytes of two generations are never mixed.
* Metadata, listings and reads see a finished write at once (strong consistency).
* `download` hands over bytes as stored (no transparent decompression), in order, from `start`, each byte
  once; when the connection breaks it goes on where it was. It does not check the whole object's crc32c
  (the caller sees the bytes pass and compares).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jit_render.model.identity import ObjectInfo, ObjectUrl

ABSENT = "0"
"""As `if_generation`: the object must not exist. (GCS spells it the same.)"""

Sink = Callable[[memoryview], None]
"""Takes each piece of a download; the view is only valid during the call."""


@dataclass(frozen=True, slots=True)
class Guarantees:
    """What a backend keeps of the contract by itself. False: emulated or missing, as its docstring says."""

    atomic_create: bool
    """Two writers with `ABSENT`: exactly one wins."""
    atomic_replace: bool
    """A precondition on an existing generation is checked atomically with the write."""
    checksums: bool
    """The backend knows each object's crc32c."""
    pinned_reads: bool
    """An overwritten generation can never be read as the one that was asked for."""
    writer_mark: bool
    """The `writer` of an upload can be read back."""


class SmallLane(Protocol):
    """A way for small objects on the caller's asyncio loop, as long as everything goes well.

    It tries nothing twice and raises nothing of its own: where anything is not as usual it steps aside, and the
    caller goes by `Store.download`, which meets the same trouble and knows what to do.
    """

    def takes(self, info: ObjectInfo) -> bool:
        """Whether it is worth a try now. Never waits."""
        ...

    async def fetch(self, info: ObjectInfo, sink: Sink) -> bool:
        """Hand the whole object to `sink` in one piece, on the loop; True once that is done. False: step aside.

        The length and the generation are those of `info`; the crc32c is the caller's to compare. An exception from
        `sink` comes out unchanged.
        """
        ...

    def close(self) -> None:
        """Drop idle connections; it may be used again."""
        ...


class Store(Protocol):
    """Objects of one or many roots."""

    def guarantees(self, root: str) -> Guarantees:
        """What the backend of `root` keeps by itself."""
        ...

    def stat(self, url: ObjectUrl, *, generation: str | None = None) -> ObjectInfo:
        """Metadata of the live version, or of `generation`. Raises ObjectNotFound, GenerationGone, BucketNotFound."""
        ...

    def list(self, prefix: ObjectUrl, *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """Objects below the folder `prefix`, ordered by key; not those of a sibling that shares its spelling.

        A prefix with an empty key lists the root. With `recursive` False, only direct children.
        Nothing there: nothing yielded. Raises BucketNotFound.
        """
        ...

    def read(self, url: ObjectUrl, *, generation: str | None = None) -> tuple[bytes, ObjectInfo]:
        """A small object whole, verified against its crc32c where the backend has one."""
        ...

    def download(self, info: ObjectInfo, sink: Sink, *, start: int = 0, end: int | None = None) -> None:
        """Hand bytes ``start:end`` of exactly `info`'s generation to `sink`. Raises GenerationGone, RangeInvalid.

        An exception from `sink` ends the download and comes out unchanged.
        """
        ...

    def small_lane(self, root: str) -> SmallLane | None:
        """The way for small objects of `root`, if the backend has one now. Never waits."""
        del root
        return None

    def write(self, url: ObjectUrl, data: bytes, *, if_generation: str, writer: str | None = None) -> ObjectInfo:
        """Write a small object whole where `if_generation` holds. Raises PreconditionFailed."""
        ...

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
        """Write the file at `path`, checked by the server (or here) against `crc32c`.

        `session` is what `on_session` was told by an earlier, interrupted call for the same file and place: the
        upload goes on there, or anew when the session is gone. Raises PreconditionFailed, ChecksumMismatch.
        """
        ...

    def delete(self, url: ObjectUrl, *, if_generation: str | None = None) -> None:
        """Remove the live version. Gone already: no error."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...
