"""Side inputs of operations: maps, flat fields, colour configurations.

They are used for many frames, so each version is fetched once per process: images stay decoded (a few of them), files
lie in a private folder under their own base name, because libraries look at extensions.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path

from jit_render.model.frames import expand
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.store import Store
from preprocess.image import Image
from preprocess.memory import SIDES_BYTES
from preprocess.operations.port import Operation
from preprocess.passes import Step
from preprocess.pipeline import rewrite_placeholders
from preprocess.source import SourceFile, fetch

Locate = Callable[[str], ObjectUrl]
"""A name of a pipeline as a URL."""


def asset_names(operation: Operation, frame: int, camera: str) -> dict[str, str]:
    """Per asset field, the name it stands for."""
    return {
        field: expand(rewrite_placeholders(use.template), frame, camera) for field, use in operation.assets().items()
    }


def asset_urls(steps: Iterable[Step], frame: int, camera: str, locate: Locate) -> list[ObjectUrl]:
    """Every side input of `steps` on that frame and camera, each once."""
    found = {locate(name): None for step in steps for name in asset_names(step.operation, frame, camera).values()}
    return list(found)


class Assets:
    """Fetched side inputs, by version. Safe to use from several threads."""

    def __init__(self, store: Store, folder: Path, info_of: Callable[[ObjectUrl], ObjectInfo], locate: Locate) -> None:
        self._store = store
        self._folder = folder
        self._info_of = info_of
        self._locate = locate
        self._images: OrderedDict[str, Image] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, operation: Operation, field: str, frame: int, camera: str) -> Image | Path:
        """What the asset field of `operation` names. Raises StoreError, SourceInvalid, LookupError."""
        names = asset_names(operation, frame, camera)
        if field not in names:
            raise LookupError(f"{operation.kind} has no side input in {field!r}")
        info = self._info_of(self._locate(names[field]))
        with self._lock:
            if operation.assets()[field].kind == "file":
                return self._file(info)
            return self._image(info)

    def _image(self, info: ObjectInfo) -> Image:
        key = info.id.digest
        if key not in self._images:
            with SourceFile(fetch(self._store, info), str(info.url)) as source:
                self._images[key] = source.whole()
        self._images.move_to_end(key)
        while len(self._images) > 1 and sum(image.size_bytes for image in self._images.values()) > SIDES_BYTES:
            self._images.popitem(last=False)
        return self._images[key]

    def _file(self, info: ObjectInfo) -> Path:
        place = self._folder / info.id.digest[:16] / info.url.name
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            with fetch(self._store, info) as file:
                unfinished = place.with_name(".unfinished")
                unfinished.write_bytes(file.read())
                unfinished.replace(place)
        return place
