"""What an object is called, and which version of it is meant.

A *root* is what holds objects: ``gs://show-assets``, ``s3://bucket``, ``memory://name``, or ``file://``
(the whole file system, so keys are absolute paths without their first slash). ``ObjectUrl`` is a root
and a key. ``ObjectId`` adds the generation: content under one identity never changes.
Generations are opaque and compared for equality only.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property

from jit_render.model.errors import HostilePath

_URL = re.compile(r"^(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<bucket>[^/]*)(?:/(?P<key>.*))?$", re.DOTALL)
_PLAIN = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
KEY_LIMIT_BYTES = 1024  # a GCS object name's limit in UTF-8
NAME_LIMIT_BYTES = 255  # what Linux file systems take as one component


def check_key(key: str, shown: str) -> str:
    """`key` itself when it is safe as an object name and as a path under a folder.

    Raises HostilePath for control characters, ``.``/``..``/empty parts and names too long to be cached.
    """
    if _PLAIN.fullmatch(key) and len(key) <= NAME_LIMIT_BYTES:
        return key  # nearly all are, and a frame asks for thousands
    if _CONTROL.search(key):
        raise HostilePath(f"{shown!r} holds a control character; rename it without line breaks or NUL.")
    parts = key.split("/")
    if any(part in {"..", "."} for part in parts):
        raise HostilePath(f"{shown!r} leaves its mapped root with '.' or '..'; write the full path.")
    if key and any(not part for part in parts):
        raise HostilePath(f"{shown!r} has an empty folder name; write single slashes and name a file.")
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        raise HostilePath(f"{shown!r} is not valid Unicode; rename the file.") from None
    if len(encoded) > KEY_LIMIT_BYTES:
        raise HostilePath(
            f"{shown[:60]!r}… is {len(encoded)} bytes long as an object name; "
            f"object storage takes {KEY_LIMIT_BYTES}. Shorten it."
        )
    longest = max(len(part.encode()) for part in parts)
    if longest > NAME_LIMIT_BYTES:
        raise HostilePath(
            f"{shown[:60]!r}… has a file or folder name of {longest} bytes; "
            f"a disk takes {NAME_LIMIT_BYTES}. Shorten it."
        )
    return key


@dataclass(frozen=True, slots=True, order=True)
class ObjectUrl:
    """A place in object storage: ``root`` (``gs://bucket``) and ``key`` (no leading slash)."""

    root: str
    key: str

    @classmethod
    def parse(cls, text: str) -> ObjectUrl:
        """Read ``scheme://bucket/key``; one trailing slash is dropped. Raises HostilePath."""
        match = _URL.match(text)
        if match is None:
            raise HostilePath(f"{text!r} is not a storage URL; write it like gs://bucket/folder.")
        key = (match["key"] or "").removesuffix("/")
        check_key(key, text)
        if match["scheme"] == "file" and match["bucket"]:
            raise HostilePath(f"{text!r} names a host; write a local folder as file:///folder.")
        if match["scheme"] != "file" and not match["bucket"]:
            raise HostilePath(f"{text!r} names no bucket; write it like gs://bucket/folder.")
        return cls(f"{match['scheme']}://{match['bucket']}", key)

    def __str__(self) -> str:
        return f"{self.root}/{self.key}"

    def __truediv__(self, tail: str) -> ObjectUrl:
        """The place `tail` below this one; `tail` is checked like any key."""
        key = f"{self.key}/{tail}" if self.key else tail
        return ObjectUrl(self.root, check_key(key, str(self) + "/" + tail))

    @property
    def name(self) -> str:
        """The base name."""
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> ObjectUrl:
        """The folder that holds this place."""
        return ObjectUrl(self.root, self.key.rpartition("/")[0])

    @property
    def view_path(self) -> str:
        """The relative POSIX path of this place in a job's view tree; one to one with the URL.

        ``gs://b/k`` → ``b/k``; any other scheme → ``scheme+bucket/k``. A GCS bucket's name holds no ``+``.
        """
        scheme, _, bucket = self.root.partition("://")
        head = bucket if scheme == "gs" else f"{scheme}+{bucket}"
        return f"{head}/{self.key}" if self.key else head

    @classmethod
    def from_view_path(cls, path: str) -> ObjectUrl:
        """The inverse of `view_path`. Raises HostilePath."""
        head, _, key = path.partition("/")
        scheme, plus, bucket = head.partition("+")
        root = f"{scheme}://{bucket}" if plus else f"gs://{head}"
        return cls(root, check_key(key, path))


@dataclass(frozen=True)
class ObjectId:
    """One immutable version of one object."""

    url: ObjectUrl
    generation: str

    @cached_property
    def digest(self) -> str:
        """64 hex digits, equal exactly when bucket, name and generation are."""
        text = f"{self.url.root}\0{self.url.key}\0{self.generation}"
        return hashlib.sha256(text.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.url}#{self.generation}"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What one metadata request tells of an object.

    ``crc32c`` is the unsigned 32-bit value, or None where the backend keeps none (see its guarantees).
    ``writer`` is the ``jit-render-writer`` metadata entry that our own uploads carry, or None.
    ``updated`` is seconds since the epoch by the store's clock, 0 where it does not say: for people, and to see how
    old a worker's last sign of life is; never to tell versions apart.
    """

    id: ObjectId
    size_bytes: int
    crc32c: int | None
    updated: float = 0.0
    writer: str | None = None
    content_encoding: str | None = None

    @property
    def url(self) -> ObjectUrl:
        return self.id.url
