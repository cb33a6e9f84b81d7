"""What is to be written, and what the API says of an object, in our own terms."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jit_render.model.errors import PreconditionFailed
from jit_render.model.identity import ObjectId, ObjectInfo, ObjectUrl
from jit_render.store.crc import from_base64

WRITER_KEY = "jit-render-writer"


@dataclass(frozen=True, slots=True)
class Draft:
    """An object that is to be."""

    url: ObjectUrl
    size_bytes: int
    crc32c: int
    if_generation: str
    writer: str | None

    @property
    def generation_match(self) -> int:
        """The precondition as the API takes it. Raises PreconditionFailed for what no generation can be."""
        if not self.if_generation.isdecimal():
            raise PreconditionFailed(f"{self.url} has no generation {self.if_generation!r}; look at it again.")
        return int(self.if_generation)

    @property
    def bucket(self) -> str:
        return bucket_of(self.url)

    @property
    def content_type(self) -> str:
        """By the name's ending; only for people who look at the bucket in a browser."""
        return mimetypes.guess_type(self.url.name)[0] or "application/octet-stream"

    @property
    def metadata(self) -> dict[str, str]:
        return {} if self.writer is None else {WRITER_KEY: self.writer}

    def is_live_as(self, live: ObjectInfo) -> bool:
        """Whether `live` is what this was to become: the same bytes by the same writer."""
        theirs = (live.size_bytes, live.crc32c, live.writer)
        return theirs == (self.size_bytes, self.crc32c, self.writer)


def bucket_of(url: ObjectUrl) -> str:
    """The bare name of the bucket."""
    return url.root.partition("://")[2]


def info_of_resource(url: ObjectUrl, resource: Mapping[str, Any]) -> ObjectInfo:
    """From the API's JSON. Raises KeyError, ValueError for what is no object."""
    return ObjectInfo(
        id=ObjectId(url, str(int(resource["generation"]))),
        size_bytes=int(resource["size"]),
        crc32c=from_base64(resource.get("crc32c")),
        updated=datetime.fromisoformat(resource["updated"]).timestamp(),
        writer=(resource.get("metadata") or {}).get(WRITER_KEY),
        content_encoding=resource.get("contentEncoding"),
    )


def info_of_blob(url: ObjectUrl, blob: Any) -> ObjectInfo:
    """From the official client's blob after an answer. Raises ValueError for a damaged one."""
    if blob.generation is None or blob.size is None:
        raise ValueError("the answer describes no object")
    return ObjectInfo(
        id=ObjectId(url, str(blob.generation)),
        size_bytes=int(blob.size),
        crc32c=from_base64(blob.crc32c),
        updated=blob.updated.timestamp() if blob.updated else 0.0,
        writer=(blob.metadata or {}).get(WRITER_KEY),
        content_encoding=blob.content_encoding,
    )
