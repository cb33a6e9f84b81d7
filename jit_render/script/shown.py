"""From the frames that are wanted of a node to the frames of its file, and from those back to the job's frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from jit_render.model.errors import Undecided
from jit_render.script.clips import nearest, read_frame, root_range, steady_read
from jit_render.script.file_knobs import TIMED_READS, WRITE_KNOBS
from jit_render.script.planned import NO_FRAME
from jit_render.script.routes import ANY, Frames, Place, Untold

FileFrames = dict[int, int]
"""Frames of a file, each with the job's frames that read it: bit n is the job's n-th frame."""

MOST_RANGE = 100_000  # frames of one file; a longer range is a slip of the keyboard


def file_frames(place: Place, job: Sequence[int], *, numbered: bool) -> Iterator[tuple[FileFrames, Untold | None]]:
    """The frames of a file that `place` shows; apart from them, those that it may show because nobody can tell."""
    exact, lost = _shown(place)
    if not numbered:
        exact = _at_once(exact)
    if exact:
        yield exact, None
    for untold, mask in lost.items():
        yield dict.fromkeys(_whole_range(place, job) if numbered else (NO_FRAME,), mask), untold


def by_job_frame(frames: Mapping[int, int], job: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """Turned around: for each of the job's frames that reads anything, the file's frames, ascending."""
    by_mask: dict[int, list[int]] = {}
    for frame, mask in frames.items():
        by_mask.setdefault(mask, []).append(frame)
    read: dict[int, tuple[int, ...]] = {}
    for mask, together in by_mask.items():
        group = tuple(sorted(together))
        for index in _bits(mask):
            earlier = read.get(index)
            read[index] = group if earlier is None else tuple(sorted({*earlier, *group}))
    return {job[index]: read[index] for index in sorted(read)}


def _bits(mask: int) -> Iterator[int]:
    """The positions of the ones, in one pass over the digits: taking the lowest off again and again is quadratic."""
    digits = bin(mask)[:1:-1]
    position = digits.find("1")
    while position >= 0:
        yield position
        position = digits.find("1", position + 1)


def _at_once(frames: Mapping[int, int]) -> FileFrames:
    everyone = 0
    for mask in frames.values():
        everyone |= mask
    return {NO_FRAME: everyone} if everyone else {}


def _shown(place: Place) -> tuple[FileFrames, dict[Untold, int]]:
    node = place.node
    if node.cls not in TIMED_READS and node.cls not in WRITE_KNOBS:
        return _as_asked(place)
    exact: FileFrames = {}
    lost: dict[Untold, int] = {}
    try:
        first, last, shift = steady_read(node, place.evaluator, place.view) or (1, 0, 0)
    except Undecided as undecided:
        return {}, {Untold.of(undecided, node): _everyone(place.frames)}
    for frame, mask in place.frames.items():
        if frame == ANY:
            lost[_whichever(place)] = mask
            continue
        try:
            if first <= frame <= last:
                shown: int | None = nearest(frame + shift)
            else:
                shown = read_frame(node, place.evaluator, frame, place.view)
        except Undecided as undecided:
            untold = Untold.of(undecided, node)
            lost[untold] = lost.get(untold, 0) | mask
            continue
        if shown is not None:
            exact[shown] = exact.get(shown, 0) | mask
    return exact, lost


def _as_asked(place: Place) -> tuple[FileFrames, dict[Untold, int]]:
    """A file without a time of its own: its frame is the node's."""
    exact: FileFrames = {}
    for frame, mask in place.frames.items():
        if frame != ANY:
            exact[round(frame)] = exact.get(round(frame), 0) | mask
    return exact, {_whichever(place): place.frames[ANY]} if ANY in place.frames else {}


def _whichever(place: Place) -> Untold:
    node = place.node
    return Untold(f"{node.full_name}: which frames are read cannot be told.", "", node.full_name, "", node.line)


def _everyone(frames: Frames) -> int:
    return _at_once(dict(enumerate(frames.values()))).get(NO_FRAME, 0)


def _whole_range(place: Place, job: Sequence[int]) -> range:
    """All frames that the file may have: the Read's own range, else the script's and the job's together."""
    node, evaluator, view = place.node, place.evaluator, place.view
    at = place.sample()
    knobs = ("first", "last") if node.cls in TIMED_READS else ()
    try:
        if any(knob in node.knobs for knob in knobs):
            first, last = (round(evaluator.number(node, knob, frame=at, view=view, default=1.0)) for knob in knobs)
        else:
            spans = root_range(evaluator, at, view)
            first, last = min(*spans, *job), max(*spans, *job)
    except Undecided:
        first, last = min(job), max(job)
    return range(first, min(last, first + MOST_RANGE) + 1)
