"""The contact sheet: every frame of a job as a small picture, so that one look tells whether it is right.

The pictures come from the bucket, from exactly the generations that the commit records name: what is seen is what
was delivered. A frame without a record is a dark red tile with its number; so the sheet of a job that has not
ended shows its holes.
"""

from __future__ import annotations

import math
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jit_render.farm.records import JobReader
from jit_render.model.errors import JitRenderError, UsageError
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import CommitKey, CommitRecord, JobSpec
from jit_render.report.tiles import Colour, Pixels, draw_text, read_tile, write_png
from jit_render.store import Store

MOST_TILES = 120  # more are too small to see; longer jobs are sampled evenly

_GROUND: Colour = (0.075, 0.080, 0.095)
_INK: Colour = (0.78, 0.80, 0.84)
_FAINT: Colour = (0.50, 0.53, 0.58)
_MISSING: Colour = (0.30, 0.07, 0.07)
_BROKEN: Colour = (0.85, 0.45, 0.10)
_GAP = 10
_LABEL = 22
_HEADER = 46


@dataclass(frozen=True, slots=True)
class Sheet:
    """What was drawn: `shown` frames with a picture, `missing` without a record, `broken` that cannot be read."""

    path: Path
    shown: int
    missing: int
    broken: int


@dataclass(frozen=True, slots=True)
class _Grid:
    columns: int
    rows: int
    tile_width: int
    tile_height: int

    @classmethod
    def of(cls, count: int, width: int, aspect: float) -> _Grid:
        columns = min(count, max(1, math.ceil(math.sqrt(count * 1.25))))
        if count > columns and count % columns:  # a full last row looks better, if one is near
            near = [wide for wide in (columns, columns + 1, columns - 1, columns + 2) if wide and count % wide == 0]
            columns = near[0] if near else columns
        tile_width = (width - _GAP * (columns + 1)) // columns
        return cls(columns, -(-count // columns), tile_width, max(1, round(tile_width / aspect)))

    def corner(self, place: int) -> tuple[int, int]:
        row, column = divmod(place, self.columns)
        x = _GAP + column * (self.tile_width + _GAP)
        return x, _HEADER + row * (self.tile_height + _LABEL + _GAP)

    @property
    def height(self) -> int:
        return _HEADER + self.rows * (self.tile_height + _LABEL + _GAP)


def contact_sheet(
    store: Store, home: ObjectUrl, out: Path, *, write: str = "", view: str = "", width: int = 1920
) -> Sheet:
    """Draw the job's contact sheet as a PNG. Without `write` and `view`: the first of each.

    Raises JobNotFound, and UsageError for a write or view that the job does not have.
    """
    reader = JobReader(store, home)
    spec = reader.spec()
    keys = _sample(_keys(spec, write, view))
    records = reader.commit_records(keys)
    with tempfile.TemporaryDirectory(prefix="jit-render-sheet-") as folder:
        first = next((record for key in keys if (record := records.get(key))), None)
        aspect = _aspect(store, first, Path(folder)) if first else 16 / 9
        grid = _Grid.of(len(keys), width, aspect)
        canvas = np.full((grid.height, width, 3), _GROUND, np.float32)
        broken = _draw_tiles(canvas, grid, keys, _fetch_tiles(store, records, grid, Path(folder)), records)
    done = len(records)
    title = f"{spec.shot or spec.script_name}   {keys[0].write} {keys[0].view}"
    shown = f"{done} of {len(keys)} frames" + ("" if len(keys) == len(spec.frame_set) else " shown")
    header = canvas[:_HEADER]
    draw_text(header, (_GAP, 13), title, size=22, colour=_INK)
    about = f"{shown}   {spec.frames}   job {spec.id}"
    draw_text(header, (width // 2, 16), about, size=16, colour=_FAINT)
    write_png(canvas, out)
    return Sheet(out, done - broken, len(keys) - done, broken)


def _keys(spec: JobSpec, write: str, view: str) -> list[CommitKey]:
    target = next((target for target in spec.writes if target.name == write or not write), None)
    if target is None:
        raise UsageError(f"job {spec.id} has no Write {write!r}; it has {', '.join(w.name for w in spec.writes)}.")
    if view and view not in target.views:
        raise UsageError(f"{target.name} has no view {view!r}; it has {', '.join(target.views)}.")
    name, shown = target.name, view or target.views[0]
    return [CommitKey(write=name, view=shown, frame=frame) for frame in spec.frame_set if target.covers(frame)]


def _sample(keys: list[CommitKey]) -> list[CommitKey]:
    if len(keys) <= MOST_TILES:
        return keys
    return [keys[round(place * (len(keys) - 1) / (MOST_TILES - 1))] for place in range(MOST_TILES)]


def _download(store: Store, record: CommitRecord, folder: Path) -> Path:
    output = record.outputs[0]
    url = ObjectUrl.parse(output.url)
    path = folder / f"{record.frame}-{url.name}"
    if not path.exists():
        info = store.stat(url, generation=output.generation)
        with path.open("wb") as file:
            store.download(info, lambda piece: _write_all(file.write(piece), piece))
    return path


def _write_all(written: int, piece: memoryview) -> None:
    if written != piece.nbytes:
        raise OSError("the temporary folder is full")


def _aspect(store: Store, record: CommitRecord, folder: Path) -> float:
    try:
        tile = read_tile(_download(store, record, folder), 1 << 14, 256)
    except (JitRenderError, OSError):
        return 16 / 9
    return float(tile.shape[1] / tile.shape[0])


def _fetch_tiles(
    store: Store, records: dict[CommitKey, CommitRecord], grid: _Grid, folder: Path
) -> dict[CommitKey, Pixels | str]:
    """A tile for each record, or what is wrong with it."""

    def fetch(record: CommitRecord) -> Pixels | str:
        try:
            path = _download(store, record, folder)
            tile = read_tile(path, grid.tile_width, grid.tile_height)
            path.unlink()
        except Exception as error:  # the sheet is a look at the job: one bad frame is shown as such
            return str(error) or type(error).__name__
        return tile

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="sheet") as pool:
        return dict(zip(records, pool.map(fetch, records.values()), strict=True))


def _draw_tiles(
    canvas: Pixels,
    grid: _Grid,
    keys: list[CommitKey],
    tiles: dict[CommitKey, Pixels | str],
    records: dict[CommitKey, CommitRecord],
) -> int:
    broken = 0
    for place, key in enumerate(keys):
        x, y = grid.corner(place)
        tile = tiles.get(key)
        if isinstance(tile, np.ndarray):
            down = y + (grid.tile_height - tile.shape[0]) // 2
            across = x + (grid.tile_width - tile.shape[1]) // 2
            canvas[down : down + tile.shape[0], across : across + tile.shape[1]] = tile
        else:
            broken += tile is not None
            canvas[y : y + grid.tile_height, x : x + grid.tile_width] = _BROKEN if tile else _MISSING
        strip = canvas[y + grid.tile_height : y + grid.tile_height + _LABEL, x : x + grid.tile_width]
        _label(strip, key, records.get(key), is_broken=isinstance(tile, str))
    return broken


def _label(strip: Pixels, key: CommitKey, record: CommitRecord | None, *, is_broken: bool) -> None:
    draw_text(strip, (1, 4), str(key.frame), size=15, colour=_INK)
    note = "missing" if record is None else "unreadable" if is_broken else f"{record.render_seconds:.1f} s"
    if strip.shape[1] > 110:
        at = (strip.shape[1] - 8 * len(note), 5)
        draw_text(strip, at, note, size=13, colour=_FAINT if record else _BROKEN)
