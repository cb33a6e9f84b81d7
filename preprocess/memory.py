"""How much memory a frame takes, and so how it is worked on: whole, or in bands of rows.

The estimate is an upper one, made of what is really held at once: encoded sources and outputs (they lie in memory, see
`memory_file.py`), whole results that temporal operations look back at, and the scratch that the hungriest operation
declares (`copies`). A picture whose whole does not fit the budget is worked on in bands; then only what an operation
insists on having whole counts as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from preprocess.passes import ROOT, Tree
from preprocess.source import Layout

DEFAULT_BUDGET = 1536 * 1024**2
"""Bytes of one process where nobody says: two workers and their agent stay under 4 GB."""
BAND_BYTES = 48 * 1024**2
"""Of one band with an operation's scratch: large enough that calls cost nothing, small beside a frame."""
SIDES_BYTES = 512 * 1024**2
"""Decoded side inputs that are kept; the least recently used one goes."""
_TYPE_BYTES = {"half": 2, "float": 4, "uint8": 1, "uint10": 2, "uint12": 2, "uint16": 2}
_FLOAT = 4
_ROWS = 64  # bands begin at multiples of it: whole rows of tiles of the usual size


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes at the peak of one frame, by what they are for."""

    sources: int
    kept: int
    working: int
    outputs: int
    band_rows: int
    """0: the whole picture at once."""

    @property
    def total(self) -> int:
        return self.sources + self.kept + self.working + self.outputs


def estimate(tree: Tree, layout: Layout, source_bytes: int, *, budget: int) -> Estimate:
    """The way that fits `budget`; bands where none does, for they need least."""
    whole = _whole(tree, layout, source_bytes)
    if whole.total <= budget:
        return whole
    return _banded(tree, layout, source_bytes)


def _whole(tree: Tree, layout: Layout, source_bytes: int) -> Estimate:
    frame = _frame_bytes(tree, layout)
    held = len(tree.shared_places() | _barriers(tree)) + len(tree.leaves)
    working = int(frame * (1 + _copies(tree))) + _sides(tree, layout)
    return Estimate(_sources(tree, source_bytes), _kept(tree, frame), working + held * frame, _outputs(tree, layout), 0)


def _banded(tree: Tree, layout: Layout, source_bytes: int) -> Estimate:
    frame = _frame_bytes(tree, layout)
    row = frame // max(1, layout.data_window.height)
    halo = max((tree.margin_of(place) for place in range(ROOT, len(tree.steps))), default=0)
    rows = BAND_BYTES // max(1, int(row * (2 + _copies(tree))))
    rows = max(_ROWS, rows - rows % _ROWS)
    band = int((rows + 2 * halo) * row * (2 + _copies(tree) + len(tree.shared_places())))
    wholes = [int(frame * (1 + tree.steps[place].operation.copies)) for place in _barriers(tree)]
    wholes += [frame for leaf in tree.leaves if leaf.output.mipmap]
    working = band + sum(wholes) + _sides(tree, layout)
    return Estimate(_sources(tree, source_bytes), _kept(tree, frame), working, _outputs(tree, layout), rows)


def _barriers(tree: Tree) -> frozenset[int]:
    return frozenset(place for place, step in enumerate(tree.steps) if not step.operation.tileable)


def _copies(tree: Tree) -> float:
    return max((step.operation.copies for step in tree.steps), default=1.0)


def _sources(tree: Tree, source_bytes: int) -> int:
    return source_bytes * (2 * tree.radius + 1)


def _kept(tree: Tree, frame: int) -> int:
    return sum((2 * ahead + 1) * frame for ahead in tree.window_places().values())


def _sides(tree: Tree, layout: Layout) -> int:
    """Flat fields, plates and maps stay decoded; each as large as the picture that it is for."""
    counts, window = channel_counts(tree, layout.channels), layout.data_window
    each = [
        window.width * window.height * counts[step.parent] * _FLOAT
        for step in tree.steps
        for use in step.operation.assets().values()
        if use.kind == "image"
    ]
    return min(sum(each), max([SIDES_BYTES, *each]))


def channel_counts(tree: Tree, channels: tuple[str, ...]) -> dict[int, int]:
    """Channels of what each place makes."""
    names = {ROOT: channels}
    for place, step in enumerate(tree.steps):
        names[place] = step.operation.output_channels(names[step.parent])
    return {place: len(found) for place, found in names.items()}


def _frame_bytes(tree: Tree, layout: Layout) -> int:
    window = layout.data_window
    return window.width * window.height * max(channel_counts(tree, layout.channels).values()) * _FLOAT


def _outputs(tree: Tree, layout: Layout) -> int:
    counts = channel_counts(tree, layout.channels)
    pixels = layout.data_window.width * layout.data_window.height
    images = [leaf for leaf in tree.leaves if leaf.output.is_image]
    return sum(pixels * counts[leaf.step] * _TYPE_BYTES[leaf.output.stored_type] for leaf in images)
