"""What an operation is, and what it is handed.

An operation is a frozen table of parameters with one pure method: pixels in, pixels out. It knows no file, store or
thread; everything it needs beside the image is declared, so that a planner can tell before anything is read:

``reads``      frames wanted on either side (0: this frame only);
``tileable``   whether any tile of the result may be made from that tile of the input, grown by ``halo`` pixels and
               clipped to the input's data window. Then ``apply`` on the grown tile and cutting the halo away gives, bit
               for bit, the tile of the whole. Where it is false, the operation wants the whole data window (and keeps
               its scratch memory small by bands of rows);
``copies``     peak bytes that ``apply`` allocates, its result included and its input not, as a multiple of the larger
               of input and output, beside a constant of up to 64 MB;
``assets()``   the side inputs: fields of type ``ImageAsset`` or ``FileAsset`` that are not empty. The runner fills in
               the template, fetches it once, and hands it over by ``context.image("field")`` / ``context.path(...)``.
               An image asset lies on the same absolute plane as the picture (``Image.data_window``);
``identity()`` what decides about the pixels, for memo records: kind, ``version`` (raised whenever a formula changes)
               and every parameter.

What an operation finds out beside pixels (statistics, a white point) it adds to ``context.records`` under its kind;
the runner joins them into the sequence's metadata. An operation that records is not tileable.

Errors: ``OperationFailed`` for an image the operation cannot work on; it names the frame, the operation, the way out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from jit_render.model.errors import RenderError
from preprocess.image import Image

AssetKind = Literal["image", "file"]


class OperationFailed(RenderError): ...


@dataclass(frozen=True, slots=True)
class AssetMark:
    """Marks a field as the name of a side input, and says in what form the operation wants it."""

    kind: AssetKind


class AssetUse(NamedTuple):
    kind: AssetKind
    template: str  # a URL or path; {camera}, {view} and {frame} are the runner's to fill in


ImageAsset = Annotated[str, AssetMark("image"), Field(description="URL or path of an image; empty: none")]
FileAsset = Annotated[str, AssetMark("file"), Field(description="URL or path of a file; empty: none")]


def no_assets(name: str) -> Image | Path:
    raise LookupError(f"nothing was handed in for {name!r}")


@dataclass(frozen=True, slots=True)
class Context:
    """Where an operation stands. ``load`` answers one operation's asset fields; ``records`` collects its findings."""

    frame: int = 0
    camera: str = ""
    view: str = ""
    load: Callable[[str], Image | Path] = no_assets
    records: dict[str, Any] = field(default_factory=dict)

    def image(self, name: str) -> Image:
        found = self.load(name)
        if not isinstance(found, Image):
            raise TypeError(f"asset {name!r} came as a file where an image was declared")
        return found

    def path(self, name: str) -> Path:
        found = self.load(name)
        if not isinstance(found, Path):
            raise TypeError(f"asset {name!r} came as an image where a file was declared")
        return found

    def __str__(self) -> str:
        axes = (("frame", self.frame), ("camera", self.camera), ("view", self.view))
        return ", ".join(f"{axis} {name}" for axis, name in axes if name != "")


class Operation(BaseModel, ABC):
    """Base of all operations. Instances are immutable and safe to share between threads."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    tileable: ClassVar[bool] = False
    copies: ClassVar[float] = 1.0
    makes_pixels: ClassVar[bool] = True
    """False: the result is the very image that came in."""

    def __hash__(self) -> int:
        return hash((self.kind, self.model_dump_json()))  # parameters may be tables, which have no hash of their own

    @property
    def reads(self) -> int:
        return 0

    @property
    def halo(self) -> int:
        return 0

    @abstractmethod
    def apply(self, image: Image, context: Context) -> Image:
        """The result for one frame. Pure: the input is never changed, equal inputs give equal bits."""

    def apply_window(self, images: Mapping[int, Image], context: Context) -> Image:
        """The result from the frames around this one, by offset (-1 is the frame before).

        Offset 0 is always there; others are absent where the shot begins or ends.
        """
        return self.apply(images[0], context)

    def output_channels(self, channels: tuple[str, ...]) -> tuple[str, ...]:
        """What comes out for an image of ``channels``, so that a plan can be checked before anything is read."""
        return channels

    def scratch_bytes(self, given: int, made: int, channels: int) -> int:
        """What `copies` says, in bytes, for an input of `given` bytes and so many `channels`."""
        return int(self.copies * max(given, made))

    def side_channels(self, channels: int) -> int:
        """Channels that an image asset is likely to have, for a picture of `channels`."""
        return channels

    def assets(self) -> dict[str, AssetUse]:
        found = {}
        for name, declared in type(self).model_fields.items():
            for mark in declared.metadata:
                if isinstance(mark, AssetMark) and getattr(self, name):
                    found[name] = AssetUse(mark.kind, str(getattr(self, name)))
        return found

    def identity(self) -> dict[str, Any]:
        return {"kind": self.kind, "version": self.version, **self.model_dump(mode="json")}

    def fail(self, context: Context, reason: str) -> OperationFailed:
        return OperationFailed(f"{context}: {self.kind}: {reason}")
