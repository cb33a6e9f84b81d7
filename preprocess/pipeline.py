"""What a pipeline is: a source, stages of operations one after the other, and outputs that leave the chain somewhere.

::

    source ──► stage "calibrate" ──► stage "align" ──┬──► stage "derive" ──┬──► output "full"
                                                     │                     └──► resize ──► output "proxy"
                                                     └──► output "aligned"  (after = "align")

An output may have operations of its own, which no other output sees. The second axis of a sequence (the cameras of a
light-field shoot, the views of a stereo pair) is one thing here: the *camera*, ``%V`` in names, a view to the farm.

Names are URLs or names under a path rule. Their placeholders are Nuke's (``####``, ``%04d``, ``%V``); those of Python's
``format`` (``{frame:04}``, ``{camera}``, ``{view}``) mean the same and are rewritten when the file is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, field_validator, model_validator

from jit_render.model.errors import ConfigError
from jit_render.model.frames import has_frame, has_view
from preprocess.operations import operation_from
from preprocess.operations.port import Operation

SOURCE = "source"
"""As `after`: before the first stage."""
NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,62}$"  # a stage and an output name folders and commit records

IMAGE_TYPES: Mapping[str, tuple[str, ...]] = {
    ".exr": ("half", "float"),
    ".tif": ("uint16", "uint8", "half", "float"),
    ".tiff": ("uint16", "uint8", "half", "float"),
    ".png": ("uint16", "uint8"),
    ".dpx": ("uint10", "uint16", "uint12", "uint8"),
    ".jpg": ("uint8",),
}
"""What each type of file can hold, the default first."""
DATA = ".json"

_FORMAT = re.compile(r"\{(?P<name>camera|view|frame)(?::0?(?P<width>\d+)d?)?\}")


def rewrite_placeholders(name: str) -> str:
    """`name` with Python's placeholders as Nuke's."""

    def spell(match: re.Match[str]) -> str:
        if match["name"] != "frame":
            return "%V"
        return f"%0{match['width']}d" if match["width"] else "%d"

    return _FORMAT.sub(spell, name)


FileName = Annotated[
    str,
    BeforeValidator(lambda value: rewrite_placeholders(value) if isinstance(value, str) else value),
    Field(min_length=1, description="URL, or a name under a path rule; #### or %04d is the frame, %V the camera"),
]


class WrongOperation(ValueError):
    """`number` counts from 1."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _operations(value: object) -> object:
    """Each table as the operation of its kind. Raises WrongOperation."""
    if not isinstance(value, (list, tuple)):
        return value
    return tuple(
        _operation(entry, number) if isinstance(entry, Mapping) else entry for number, entry in enumerate(value, 1)
    )


def _operation(table: Mapping[str, Any], number: int) -> Operation:
    try:
        return operation_from(table, place=f"operation {number}")
    except ConfigError as error:
        raise WrongOperation(str(error), number) from error


Operations = Annotated[tuple[SerializeAsAny[Operation], ...], BeforeValidator(_operations)]


class Source(_Table):
    """The sequence that is read. Each file is read once per frame and camera (once per frame without ``%V``)."""

    file: FileName
    cameras: tuple[str, ...] = Field(default=(), description="what %V stands for where --cameras says nothing")
    channels: tuple[str, ...] | dict[str, tuple[str, ...]] = Field(
        default=(), description="channels to read, one list or one for each camera; none: all, up to the first layer"
    )

    @field_validator("cameras")
    @classmethod
    def _safe_cameras(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for camera in value:
            check_camera(camera)
        return value

    def channels_of(self, camera: str) -> tuple[str, ...]:
        return self.channels.get(camera, ()) if isinstance(self.channels, dict) else self.channels


def check_camera(camera: str) -> str:
    """Raises ValueError for what cannot be a folder's name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", camera):
        raise ValueError(f"camera {camera!r} is not a name of letters, digits, '_', '-' and '.'")
    return camera


class Stage(_Table):
    """Operations that belong together; ``--staged`` stores what comes out of each stage."""

    name: str = Field(pattern=NAME)
    operations: Operations = Field(min_length=1, description="tables with a kind, in order")


class Output(_Table):
    """What is written, from where in the chain, and how. ``.json``: what the operations found out, per frame."""

    name: str = Field(pattern=NAME)
    file: FileName
    after: str = Field(default="", description="the stage it follows; 'source': before the first; none: the last one")
    operations: Operations = Field(default=(), description="operations for this output alone")
    type: Literal["", "half", "float", "uint8", "uint10", "uint12", "uint16"] = Field(
        default="", description="how a channel is stored; none: half for .exr, the richest integers for the others"
    )
    compression: str = Field(default="", description="as OpenImageIO calls it, like zip, zips, piz, dwaa:45, none")
    tile: int = Field(default=0, ge=0, le=4096, description="edge of the tiles in pixels (.exr, .tif); 0: scanlines")
    mipmap: bool = Field(
        default=False, description="with smaller copies of itself inside, each half the size; needs tile"
    )
    sequence: str = Field(default="", description="of a .json output: one .json or .parquet of all frames and cameras")

    @property
    def suffix(self) -> str:
        return "." + self.file.rpartition(".")[2].lower()

    @property
    def is_image(self) -> bool:
        return self.suffix != DATA

    @property
    def stored_type(self) -> str:
        return self.type or IMAGE_TYPES[self.suffix][0]

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.suffix != DATA and self.suffix not in IMAGE_TYPES:
            known = ", ".join([*IMAGE_TYPES, DATA])
            raise ValueError(f"output {self.name}: no writer for {self.suffix} files; known: {known}")
        if not has_frame(self.file):
            raise ValueError(f"output {self.name}: {self.file!r} has no frame number; add #### before the extension")
        if self.is_image and self.type and self.type not in IMAGE_TYPES[self.suffix]:
            raise ValueError(
                f"output {self.name}: {self.suffix} holds {', '.join(IMAGE_TYPES[self.suffix])}, not {self.type}"
            )
        if self.tile and (self.suffix not in {".exr", ".tif", ".tiff"} or self.tile % 16):
            raise ValueError(f"output {self.name}: tiles are for .exr and .tif, and their edge is a multiple of 16")
        if self.mipmap and not (self.tile and self.suffix == ".exr"):
            raise ValueError(f"output {self.name}: mipmap is for a tiled .exr; set tile, like tile = 64")
        return self._sequence_agrees()

    def _sequence_agrees(self) -> Self:
        if not self.sequence:
            return self
        if self.is_image:
            raise ValueError(f"output {self.name}: sequence is for a .json output")
        if not self.sequence.endswith((".json", ".parquet")) or has_frame(self.sequence) or has_view(self.sequence):
            raise ValueError(f"output {self.name}: sequence is one .json or .parquet without #### and %V")
        return self


class Pipeline(_Table):
    """A whole pipeline file."""

    name: str = Field(pattern=NAME, description="names the jobs")
    source: Source
    stages: tuple[Stage, ...] = Field(min_length=1)
    outputs: tuple[Output, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        stages = [stage.name for stage in self.stages]
        _refuse_twins("stages", stages)
        _refuse_twins("outputs", [output.name for output in self.outputs])
        _refuse_twins("outputs' files", [output.file for output in self.outputs])
        for output in self.outputs:
            if output.after not in {"", SOURCE, *stages}:
                raise ValueError(
                    f"output {output.name}: there is no stage {output.after!r}; there are {', '.join(stages)}"
                )
            if has_view(self.source.file) and not has_view(output.file):
                raise ValueError(
                    f"output {output.name}: {output.file!r} has no %V, so cameras would overwrite each other"
                )
        return self

    def canonical(self) -> dict[str, Any]:
        """Plain values, equal for files that mean the same."""
        dumped = self.model_dump(mode="json", exclude={"stages", "outputs"})
        stages = [{"name": one.name, "operations": [op.identity() for op in one.operations]} for one in self.stages]
        outputs = [
            {
                **one.model_dump(mode="json", exclude={"operations"}),
                "operations": [op.identity() for op in one.operations],
            }
            for one in self.outputs
        ]
        return {**dumped, "stages": stages, "outputs": outputs}


def _refuse_twins(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two {what} are called {name!r}; give each a name of its own")
