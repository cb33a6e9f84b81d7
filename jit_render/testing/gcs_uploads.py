"""Resumable upload sessions of the fake GCS: what has arrived stays, in multiples of 256 KiB, until all is there."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from jit_render.testing.gcs_model import ApiError, Objects, Preconditions, Version

QUANTUM_BYTES = 256 * 1024
_RANGE = re.compile(r"^bytes (?:(?P<first>\d+)-(?P<last>\d+)|\*)/(?P<total>\d+|\*)$")


@dataclass
class Session:
    """One upload that was begun."""

    draft: Version
    conditions: Preconditions
    arrived: bytearray = field(default_factory=bytearray)
    done: Version | None = None
    busy: threading.Lock = field(default_factory=threading.Lock)


class Sessions:
    """All sessions by their id."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._sessions: dict[str, Session] = {}
        self._cancelled: set[str] = set()

    def begin(self, draft: Version, conditions: Preconditions) -> str:
        self._objects.check(draft.bucket, draft.name, conditions)
        upload_id = secrets.token_urlsafe(24)
        self._sessions[upload_id] = Session(draft, conditions)
        return upload_id

    def of(self, upload_id: str) -> Session:
        if upload_id in self._cancelled:
            raise ApiError(499, "cancelled", "The upload was cancelled.")
        session = self._sessions.get(upload_id)
        if session is None:
            raise ApiError(404, "notFound", "Upload session not found.")
        return session

    def name_of(self, upload_id: str) -> str:
        session = self._sessions.get(upload_id)
        return session.draft.name if session else ""

    def cancel(self, upload_id: str) -> None:
        self.of(upload_id)
        del self._sessions[upload_id]
        self._cancelled.add(upload_id)

    def put(self, upload_id: str, content_range: str | None, length: int, pieces: Callable[[], bytes]) -> Version | int:
        """Take what `pieces` gives (b"" at its end). The version when complete, else how many bytes have arrived."""
        session = self.of(upload_id)
        with session.busy:
            if session.done is not None:
                return session.done
            first, total = _parse(content_range, length)
            self._take(session, first, total, length, pieces)
            if total is None or len(session.arrived) < total:
                return len(session.arrived)
            try:
                session.done = self._objects.commit(session.draft, bytes(session.arrived), session.conditions)
            except ApiError:
                self._sessions.pop(upload_id, None)
                raise
            session.arrived = bytearray()
            return session.done

    def _take(self, session: Session, first: int, total: int | None, length: int, pieces: Callable[[], bytes]) -> None:
        have = len(session.arrived)
        if length and first > have:
            message = f"The upload offset is {first}, which exceeds already uploaded size of {have} byte(s)."
            raise ApiError(400, "invalid", message)
        skip = have - first
        try:
            while piece := pieces():
                session.arrived += piece[skip:] if skip > 0 else piece
                skip -= len(piece)
        finally:
            if total is None or len(session.arrived) < total:
                del session.arrived[len(session.arrived) // QUANTUM_BYTES * QUANTUM_BYTES :]


def _parse(content_range: str | None, length: int) -> tuple[int, int | None]:
    """First byte of this piece and the total, as far as known."""
    if content_range is None:
        return 0, length
    match = _RANGE.match(content_range)
    if match is None:
        raise ApiError(400, "invalid", f"Failed to parse Content-Range header: {content_range}")
    total = None if match["total"] == "*" else int(match["total"])
    if match["first"] is None:
        return 0, total
    if int(match["last"]) - int(match["first"]) + 1 != length:
        raise ApiError(400, "invalid", f"Content-Range {content_range} does not fit a body of {length} bytes.")
    return int(match["first"]), total
