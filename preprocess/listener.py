"""Who hears of a task's progress, and by which names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from jit_render.model.errors import JitRenderError
from jit_render.model.identity import ObjectUrl


class ImageKey(NamedTuple):
    frame: int
    camera: str

    def __str__(self) -> str:
        return f"frame {self.frame}, camera {self.camera}"


@dataclass(frozen=True, slots=True)
class Written:
    """One output is in the bucket."""

    image: ImageKey
    url: ObjectUrl
    size_bytes: int
    seconds: float
    made_before: bool


class Listener:
    """Hears of a task's progress; every method may come from any thread. The base hears nothing."""

    def begun(self, image: ImageKey) -> None: ...

    def waits(self, image: ImageKey, size_bytes: int) -> None: ...

    def written(self, written: Written) -> None: ...

    def failed(self, image: ImageKey, error: JitRenderError) -> None: ...
