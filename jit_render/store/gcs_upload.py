"""Large files into Cloud Storage, by a resumable session that survives this process.

The session is made with everything that guards it: the precondition, the crc32c (so that the server itself refuses
damaged bytes) and the writer's mark. Its URL is told to the caller, who keeps it. From then on all that matters is
asked of the server: ``Content-Range: bytes */N`` says how much has arrived, or that all is done. A session that is
gone is begun anew.

A 412 after a lost answer is a question, not a refusal: when the live object has our size, crc32c and writer, it is
ours.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

from jit_render.model.errors import (
    ChecksumMismatch,
    JitRenderError,
    PreconditionFailed,
    StoreError,
    TransientStoreError,
)
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.store.crc import BLOCK_BYTES, crc32c_of_file, to_base64
from jit_render.store.gcs_access import Access
from jit_render.store.gcs_errors import Answer, Doing, from_answer, from_google, from_socket
from jit_render.store.gcs_lanes import Lane, Lanes, read_answer
from jit_render.store.gcs_objects import Draft, info_of_resource
from jit_render.store.retry import Pace, Passing, Retrier

_GONE = {404, 410, 499}
_ARRIVED = re.compile(r"bytes=0-(\d+)$")
CHUNK_BYTES = 64 * BLOCK_BYTES
"""A whole multiple of 256 KiB, as the API asks. After each the server confirms what it has."""


class Uploader:
    """Uploads files; `live` tells what stands at a place, or None."""

    def __init__(
        self,
        access: Access,
        lanes: Lanes,
        retrier: Retrier,
        live: Callable[[ObjectUrl], ObjectInfo | None],
        timeout_seconds: float,
    ) -> None:
        self.access = access
        self.lanes = lanes
        self.timeout_seconds = timeout_seconds
        self._retrier = retrier
        self._live = live

    def pace(self) -> Pace:
        """How long an answer may take."""
        return self._retrier.pace(self.timeout_seconds)

    def run(
        self, draft: Draft, path: Path, session: str | None, on_session: Callable[[str], None] | None
    ) -> ObjectInfo:
        """The object, once it is there whole. Raises our errors."""
        upload = _Upload(self, draft, path, session, on_session)
        in_doubt = session is not None
        patience = self._retrier.patience()
        most = 0
        while True:
            try:
                done = upload.step()
            except Passing as passing:
                in_doubt = True
                upload.failed(passing)
                patience.pause(passing)
                continue
            except PreconditionFailed:
                live = self._live(draft.url) if in_doubt else None
                if live is not None and draft.is_live_as(live):
                    return live
                raise
            if done is not None:
                return done
            if (upload.arrived or 0) > most:
                most = upload.arrived or 0
                patience.progressed()


class _Upload:
    """One file on its way. ``arrived`` is how many bytes the server has; None: it must be asked."""

    def __init__(
        self,
        means: Uploader,
        draft: Draft,
        path: Path,
        session: str | None,
        on_session: Callable[[str], None] | None,
    ) -> None:
        self._means = means
        self._draft = draft
        self._path = path
        self._on_session = on_session
        self._doing = Doing("write", draft.url)
        # A session of another endpoint is of no use here.
        self._session = session if session and session.startswith(means.access.origin + "/") else None
        self.arrived: int | None = None

    def step(self) -> ObjectInfo | None:
        """Begin, ask or send, whichever is next; the object when done. Raises Passing and our permanent errors."""
        if self._session is None:
            self._session = self._begin()
            self.arrived = 0
            if self._on_session is not None:
                self._on_session(self._session)
            return None
        before = self.arrived
        state = self._ask() if before is None else self._send(before)
        if isinstance(state, ObjectInfo):
            return state
        if before is not None and state <= before:
            raise Passing(TransientStoreError(f"{self._doing}: the storage confirms none of the bytes sent."))
        self.arrived = state
        return None

    def failed(self, passing: Passing) -> None:
        """Ask the server before going on. Bytes that arrived damaged: begin anew, if the file is still what it was."""
        self.arrived = None
        if isinstance(passing.problem, ChecksumMismatch):
            self._session = None
            try:
                actual = crc32c_of_file(self._path)
            except OSError as error:
                raise self._unreadable(error) from error
            if actual != self._draft.crc32c:
                raise self._changed() from passing

    def _begin(self) -> str:
        draft = self._draft
        try:
            blob = self._means.access.client.bucket(draft.bucket).blob(draft.url.key)
            blob.crc32c = to_base64(draft.crc32c)
            blob.metadata = draft.metadata
            session = blob.create_resumable_upload_session(
                content_type=draft.content_type,
                size=draft.size_bytes,
                if_generation_match=draft.generation_match,
                timeout=self._means.timeout_seconds,
                checksum=None,
                retry=None,
            )
            return str(session)
        except JitRenderError:
            raise
        except Exception as error:
            raise from_google(self._doing, error) from error

    def _ask(self) -> ObjectInfo | int:
        headers = {"Content-Length": "0", "Content-Range": f"bytes */{self._draft.size_bytes}"}
        try:
            lane, response = self._means.lanes.ask("PUT", self._target(), headers)
        except (OSError, http.client.HTTPException) as error:
            raise from_socket(self._doing, error) from error
        return self._concluded(lane, response, was_sent=True)

    def _send(self, start: int) -> ObjectInfo | int:
        """One chunk from `start`. The session's URL is its own right: no token goes with it."""
        size = self._draft.size_bytes
        end = min(start + CHUNK_BYTES, size)
        headers = {"Content-Length": str(end - start), "Content-Range": f"bytes {start}-{end - 1}/{size}"}
        lane = self._means.lanes.take(fresh=True)
        try:
            lane.begin("PUT", self._target(), headers)
            was_sent = self._stream(lane, start, end)
            response = lane.connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            lane.close()
            raise from_socket(self._doing, error) from error
        except BaseException:
            lane.close()
            raise
        return self._concluded(lane, response, was_sent=was_sent)

    def _stream(self, lane: Lane, start: int, end: int) -> bool:
        """Send the file's ``start:end``. False when the server stopped listening: it may have answered already."""
        try:
            file = self._path.open("rb", buffering=0)
        except OSError as error:
            raise self._unreadable(error) from error
        with file:
            file.seek(start)
            while start < end:
                count = file.readinto(lane.buffer[: min(len(lane.buffer), end - start)])
                if not count:
                    raise self._changed()
                try:
                    lane.connection.send(lane.buffer[:count])
                except (BrokenPipeError, ConnectionResetError):
                    return False
                start += count
        return True

    def _concluded(self, lane: Lane, response: HTTPResponse, *, was_sent: bool) -> ObjectInfo | int:
        """What the answer says: the object, or how many bytes have arrived."""
        try:
            body = read_answer(response, self._means.pace())
        except (OSError, http.client.HTTPException) as error:
            lane.close()
            raise from_socket(self._doing, error) from error
        if was_sent and response.isclosed():
            self._means.lanes.give_back(lane)
        else:
            lane.close()
        if response.status == 308:
            match = _ARRIVED.match(response.headers.get("Range") or "")
            return int(match[1]) + 1 if match else 0
        if response.status in {200, 201}:
            return self._finished(body)
        if response.status in _GONE:
            self._session = None
            gone = f"{self._doing}: the storage dropped the upload session ({response.status}); begin again."
            raise Passing(TransientStoreError(gone))
        raise from_answer(self._doing, Answer.read(response.status, response.headers, body))

    def _finished(self, body: bytes) -> ObjectInfo:
        try:
            info = info_of_resource(self._draft.url, json.loads(body))
        except (ValueError, KeyError, TypeError) as error:
            raise from_socket(self._doing, error) from error
        if (info.size_bytes, info.crc32c) != (self._draft.size_bytes, self._draft.crc32c):
            raise ChecksumMismatch(f"{info.id} holds other bytes than {self._path}; remove it and publish again.")
        return info

    def _target(self) -> str:
        parts = urlsplit(self._session or "")
        return f"{parts.path}?{parts.query}"

    def _changed(self) -> ChecksumMismatch:
        return ChecksumMismatch(f"{self._path} changed while it was uploaded to {self._draft.url}; publish it again.")

    def _unreadable(self, error: OSError) -> StoreError:
        return StoreError(f"cannot upload {self._path} to {self._draft.url}: {error.strerror}.")
