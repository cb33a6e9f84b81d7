"""A job's manifest in the bucket: written before the job exists, read where its plan is compared with the world."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from jit_render.farm.records import JobReader, concurrently
from jit_render.model.errors import PreconditionFailed
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.job import JobPaths
from jit_render.model.manifest import Encoded, Index, read_index
from jit_render.model.volume import Volume, read_volume
from jit_render.store import ABSENT, Store


def put_manifest(store: Store, paths: JobPaths, encoded: Encoded) -> str:
    """Store a manifest; the name by which the spec is to call it.

    What an interrupted submission has left under the usual name stays: whose spec comes first is not known yet.
    """
    concurrently(lambda part: _put(store, paths.home / part[0], part[1]), encoded.parts.items())
    if _put(store, paths.inputs, encoded.index) or store.read(paths.inputs)[0] == encoded.index:
        return paths.inputs.name
    name = f"inputs-{hashlib.sha256(encoded.index).hexdigest()[:16]}.json"
    _put(store, paths.home / name, encoded.index)
    return name


def _put(store: Store, url: ObjectUrl, data: bytes) -> bool:
    """Create the object; False where there is one."""
    try:
        store.write(url, data, if_generation=ABSENT)
    except PreconditionFailed:
        return False
    return True


def index_of(job: JobReader) -> Index:
    """The index of the manifest of a job that has one. Raises StoreError, JobError."""
    place = job.paths.home / job.spec().inputs
    data, _ = job.store.read(place)
    return read_index(data, str(place))


def pinned(job: JobReader, index: Index, frames: Iterable[int]) -> Mapping[int, frozenset[ObjectInfo]]:
    """What each of `frames` was planned to read, in the pinned version. Raises StoreError, JobError."""
    asked = list(frames)

    def read(number: int) -> Volume:
        place = job.paths.home / index.place(number)
        data, _ = job.store.read(place)
        return read_volume(number, data, str(place))

    volumes = concurrently(read, index.volumes_for(asked))
    objects = {volume.start + at: info for volume in volumes for at, info in enumerate(volume.objects)}
    ranges = {frame: found for volume in volumes for frame, found in volume.frames.items()}
    return {
        frame: frozenset(objects[number] for numbers in ranges.get(frame, ()) for number in numbers) for frame in asked
    }
