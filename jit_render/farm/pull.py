"""Finished frames to a local folder: exactly the committed versions, checked on the way, kept where they are right.

Below the folder, files lie as they do below the deepest folder that all of the job's outputs share, so several
Writes and views keep apart, and pulling some frames first and the rest later gives the same tree.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jit_render.farm.fetching import fetch, is_here
from jit_render.farm.records import JobReader, concurrently
from jit_render.model.errors import UsageError
from jit_render.model.frames import FrameSet, spell
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import CommitKey, OutputRecord
from jit_render.store import Store

OnFile = Callable[[Path, int, int], None]
"""Called with a finished file, how many are finished, and how many there are."""


@dataclass(frozen=True, slots=True)
class PullReport:
    """`frames_missing` is the canonical spelling of the frames that are not done yet; empty for none."""

    files: int
    files_kept: int
    bytes_fetched: int
    frames_missing: str


def pull(
    store: Store,
    home: ObjectUrl,
    folder: Path,
    *,
    frames: FrameSet | None = None,
    writes: Sequence[str] = (),
    on_file: OnFile | None = None,
) -> PullReport:
    """Download the job's committed outputs (of `frames`, of `writes`) into `folder`.

    Raises UsageError for a Write that the job has not or a folder that cannot be made, StoreError for an output
    that is gone.
    """
    reader = JobReader(store, home)
    spec = reader.spec()
    _check_writes(writes, [write.name for write in spec.writes])
    every = [key for frame in spec.frame_set for key in spec.commits(frame)]
    committed = reader.committed()
    chosen = [key for key in every if (frames is None or key.frame in frames) and (not writes or key.write in writes)]
    wanted = [key for key in chosen if key in committed]
    base = _shared_folder(reader, [key for key in every if key in committed])
    records = reader.commit_records(wanted)
    outputs = {output.url: output for record in records.values() for output in record.outputs}
    places = {url: folder / _below(base, url) for url in outputs}
    _make_folders(places.values())
    kept, fetched = _fetch_all(store, outputs, places, on_file)
    missing = spell(key.frame for key in chosen if key not in records)
    return PullReport(len(outputs), kept, fetched, missing)


def _check_writes(asked: Sequence[str], known: Sequence[str]) -> None:
    for name in asked:
        if name not in known:
            raise UsageError(f"the job has no Write {name!r}; it has {', '.join(known)}.")


def _shared_folder(reader: JobReader, committed: list[CommitKey]) -> str:
    """The deepest folder that the first and the last committed frame of every Write and view share."""
    first = {(key.write, key.view): key for key in reversed(committed)}
    last = {(key.write, key.view): key for key in committed}
    records = reader.commit_records({*first.values(), *last.values()})
    folders = [_path_of(str(ObjectUrl.parse(output.url).parent)) for rec in records.values() for output in rec.outputs]
    return os.path.commonpath(folders) if folders else ""


def _path_of(url: str) -> str:
    """``bucket/key`` of ``gs://bucket/key``."""
    return url.split("://", 1)[1].strip("/")


def _below(base: str, url: str) -> str:
    path = _path_of(url)
    return path.removeprefix(base + "/")


def _make_folders(places: Iterable[Path]) -> None:
    for folder in {place.parent for place in places}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder} cannot be made ({error.strerror}); pull to another folder.") from None


def _fetch_all(
    store: Store, outputs: dict[str, OutputRecord], places: dict[str, Path], on_file: OnFile | None
) -> tuple[int, int]:
    """How many files were here already, and how many bytes came."""
    done: list[Path] = []  # appending is atomic, so the threads may count with it

    def one(url: str) -> int:
        output, place = outputs[url], places[url]
        came = 0
        if not is_here(output, place):
            fetch(store, output, place)
            came = output.size_bytes
        done.append(place)
        if on_file is not None:
            on_file(place, len(done), len(outputs))
        return came or -1

    results = concurrently(one, outputs)
    return sum(result < 0 for result in results), sum(result for result in results if result > 0)
