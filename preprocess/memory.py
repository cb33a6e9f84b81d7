"""How much memory a frame takes, and so how it is worked on: whole, or in bands of rows.

The estimate is an upper one, made of what is really held at once: encoded sources and outputs (they lie in memory, see
`memory_file.py`), whole results that temporal operations look back at, and the scratch that the hungriest operation
declares (`copies`). A picture whose whole does not fit the budget is worked on in bands; then only what an operation
insists on having whole counts as a whole, and of what operations ask for themselves the rows that are held.
"""

from __future__ import annotations

from dataclasses import dataclass

from preprocess.chain import asks_for_most
from preprocess.operations.port import Context, Operation, OperationFailed
from preprocess.operations.streaming import Plane, StreamingOperation
from preprocess.passes import ROOT, Tree
from preprocess.source import Layout

PROCESS_BYTES = 100 * 1000**2
"""Of a worker's process that has loaded its libraries (measured)."""
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
    process: int = PROCESS_BYTES

    @property
    def total(self) -> int:
        return self.process + self.sources + self.kept + self.working + self.outputs


def estimate(tree: Tree, layout: Layout, source_bytes: int, *, budget: int, camera: str = "") -> Estimate:
    """The way that fits `budget`; bands where none does, for they need least."""
    whole = _whole(tree, layout, source_bytes)
    if whole.total <= budget:
        return whole
    return _banded(tree, layout, source_bytes, camera)


def _whole(tree: Tree, layout: Layout, source_bytes: int) -> Estimate:
    frame = _frame_bytes(tree, layout)
    moved = {place for place, step in enumerate(tree.steps) if not step.operation.tileable}
    held = len(tree.shared_places() | moved) + len(tree.leaves)
    working = int(frame * (1 + _copies(tree))) + _sides(tree, layout)
    return Estimate(_sources(tree, source_bytes), _kept(tree, frame), working + held * frame, _outputs(tree, layout), 0)


def _banded(tree: Tree, layout: Layout, source_bytes: int, camera: str) -> Estimate:
    """What is whole is made first, with its scratch; encoded outputs grow when that is gone again."""
    frame = _frame_bytes(tree, layout)
    row = frame // max(1, layout.data_window.height)
    halo = max((tree.margin_of(place) for place in range(ROOT, len(tree.steps))), default=0)
    rows = BAND_BYTES // max(1, int(row * (2 + _copies(tree))))
    rows = max(_ROWS, rows - rows % _ROWS)
    band = int((rows + 2 * halo) * row * (2 + _copies(tree) + len(tree.shared_places())))
    sizes = Sizes(tree, layout, camera)
    outputs = _outputs(tree, layout, sizes)
    wholes = sum(sizes.bytes_of(place) for place in sizes.whole_places(rows))
    wholes += sum(2 * sizes.bytes_of(leaf.step) for leaf in tree.leaves if leaf.output.mipmap)
    scratch = max((sizes.scratch_of(place) for place in _barriers(tree)), default=0)
    working = band + sizes.held_bytes(rows) + wholes + max(0, scratch - outputs) + _sides(tree, layout)
    kept = sum(
        2 * ahead * sizes.bytes_of(place) for place, ahead in tree.window_places().items() if place in _barriers(tree)
    )
    return Estimate(_sources(tree, source_bytes), kept, working, outputs, rows)


class Sizes:
    """How large what each place makes is, and which of it is in memory where the picture is worked on in bands."""

    def __init__(self, tree: Tree, layout: Layout, camera: str) -> None:
        self._tree = tree
        self._counts = channel_counts(tree, layout.channels)
        self._context = Context(camera=camera, view=camera)
        self._planes = {ROOT: Plane(layout.data_window, layout.display_window)}
        for place, step in enumerate(tree.steps):
            given = self._planes[step.parent]
            if isinstance(step.operation, StreamingOperation):
                given = step.operation.planned_plane(given, self._context)
            self._planes[place] = given

    def pixels_of(self, place: int) -> int:
        return self._planes[place].data.width * self._planes[place].data.height

    def bytes_of(self, place: int) -> int:
        return self.pixels_of(place) * self._counts[place] * _FLOAT

    def row_bytes(self, place: int) -> int:
        return self._planes[place].data.width * self._counts[place] * _FLOAT

    def scratch_of(self, place: int) -> int:
        """Of an operation that wants the whole picture, its result left out."""
        step = self._tree.steps[place]
        given, made = self.bytes_of(step.parent), self.bytes_of(place)
        scratch = step.operation.scratch_bytes(given, made, self._counts[step.parent])
        return scratch - (made if step.operation.makes_pixels else 0)

    def whole_places(self, rows: int) -> set[int]:
        """What operations insist on, what they make of it, and what is asked for by more than half at once."""
        found = set()
        for place, step in enumerate(self._tree.steps):
            if place in _barriers(self._tree):
                found |= {step.parent, place} if step.operation.makes_pixels else {step.parent}
            elif self._asks_for_most(place, rows):
                found.add(step.parent)
        return found

    def held_bytes(self, rows: int) -> int:
        """Of the rows that streaming operations have asked for; twice, when new ones are joined to them."""
        return sum(
            2 * (self._rows_held(place, rows) + rows) * self.row_bytes(step.parent)
            for place, step in enumerate(self._tree.steps)
            if _streams(step.operation) and not self._asks_for_most(place, rows)
        )

    def _asks_for_most(self, place: int, rows: int) -> bool:
        step = self._tree.steps[place]
        height = self._planes[step.parent].data.height
        return _streams(step.operation) and asks_for_most(self._rows_held(place, rows), height)

    def _rows_held(self, place: int, rows: int) -> int:
        step = self._tree.steps[place]
        given = self._planes[step.parent]
        assert isinstance(step.operation, StreamingOperation)
        try:
            return step.operation.rows_held(given, rows, self._context)
        except OperationFailed:  # it will say so when the frame is made
            return given.data.height


def _streams(operation: Operation) -> bool:
    return isinstance(operation, StreamingOperation) and not operation.tileable


def _barriers(tree: Tree) -> frozenset[int]:
    """The steps that want their whole picture, whatever it takes."""
    return frozenset(
        place for place, step in enumerate(tree.steps) if not step.operation.tileable and not _streams(step.operation)
    )


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
        window.width * window.height * step.operation.side_channels(counts[step.parent]) * _FLOAT
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


def _outputs(tree: Tree, layout: Layout, sizes: Sizes | None = None) -> int:
    """Encoded, and not smaller for it: pictures full of grain hardly are."""
    counts = channel_counts(tree, layout.channels)
    pixels = layout.data_window.width * layout.data_window.height
    return sum(
        (sizes.pixels_of(leaf.step) if sizes else pixels) * counts[leaf.step] * _TYPE_BYTES[leaf.output.stored_type]
        for leaf in tree.leaves
        if leaf.output.is_image
    )
