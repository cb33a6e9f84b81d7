"""Frame sets and the frame and view placeholders of file names.

Frame syntax is fileseq's ``1001-1100x2,1150``; the ambiguous ``:`` (a step to some programs, a stagger
to others) is refused. Placeholders are Nuke's: ``####``, ``%04d``, ``%4d``, ``%d``, ``%V`` (view), ``%v``
(its first letter).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jit_render.model.errors import BadFrameRange

MOST_FRAMES = 1_000_000  # a typing error, not a shot

_SPAN = re.compile(r"\s*(?P<first>-?\d+)(?:-(?P<last>-?\d+)(?:(?P<how>[xy:])(?P<step>-?\d+))?)?\s*$")
_FRAME_TOKEN = re.compile(r"(?P<hashes>#+)|%(?P<zero>0?)(?P<width>\d*)d")
_VIEW_TOKEN = re.compile(r"%[vV]")


@dataclass(frozen=True, slots=True)
class FrameSet:
    """An ordered set of whole frames without repeats; never empty.

    ``str()`` is the canonical spelling, which parses back to the same frames in ascending order.
    """

    frames: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> FrameSet:
        """Read ``1001-1100x2,1150``. Raises BadFrameRange with the part that is wrong."""
        if not text.strip():
            raise BadFrameRange("the frame range is empty; write it like 1001-1100 or 1001-1100x2,1150.")
        total = 0
        for part in text.split(","):
            total += _count(part, text)
        if total > MOST_FRAMES:
            raise BadFrameRange(f"frame range {text!r} has {total:,} frames; one job takes {MOST_FRAMES:,}.")
        import fileseq  # 30 ms that an agent and a --help need not wait for

        try:
            frames = tuple(int(frame) for frame in fileseq.FrameSet(text.replace(" ", "")))
        except (fileseq.exceptions.FileSeqException, ValueError) as error:
            raise BadFrameRange(f"frame range {text!r} cannot be read: {str(error).splitlines()[0]}") from None
        return cls.of(frames)

    @classmethod
    def of(cls, frames: Iterable[int]) -> FrameSet:
        """The set of these frames in their given order. Raises BadFrameRange when there are none."""
        unique = tuple(dict.fromkeys(frames))
        if not unique:
            raise BadFrameRange("the frame range has no frames; write it like 1001-1100.")
        return cls(unique)

    def __iter__(self) -> Iterator[int]:
        return iter(self.frames)

    def __len__(self) -> int:
        return len(self.frames)

    def __contains__(self, frame: object) -> bool:
        return frame in self.frames

    def __str__(self) -> str:
        return spell(self.frames)

    @property
    def first(self) -> int:
        return min(self.frames)

    @property
    def last(self) -> int:
        return max(self.frames)

    def echo(self) -> str:
        """What a command says back: count, first and last."""
        plural = "frame" if len(self) == 1 else "frames"
        return f"{len(self)} {plural}, {self.first} to {self.last} ({self})"


def spell(frames: Iterable[int]) -> str:
    """The canonical spelling of any frames, ascending; an empty string for none."""
    import fileseq

    ordered = sorted(set(frames))
    return str(fileseq.framesToFrameRange(ordered)) if ordered else ""


def _count(part: str, text: str) -> int:
    match = _SPAN.match(part)
    if match is None:
        raise BadFrameRange(f"frame range {text!r}: cannot read {part.strip()!r}; write it like 1001-1100x2.")
    if match["how"] == ":":
        raise BadFrameRange(
            f"frame range {text!r}: ':' means a step in some programs and a stagger in others; "
            f"write the step with x, like {part.strip().replace(':', 'x')}."
        )
    if match["step"] is not None and int(match["step"]) < 1:
        raise BadFrameRange(f"frame range {text!r}: the step in {part.strip()!r} must be 1 or more.")
    if match["last"] is None:
        return 1
    return abs(int(match["last"]) - int(match["first"])) // int(match["step"] or 1) + 1


def has_frame(name: str) -> bool:
    """True where `name` holds a frame placeholder."""
    return _FRAME_TOKEN.search(name) is not None


def has_view(name: str) -> bool:
    """True where `name` holds a view placeholder."""
    return _VIEW_TOKEN.search(name) is not None


def is_pattern(name: str) -> bool:
    """True where `name` stands for several files."""
    return has_frame(name) or has_view(name)


def expand(name: str, frame: int, view: str | None = None) -> str:
    """`name` with its placeholders replaced as Nuke does; a view left out leaves the view's in place."""

    def number(match: re.Match[str]) -> str:
        if match["hashes"]:
            return f"{frame:0{len(match['hashes'])}d}"
        width = int(match["width"] or 0)
        return f"{frame:0{width}d}" if match["zero"] else f"{frame:{width}d}"

    if view is not None:
        name = _VIEW_TOKEN.sub(lambda match: view if match[0] == "%V" else view[:1], name)
    return _FRAME_TOKEN.sub(number, name)
