"""The routes of Cloud Storage's JSON API over `Objects` and `Sessions`: a request in, a reply out, no sockets."""

from __future__ import annotations

import base64
import email.parser
import email.policy
import gzip
import json
import re
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from typing import Any
from urllib.parse import quote

from jit_render.testing.gcs_buckets import Buckets
from jit_render.testing.gcs_fields import select
from jit_render.testing.gcs_model import ApiError, Objects, Preconditions, Version, check_name
from jit_render.testing.gcs_uploads import Sessions

_RANGE = re.compile(r"^bytes=(?:(?P<first>\d+)-(?P<last>\d*)|-(?P<tail>\d+))$")
_HASH = re.compile(r"(crc32c|md5)=([A-Za-z0-9+/=]+)")
MOST_RESULTS = 1000
BUCKET_CALLS = frozenset(
    {"bucket", "buckets", "create_bucket", "patch_bucket", "delete_bucket", "bucket_policy", "set_bucket_policy"}
)


@dataclass(frozen=True)
class Ask:
    """One request, read but for its body. ``kind`` is what logs, counters and faults call it."""

    kind: str
    bucket: str
    name: str
    query: Mapping[str, str]
    headers: Message[str, str]
    length: int
    pieces: Callable[[], bytes]
    target: tuple[str, str] = ("", "")

    def body(self) -> bytes:
        data = bytearray()
        while piece := self.pieces():
            data += piece
        return bytes(data)

    @property
    def generation(self) -> int | None:
        text = self.query.get("generation")
        try:
            return None if text is None else int(text)
        except ValueError:
            raise ApiError(400, "invalid", f"Invalid value for: generation: {text}") from None


@dataclass
class Reply:
    """An answer; `version` stands for ``start:end`` of an object's content in place of `body`."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    version: Version | None = None
    start: int = 0
    end: int = 0


class Api:
    """What the server can do, by kind of request."""

    def __init__(self, objects: Objects, base_url: Callable[[], str]) -> None:
        self.objects = objects
        self.sessions = Sessions(objects)
        self.buckets = Buckets(objects)
        self._base_url = base_url

    def answer(self, ask: Ask) -> Reply:
        """Raises ApiError."""
        handler: Callable[[Ask], Reply] | None = getattr(self, f"_{ask.kind}", None)
        if handler is None and ask.kind in BUCKET_CALLS:
            return _json(getattr(self.buckets, ask.kind)(ask))
        if handler is None:
            raise ApiError(404, "notFound", "Not Found")
        return handler(ask)

    def _stat(self, ask: Ask) -> Reply:
        return self._shown(self._find(ask), ask)

    def _delete(self, ask: Ask) -> Reply:
        self.objects.delete(ask.bucket, ask.name, ask.generation, Preconditions.of(ask.query))
        return Reply(204)

    def _patch(self, ask: Ask) -> Reply:
        metadata = _parsed(ask.body()).get("metadata") or {}
        return self._shown(self.objects.patch(ask.bucket, ask.name, metadata, Preconditions.of(ask.query)), ask)

    def _get(self, ask: Ask) -> Reply:
        version = self._find(ask)
        headers = _media_headers(version)
        if version.content_encoding == "gzip" and "gzip" not in ask.headers.get("Accept-Encoding", ""):
            # Decompressive transcoding: another length, no range, and a hash that does not fit what comes.
            headers["Warning"] = "214 UploadServer gunzipped"
            return Reply(200, headers, gzip.decompress(bytes(version.read(0, version.size))))
        if version.content_encoding:
            headers["Content-Encoding"] = version.content_encoding
        span = _span(ask.headers.get("Range"), version.size)
        if span is None:
            return Reply(200, headers, version=version, end=version.size)
        start, end = span
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{version.size}"
        return Reply(206, headers, version=version, start=start, end=end)

    def _list(self, ask: Ask) -> Reply:
        prefix, delimiter = ask.query.get("prefix", ""), ask.query.get("delimiter", "")
        limit = min(int(ask.query.get("maxResults") or MOST_RESULTS), MOST_RESULTS)
        rows = self._rows(ask, prefix, delimiter)
        token = ask.query.get("pageToken")
        begin = bisect_left([_place(row) for row in rows], base64.b64decode(token)) if token else 0
        page = rows[begin : begin + limit]
        shown: dict[str, Any] = {"kind": "storage#objects"}
        if items := [row.resource(self._base_url()) for row in page if isinstance(row, Version)]:
            shown["items"] = items
        if prefixes := [row for row in page if isinstance(row, str)]:
            shown["prefixes"] = prefixes
        if begin + limit < len(rows):
            shown["nextPageToken"] = base64.b64encode(_place(rows[begin + limit])).decode()
        return _json(select(shown, ask.query.get("fields")))

    def _rows(self, ask: Ask, prefix: str, delimiter: str) -> list[Version | str]:
        """Objects, and folded prefixes as text, in the order of a listing."""
        first, last = ask.query.get("startOffset", ""), ask.query.get("endOffset", "")
        rows: list[Version | str] = []
        old = ask.query.get("versions", "").lower() == "true"
        for version in self.objects.versions(ask.bucket, old=old, prefix=prefix):
            name = version.name
            if name < first or (last and name >= last):
                continue
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            if cut < 0:
                rows.append(version)
            elif not rows or rows[-1] != name[: cut + len(delimiter)]:
                rows.append(name[: cut + len(delimiter)])
        return rows

    def _write(self, ask: Ask) -> Reply:
        if ask.query.get("uploadType") == "multipart":
            described, content, content_type = _multipart(ask.headers.get("Content-Type", ""), ask.body())
        else:
            described, content = {}, ask.body()
            content_type = ask.headers.get("Content-Type", "application/octet-stream")
        draft = _draft(ask, described, content_type)
        return self._shown(self.objects.commit(draft, content, Preconditions.of(ask.query)), ask)

    def _session(self, ask: Ask) -> Reply:
        described = _parsed(ask.body())
        draft = _draft(ask, described, ask.headers.get("X-Upload-Content-Type", "application/octet-stream"))
        check_name(draft.name)
        upload_id = self.sessions.begin(draft, Preconditions.of(ask.query))
        place = f"{self._base_url()}/upload/storage/v1/b/{ask.bucket}/o?uploadType=resumable"
        location = f"{place}&name={quote(draft.name, '')}&upload_id={upload_id}"
        return Reply(200, {"Location": location, "X-GUploader-UploadID": upload_id})

    def _chunk(self, ask: Ask) -> Reply:
        upload_id = ask.query.get("upload_id", "")
        arrived = self.sessions.put(upload_id, ask.headers.get("Content-Range"), ask.length, ask.pieces)
        if isinstance(arrived, Version):
            return self._shown(arrived, ask)
        return Reply(308, {"Range": f"bytes=0-{arrived - 1}"} if arrived else {})

    _status = _chunk

    def _cancel(self, ask: Ask) -> Reply:
        self.sessions.cancel(ask.query.get("upload_id", ""))
        return Reply(499)

    def _copy(self, ask: Ask) -> Reply:
        return self._shown(self._copied(ask), ask)

    def _rewrite(self, ask: Ask) -> Reply:
        version = self._copied(ask)
        size = str(version.size)
        shown = {"kind": "storage#rewriteResponse", "totalBytesRewritten": size, "objectSize": size, "done": True}
        return _json({**shown, "resource": version.resource(self._base_url())})

    def _copied(self, ask: Ask) -> Version:
        generation = ask.query.get("sourceGeneration")
        source = self.objects.find(ask.bucket, ask.name, int(generation) if generation else None, Preconditions())
        bucket, name = ask.target
        draft = replace(source, bucket=bucket, name=name, metageneration=1, file=None)
        return self.objects.commit(draft, bytes(source.read(0, source.size)), Preconditions.of(ask.query))

    def _find(self, ask: Ask) -> Version:
        return self.objects.find(ask.bucket, ask.name, ask.generation, Preconditions.of(ask.query))

    def _shown(self, version: Version, ask: Ask) -> Reply:
        reply = _json(select(version.resource(self._base_url()), ask.query.get("fields")))
        reply.headers["ETag"] = version.etag
        return reply


def _json(value: object) -> Reply:
    return Reply(200, {"Content-Type": "application/json; charset=UTF-8"}, json.dumps(value).encode())


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        raise ApiError(400, "parseError", "Parse Error") from None
    if not isinstance(value, dict):
        raise ApiError(400, "parseError", "Parse Error")
    return value


def _place(row: Version | str) -> bytes:
    return row.encode() if isinstance(row, str) else f"{row.name}\0{row.generation:020d}".encode()


def _draft(ask: Ask, described: Mapping[str, Any], content_type: str) -> Version:
    hashes = dict(_HASH.findall(ask.headers.get("X-Goog-Hash", "")))
    return Version(
        bucket=ask.bucket,
        name=str(described.get("name") or ask.query.get("name", "")),
        generation=0,
        size=0,
        crc32c=str(described.get("crc32c") or hashes.get("crc32c", "")),
        md5=str(described.get("md5Hash") or hashes.get("md5", "")),
        content_type=str(described.get("contentType") or content_type),
        content_encoding=described.get("contentEncoding") or ask.query.get("contentEncoding"),
        metadata={str(key): str(value) for key, value in (described.get("metadata") or {}).items()},
    )


def _multipart(content_type: str, body: bytes) -> tuple[dict[str, Any], bytes, str]:
    """Description, content and its type, of a ``multipart/related`` body."""
    head = email.parser.HeaderParser(policy=email.policy.HTTP).parsestr(f"Content-Type: {content_type}\r\n\r\n")
    boundary = head.get_boundary()
    if head.get_content_type() != "multipart/related" or not boundary:
        raise ApiError(400, "badContent", "Malformed multipart body.")
    mark = b"--" + boundary.encode()
    parts = body.split(mark)
    if len(parts) != 4 or not parts[3].startswith(b"--"):
        raise ApiError(400, "badContent", "Malformed multipart body.")
    described = parts[1].removeprefix(b"\r\n").partition(b"\r\n\r\n")[2]
    media_head, _, content = parts[2].partition(b"\r\n\r\n")  # a part may have no headers at all
    media_type = re.search(rb"content-type:\s*([^\r\n]+)", media_head, re.IGNORECASE)
    return _parsed(described), content.removesuffix(b"\r\n"), media_type[1].decode() if media_type else ""


def _media_headers(version: Version) -> dict[str, str]:
    return {
        "Content-Type": version.content_type,
        "ETag": version.etag,
        "X-Goog-Generation": str(version.generation),
        "X-Goog-Metageneration": str(version.metageneration),
        "X-Goog-Hash": f"crc32c={version.crc32c},md5={version.md5}",
        "X-Goog-Storage-Class": "STANDARD",
        "X-Goog-Stored-Content-Encoding": version.content_encoding or "identity",
        "X-Goog-Stored-Content-Length": str(version.size),
    }


def _span(text: str | None, size: int) -> tuple[int, int] | None:
    """First byte and end of a ``Range``; None for what is no single range, which counts as none, as HTTP says."""
    match = _RANGE.match(text or "")
    if match is None:
        return None
    if match["tail"] is not None:
        first, end = max(0, size - int(match["tail"])), size
    else:
        first, last = int(match["first"]), int(match["last"] or size)
        if last < first < size:
            return None
        end = min(size, last + 1)
    if first >= size:
        headers = {"Content-Range": f"bytes */{size}"}
        raise ApiError(416, "requestedRangeNotSatisfiable", "Request range not satisfiable", headers)
    return first, end
