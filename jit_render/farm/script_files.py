"""What a plan may look into beside the script: precomps, gizmos, OCIO configs, folders of tiles.

A mapped name is read from the bucket, for that is what the frames will read; where the bucket has none, from this
disk, from where it would be brought there. Any other name is on this disk or nowhere. A folder or file is asked for
once. That something cannot be had is no error here: the plan says what it could not look into.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jit_render.model.errors import ObjectNotFound, PathRefused
from jit_render.model.identity import ObjectUrl
from jit_render.model.pathmap import PathMap
from jit_render.store import Store

LARGEST_BYTES = 64 * 1024 * 1024  # a script or a config; a model or a texture is not looked into
MOST_NAMES = 200_000  # of one folder


class ScriptFiles:
    """Files by their unmapped names. Without a store only this disk is looked at. Raises StoreError."""

    def __init__(self, path_map: PathMap, store: Store | None) -> None:
        self._path_map = path_map
        self._store = store
        self._contents: dict[str, bytes | None] = {}
        self._folders: dict[str, Sequence[str]] = {}

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none, or one too large to be looked into."""
        if name not in self._contents:
            data = self._from_bucket(name)
            self._contents[name] = _from_disk(name) if data is None else data
        return self._contents[name]

    def list(self, folder: str) -> Sequence[str]:
        """The base names of a folder's files, in the bucket and on this disk."""
        if folder not in self._folders:
            names: dict[str, None] = dict.fromkeys(self._listed(folder))
            names.update(dict.fromkeys(_on_disk(folder)))
            self._folders[folder] = tuple(names)
        return self._folders[folder]

    def _url(self, name: str) -> ObjectUrl | None:
        try:
            mapped = self._path_map.find(name)
        except PathRefused:
            return None
        return mapped.url if mapped is not None else None

    def _from_bucket(self, name: str) -> bytes | None:
        url = self._url(name)
        if self._store is None or url is None or not url.key:
            return None
        try:
            if self._store.stat(url).size_bytes > LARGEST_BYTES:
                return None
            return self._store.read(url)[0]
        except ObjectNotFound:
            return None

    def _listed(self, folder: str) -> tuple[str, ...]:
        url = self._url(folder)
        if self._store is None or url is None:
            return ()
        found = []
        for info in self._store.list(url, recursive=False):
            found.append(info.url.name)
            if len(found) == MOST_NAMES:
                break
        return tuple(found)


def _from_disk(name: str) -> bytes | None:
    try:
        path = Path(name)
        return path.read_bytes() if path.is_file() and path.stat().st_size <= LARGEST_BYTES else None
    except (OSError, ValueError):
        return None


def _on_disk(folder: str) -> list[str]:
    try:
        return sorted(entry.name for entry in Path(folder).iterdir() if entry.is_file())
    except (OSError, ValueError):
        return []
