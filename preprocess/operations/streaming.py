"""Operations that move pixels, and yet need never see the whole of a large picture.

What stands in a row of a homography's result comes from a few rows of its input, but from which ones the operation
alone can tell. So it is not handed its input: it is asked for rows of its result, and asks for the rows that these
take. `apply`, for pictures that are worked on whole, goes the very same way, so the bits cannot differ.

Who calls keeps what was asked for (`chain.py`) as long as rows near it are likely to be asked for again; rows are asked
for from top to bottom where the picture does not stand on its head. An operation that wants nearly all rows at once
(a picture on its side) gets them all, once.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from preprocess.image import Image, Window
from preprocess.operations.port import Context, Operation


class Plane(NamedTuple):
    """Where a picture lies."""

    data: Window
    display: Window


@dataclass(frozen=True, slots=True)
class Rows:
    """The input: where it lies, and any rows of it, from the first up to the one behind the last."""

    plane: Plane
    take: Callable[[int, int], Image]

    @classmethod
    def of(cls, image: Image) -> Rows:
        return cls(Plane(image.data_window, image.display_window), image.strip)


class StreamingOperation(Operation):
    """Gives any rows of its result. Records nothing and looks at one frame."""

    @abstractmethod
    def plane(self, given: Plane, context: Context) -> Plane:
        """Where the result lies."""

    @abstractmethod
    def make(self, rows: Rows, wanted: Window, context: Context) -> Image:
        """The rows `wanted` of the result: its full width, equal bits however many they are."""

    @abstractmethod
    def rows_held(self, given: Plane, rows: int, context: Context) -> int:
        """For a plan, without side inputs: rows of the input that so many neighbouring rows of the result take."""

    def planned_plane(self, given: Plane, context: Context) -> Plane:
        """`plane`, for a plan that has no side inputs."""
        return self.plane(given, context)

    def apply(self, image: Image, context: Context) -> Image:
        rows = Rows.of(image)
        return self.make(rows, self.plane(rows.plane, context).data, context)
