"""Listing a folder tree in the order of its keys, as a bucket lists them."""

from __future__ import annotations

import os
from collections.abc import Iterator

from jit_render.model.errors import HostilePath
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.store.local_attributes import OWN_PREFIX, info_of
from jit_render.store.local_errors import mapped

Place = tuple[int, int]


def walk(prefix: ObjectUrl, *, recursive: bool, _above: frozenset[Place] = frozenset()) -> Iterator[ObjectInfo]:
    """Files below `prefix`, ordered by key. A folder counts as ``name/``: so ``a-b`` comes before ``a/b``."""
    entries = _entries(prefix, _above)
    if entries is None:
        return
    here, found = entries
    for spelled, is_folder in found:
        try:
            url = prefix / spelled.removesuffix("/")
        except HostilePath:
            continue
        if not is_folder:
            try:
                yield info_of(url, f"/{url.key}")
            except FileNotFoundError:
                continue  # removed since the folder was read
            except OSError as error:
                raise mapped(error, "list", url) from error
        elif recursive:
            yield from walk(url, recursive=True, _above=here)


def _entries(prefix: ObjectUrl, above: frozenset[Place]) -> tuple[frozenset[Place], list[tuple[str, bool]]] | None:
    """The folder's chain of places, to notice symlinks that lead back up, and its sorted names; None: nothing here."""
    folder = f"/{prefix.key}"
    try:
        status = os.stat(folder)  # noqa: PTH116 - the key of a URL, not a path we build on
        place = (status.st_dev, status.st_ino)
        if place in above:
            return None
        with os.scandir(folder) as entries:
            found = [kind for entry in entries if (kind := _kind(entry))]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise mapped(error, "list", prefix) from error
    return above | {place}, sorted(found)


def _kind(entry: os.DirEntry[str]) -> tuple[str, bool] | None:
    """``(name/, True)`` of a folder, ``(name, False)`` of a regular file, None for all else."""
    if entry.name.startswith(OWN_PREFIX):
        return None
    if entry.is_dir():
        return entry.name + "/", True
    return (entry.name, False) if entry.is_file() else None
