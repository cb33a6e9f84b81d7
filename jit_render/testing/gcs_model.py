"""Buckets, objects and their generations, as the JSON API of Cloud Storage describes them; no HTTP here.

Strict: a bucket must have been created, names are checked, every precondition is evaluated under one lock with
the change it guards, an overwritten generation is gone unless its bucket keeps versions. With a folder, each object is
a data file and a JSON file, written before it becomes visible, so that a restarted server has them again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jit_render.store.crc import crc32c_of_bytes, to_base64

_BUCKET_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$")


class ApiError(Exception):
    """An error answer."""

    def __init__(self, status: int, reason: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        errors = [{"message": self.message, "domain": "global", "reason": self.reason}]
        return json.dumps({"error": {"code": self.status, "message": self.message, "errors": errors}}).encode()


@dataclass(frozen=True)
class Version:
    """One generation of one object."""

    bucket: str
    name: str
    generation: int
    size: int
    crc32c: str
    md5: str
    content_type: str = "application/octet-stream"
    content_encoding: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    metageneration: int = 1
    created: float = 0.0
    updated: float = 0.0
    content: bytes = b""
    file: str | None = None

    def read(self, start: int, end: int) -> bytes | memoryview:
        if self.file is None:
            return memoryview(self.content)[start:end]
        with Path(self.file).open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    @property
    def etag(self) -> str:
        return base64.b64encode(f"{self.generation}/{self.metageneration}".encode()).decode()

    def resource(self, base_url: str) -> dict[str, Any]:
        """As the API shows it."""
        link = f"{base_url}/storage/v1/b/{self.bucket}/o/{quote(self.name, '')}"
        shown: dict[str, Any] = {
            "kind": "storage#object",
            "id": f"{self.bucket}/{self.name}/{self.generation}",
            "selfLink": link,
            "mediaLink": f"{base_url}/download{link.removeprefix(base_url)}?generation={self.generation}&alt=media",
            "name": self.name,
            "bucket": self.bucket,
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "contentType": self.content_type,
            "storageClass": "STANDARD",
            "size": str(self.size),
            "md5Hash": self.md5,
            "crc32c": self.crc32c,
            "etag": self.etag,
            "timeCreated": _stamp(self.created),
            "updated": _stamp(self.updated),
        }
        if self.content_encoding:
            shown["contentEncoding"] = self.content_encoding
        if self.metadata:
            shown["metadata"] = self.metadata
        return shown


@dataclass(frozen=True, slots=True)
class Preconditions:
    """``ifGenerationMatch`` and its kin, of one request."""

    generation: int | None = None
    not_generation: int | None = None
    metageneration: int | None = None
    not_metageneration: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Preconditions:
        names = ("ifGenerationMatch", "ifGenerationNotMatch", "ifMetagenerationMatch", "ifMetagenerationNotMatch")
        values = [query.get(name) for name in names]
        try:
            return cls(*[None if value is None else int(value) for value in values])
        except ValueError:
            raise ApiError(400, "invalid", "Invalid precondition: not a number.") from None

    def check(self, version: Version | None, *, reading: bool) -> None:
        """Raises ApiError 412, or 304 for a reader who has this version already."""
        generation = version.generation if version else 0
        metageneration = version.metageneration if version else None
        if (self.generation is not None and self.generation != generation) or (
            self.metageneration is not None and self.metageneration != metageneration
        ):
            raise _unmet(412)
        if self.not_generation == generation or (
            self.not_metageneration is not None and self.not_metageneration == metageneration
        ):
            raise _unmet(304 if reading else 412)


@dataclass
class Bucket:
    """Live objects by name, and with versioning the older generations too."""

    name: str
    versioning: bool = False
    live: dict[str, Version] = field(default_factory=dict)
    old: dict[tuple[str, int], Version] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=lambda: {"version": 1, "bindings": []})
    policy_edition: int = 0

    def retire(self, name: str) -> None:
        version = self.live.pop(name, None)
        if version is None:
            return
        if self.versioning:
            self.old[(name, version.generation)] = version
        elif version.file:
            Path(version.file).with_suffix(".json").unlink(missing_ok=True)
            Path(version.file).unlink(missing_ok=True)


class Objects:
    """All buckets. Every public method is atomic."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._buckets: dict[str, Bucket] = {}
        self._last_generation = 0
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for place in sorted(folder.iterdir()):
                self._load(place)

    def create_bucket(self, name: str, *, versioning: bool = False, settings: dict[str, Any] | None = None) -> Bucket:
        if not _BUCKET_NAME.match(name) or name.startswith("goog") or ".." in name:
            raise ApiError(400, "invalid", f"Invalid bucket name: '{name}'")
        with self._lock:
            if name in self._buckets:
                raise ApiError(409, "conflict", "Your previous request to create the named bucket succeeded.")
            self._buckets[name] = bucket = Bucket(name, versioning, settings=settings or {})
            self.keep_bucket(bucket)
            return bucket

    def keep_bucket(self, bucket: Bucket) -> None:
        """Write down what is set on the bucket, where there is a folder."""
        if self._folder is not None:
            (self._folder / bucket.name).mkdir(exist_ok=True)
            kept = {key: getattr(bucket, key) for key in ("versioning", "settings", "policy", "policy_edition")}
            (self._folder / bucket.name / "bucket").write_text(json.dumps(kept))

    def delete_bucket(self, name: str) -> None:
        with self._lock:
            if self.bucket(name).live or self.bucket(name).old:
                raise ApiError(409, "conflict", "The bucket you tried to delete is not empty.")
            del self._buckets[name]
            if self._folder is not None:
                shutil.rmtree(self._folder / name)

    def bucket(self, name: str) -> Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            raise ApiError(404, "notFound", "The specified bucket does not exist.")
        return bucket

    def buckets(self) -> list[str]:
        return sorted(self._buckets)

    def find(self, bucket: str, name: str, generation: int | None, conditions: Preconditions) -> Version:
        """The version a reader asks for. Raises ApiError 404, 412, 304."""
        with self._lock:
            holder = self.bucket(bucket)
            version = holder.live.get(name)
            if generation is not None and (version is None or version.generation != generation):
                version = holder.old.get((name, generation))
            if version is None:
                raise ApiError(404, "notFound", f"No such object: {bucket}/{name}")
            conditions.check(version, reading=True)
            return version

    def check(self, bucket: str, name: str, conditions: Preconditions) -> Version | None:
        """The live version, if any, once the conditions for a change hold."""
        check_name(name)
        with self._lock:
            version = self.bucket(bucket).live.get(name)
            conditions.check(version, reading=False)
            return version

    def commit(self, draft: Version, content: bytes, conditions: Preconditions) -> Version:
        """Make `content` the live version, described by `draft`. Raises ApiError 400 for a wrong hash, 412."""
        crc32c = to_base64(crc32c_of_bytes(content))
        md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        for kind, told, true in (("CRC32C", draft.crc32c, crc32c), ("MD5", draft.md5, md5)):
            if told and told != true:
                message = f'Provided {kind} hash "{told}" doesn\'t match calculated {kind} hash "{true}".'
                raise ApiError(400, "invalid", message)
        with self._lock:
            self.check(draft.bucket, draft.name, conditions)
            now = time.time()
            generation = self._last_generation = max(self._last_generation + 1, int(now * 1e6))
            version = replace(
                draft, generation=generation, size=len(content), crc32c=crc32c, md5=md5, created=now, updated=now
            )
            version = self._keep(version, content)
            holder = self.bucket(draft.bucket)
            holder.retire(draft.name)
            holder.live[draft.name] = version
            return version

    def patch(self, bucket: str, name: str, metadata: dict[str, str], conditions: Preconditions) -> Version:
        with self._lock:
            if (version := self.check(bucket, name, conditions)) is None:
                raise ApiError(404, "notFound", f"No such object: {bucket}/{name}")
            version = replace(
                version, metadata=metadata, metageneration=version.metageneration + 1, updated=time.time()
            )
            self._buckets[bucket].live[name] = self._keep(version, None)
            return version

    def delete(self, bucket: str, name: str, generation: int | None, conditions: Preconditions) -> None:
        with self._lock:
            holder = self.bucket(bucket)
            version = self.check(bucket, name, conditions)
            if generation is not None and (version is None or version.generation != generation):
                if holder.old.pop((name, generation), None) is None:
                    raise ApiError(404, "notFound", f"No such object: {bucket}/{name}")
                return
            if version is None:
                raise ApiError(404, "notFound", f"No such object: {bucket}/{name}")
            holder.retire(name)

    def versions(self, bucket: str, *, old: bool = False, prefix: str = "") -> list[Version]:
        """Live versions (and with `old` the others) below `prefix`, ordered by name in bytes, then generation."""
        with self._lock:
            holder = self.bucket(bucket)
            every = [*holder.live.values(), *(holder.old.values() if old else ())]
        found = [version for version in every if version.name.startswith(prefix)]
        return sorted(found, key=lambda version: (version.name.encode(), version.generation))

    def _keep(self, version: Version, content: bytes | None) -> Version:
        if self._folder is None:
            return version if content is None else replace(version, content=content)
        file = Path(version.file) if version.file else self._folder / version.bucket / f"{version.generation}.data"
        version = replace(version, file=str(file))
        if content is not None:
            file.write_bytes(content)
        entry = {key: value for key, value in asdict(version).items() if key not in {"content", "file"}}
        temporary = file.with_suffix(".new")
        temporary.write_text(json.dumps(entry))
        temporary.replace(file.with_suffix(".json"))
        return version

    def _load(self, place: Path) -> None:
        kept = json.loads((place / "bucket").read_text())
        bucket = self._buckets[place.name] = Bucket(place.name, **kept)
        for version in sorted(_stored(place), key=lambda version: version.generation):
            bucket.retire(version.name)
            bucket.live[version.name] = version
            self._last_generation = max(self._last_generation, version.generation)


def check_name(name: str) -> None:
    """Raises ApiError 400 for what Cloud Storage takes as no object name."""
    if not 0 < len(name.encode()) <= 1024:
        raise ApiError(400, "invalid", f"The specified object name is not valid: {len(name.encode())} bytes.")
    if name in {".", ".."} or "\r" in name or "\n" in name or name.startswith(".well-known/acme-challenge/"):
        raise ApiError(400, "invalid", f"Disallowed object name: {name!r}")


def _stored(place: Path) -> Iterator[Version]:
    for entry in place.glob("*.json"):
        yield Version(**json.loads(entry.read_text()), file=str(entry.with_suffix(".data")))


def _unmet(status: int) -> ApiError:
    message = "At least one of the pre-conditions you specified did not hold."
    return ApiError(status, "conditionNotMet", message)


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
