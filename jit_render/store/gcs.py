"""``gs://``: Google Cloud Storage, keeping the whole contract of the port.

Small writes and removals go through the official client (JSON API), always with a generation precondition and never
with its own retries: trying again is ours (``retry.py``), with one deadline and an injected clock. What is done
hundreds of times for a frame and hundreds of thousands of times for a job, looking at objects, listing and reading
them, takes the fast path of ``gcs_data.py``; files of more than `SMALL_BYTES` go in by a resumable session that we
drive ourselves (``gcs_upload.py``), because the library can neither go on with a session after a restart nor tell a
lost answer from a refusal.

Errors of Google's libraries end in ``gcs_errors.py``; no other package sees them.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from google.auth.credentials import Credentials

from jit_render.model.clock import Clock, SystemClock
from jit_render.model.errors import (
    ChecksumMismatch,
    JitRenderError,
    ObjectNotFound,
    PreconditionFailed,
    RangeInvalid,
    StoreError,
)
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.store.crc import crc32c_of_bytes
from jit_render.store.gcs_access import Access
from jit_render.store.gcs_data import Reader
from jit_render.store.gcs_errors import Doing, from_google
from jit_render.store.gcs_lanes import Lanes
from jit_render.store.gcs_objects import Draft, bucket_of, info_of_blob
from jit_render.store.gcs_small import GcsSmallLane
from jit_render.store.gcs_upload import Uploader
from jit_render.store.port import Guarantees, Sink, SmallLane, Store
from jit_render.store.retry import Passing, Retrier, latest_of

T = TypeVar("T")
SMALL_BYTES = 8 * 1024 * 1024
_stores: weakref.WeakSet[GcsStore] = weakref.WeakSet()


class GcsStore(Store):
    """All buckets of one endpoint. `credentials` stands in for the machine's own.

    A process may fork after it was used: the child goes on with connections of its own.
    """

    def __init__(
        self, settings: StoreSettings, clock: Clock | None = None, credentials: Credentials | None = None
    ) -> None:
        self._timeout = settings.timeout
        self._access = Access(settings, credentials)
        self._lanes = Lanes(self._access.endpoint, settings.timeout)
        self._retrier = Retrier(clock or SystemClock(), settings.deadline)
        self._reader = Reader(self._access, self._lanes, self._retrier, settings.timeout)
        self._uploader = Uploader(self._access, self._lanes, self._retrier, self._live, settings.timeout)
        self._small = GcsSmallLane(self._access, self._lanes, settings.timeout) if self._lanes.is_direct else None
        _stores.add(self)

    def renew(self) -> None:
        """In a child after a fork."""
        self._access.renew()
        self._lanes.renew()

    def guarantees(self, root: str) -> Guarantees:
        del root
        return Guarantees(atomic_create=True, atomic_replace=True, checksums=True, pinned_reads=True, writer_mark=True)

    def stat(self, url: ObjectUrl, *, generation: str | None = None) -> ObjectInfo:
        doing = Doing("read", url, generation)
        return self._retrier.call(lambda: self._reader.describe(doing))

    def list(self, prefix: ObjectUrl, *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """As the port says. Folder markers (``name/``) and names that are no safe object name are left out."""
        begins = f"{prefix.key}/" if prefix.key else ""
        delimiter, token, doing = "" if recursive else "/", "", Doing("list", prefix)
        while True:
            page, token = self._retrier.call(partial(self._reader.page, doing, begins, delimiter, token))
            yield from page
            if not token:
                return

    def read(self, url: ObjectUrl, *, generation: str | None = None) -> tuple[bytes, ObjectInfo]:
        return latest_of(lambda: self._read(url, generation), pinned=generation is not None)

    def _read(self, url: ObjectUrl, generation: str | None) -> tuple[bytes, ObjectInfo]:
        info = self.stat(url, generation=generation)

        def whole() -> bytes:
            pieces: list[bytes] = []
            self.download(info, lambda piece: pieces.append(bytes(piece)))
            data = b"".join(pieces)
            if info.crc32c is not None and crc32c_of_bytes(data) != info.crc32c:
                raise Passing(ChecksumMismatch(f"{url}: the bytes that came are not those that are stored."))
            return data

        return self._retrier.call(whole), info

    def download(self, info: ObjectInfo, sink: Sink, *, start: int = 0, end: int | None = None) -> None:
        stop = info.size_bytes if end is None else end
        if not 0 <= start <= stop <= info.size_bytes:
            raise RangeInvalid(f"{info.url}: bytes {start}:{stop} are not within its {info.size_bytes} bytes.")
        if start == stop:
            self.stat(info.url, generation=info.id.generation)  # nothing to fetch, but it must exist
            return
        self._reader.download(info, sink, start, stop)

    def small_lane(self, root: str) -> SmallLane | None:
        """As the port says. None behind a proxy."""
        del root
        return self._small

    def write(self, url: ObjectUrl, data: bytes, *, if_generation: str, writer: str | None = None) -> ObjectInfo:
        draft = Draft(url, len(data), crc32c_of_bytes(data), if_generation, writer)
        doing = Doing("write", url)
        in_doubt = False

        def put() -> ObjectInfo:
            nonlocal in_doubt
            try:
                return self._google(doing, lambda: self._put(draft, data))
            except Passing:
                in_doubt = True  # it may have been written, and only the answer lost
                raise
            except PreconditionFailed:
                live = self._live(url) if in_doubt else None
                if live is not None and draft.is_live_as(live):
                    return live
                raise

        return self._retrier.call(put)

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
        """As the port says. Files of up to `SMALL_BYTES` go in one request and have no session."""
        try:
            size = path.stat().st_size
            small = path.read_bytes() if size <= SMALL_BYTES and session is None else None
        except OSError as error:
            raise StoreError(f"cannot upload {path} to {url}: {error.strerror}.") from error
        if small is None:
            return self._uploader.run(Draft(url, size, crc32c, if_generation, writer), path, session, on_session)
        if crc32c_of_bytes(small) != crc32c:
            raise ChecksumMismatch(f"{path}: its crc32c is not {crc32c:08x}, it was changed; publish it again.")
        return self.write(url, small, if_generation=if_generation, writer=writer)

    def delete(self, url: ObjectUrl, *, if_generation: str | None = None) -> None:
        """As the port says.

        Without a precondition, too, only the version found at first look goes, so that trying again cannot remove
        what somebody else wrote meanwhile.
        """
        found = self._live(url) if if_generation is None else None
        generation = found.id.generation if found else if_generation
        if generation is None:
            return
        doing = Doing("delete", url)
        try:
            self._call(doing, lambda: self._remove(doing, generation))
        except ObjectNotFound:
            return
        except PreconditionFailed:
            if if_generation is not None and self._live(url) is not None:
                raise

    def close(self) -> None:
        self._lanes.close()
        self._access.close()

    def _blob(self, doing: Doing) -> Any:
        return self._access.client.bucket(bucket_of(doing.url)).blob(doing.url.key)

    def _put(self, draft: Draft, data: bytes) -> ObjectInfo:
        blob = self._blob(Doing("write", draft.url))
        blob.metadata = draft.metadata
        blob.upload_from_string(
            data,
            content_type=draft.content_type,
            if_generation_match=draft.generation_match,
            checksum="crc32c",
            timeout=self._timeout,
            retry=None,
        )
        return info_of_blob(draft.url, blob)

    def _remove(self, doing: Doing, generation: str) -> None:
        blob = self._blob(doing)
        match = int(generation) if generation.isdecimal() else -1
        blob.delete(if_generation_match=match, retry=None, timeout=self._timeout)

    def _live(self, url: ObjectUrl) -> ObjectInfo | None:
        try:
            return self.stat(url)
        except ObjectNotFound:
            return None

    def _call(self, doing: Doing, work: Callable[[], T]) -> T:
        return self._retrier.call(lambda: self._google(doing, work))

    def _google(self, doing: Doing, work: Callable[[], T]) -> T:
        try:
            return work()
        except (JitRenderError, Passing):
            raise
        except Exception as error:
            raise from_google(doing, error) from error


def _renew_all() -> None:
    for store in list(_stores):
        store.renew()


os.register_at_fork(after_in_child=_renew_all)
