"""``python -m preprocess.render``: some frames of a job's pipeline, as the farm's worker starts it.

Says what it does in Nuke's lines (`render.lines`): ``Frame 1001 (1 of 8)`` when a frame begins, ``Writing URL
took 0.42 seconds`` when an output is committed, and one marked line of JSON for what failed. Damaged images are told as
they are met and summed up in that one line at the end, because the first such line becomes the attempt's message.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jit_render.agent.attempts import AttemptKey
from jit_render.farm.pinning import index_of, pinned
from jit_render.farm.records import JobReader
from jit_render.farm.stage import STORE_VARIABLE
from jit_render.model.clock import SystemClock
from jit_render.model.errors import JitRenderError, MissingInput, ObjectNotFound, Preempted, RenderError
from jit_render.model.frames import FrameSet
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.pathmap import PathMap
from jit_render.model.settings import StoreSettings
from jit_render.store import open_store
from nuke_callbacks import wire
from preprocess.assets import Assets
from preprocess.counted import CountedStore
from preprocess.environment import Wishes
from preprocess.gather import gather
from preprocess.listener import ImageKey, Listener, Written
from preprocess.memory import DEFAULT_BUDGET
from preprocess.names import locate
from preprocess.pipeline_file import parse_pipeline
from preprocess.publish import Publisher
from preprocess.staged import run_staged
from preprocess.task import Surroundings, Task
from preprocess.turns import turn_file

MOST_NAMED = 20  # failed images in the attempt's message; the log has all
MISSING, FAILED = 3, 1


@dataclass
class Printer(Listener):
    """Prints. The worker counts a frame as begun by its first line."""

    total: int
    _begun: dict[int, None] = field(default_factory=dict)
    _in_hand: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begun(self, image: ImageKey) -> None:
        with self._lock:
            self._begun.setdefault(image.frame)
            if self._in_hand != image.frame:
                self._in_hand = image.frame
                place = list(self._begun).index(image.frame) + 1
                _say(f"Frame {image.frame} ({place} of {self.total})")

    def waits(self, image: ImageKey, size_bytes: int) -> None:
        _say(f"{image} may take {size_bytes / 1e9:.1f} GB: it waits until no other worker makes such a frame")

    def written(self, written: Written) -> None:
        if written.made_before:
            _say(f"{written.url} was made before, of the same inputs")
        else:
            _say(f"Writing {written.url} took {written.seconds:.2f} seconds")

    def failed(self, image: ImageKey, error: JitRenderError) -> None:
        _say(f"{image} failed: {error}")


def main(arguments: list[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _leave)
    try:
        failures = run(given, os.environ)
    except JitRenderError as error:
        _mark(error.kind, str(error), None)
        return error.exit_code
    if not failures:
        return 0
    first = next(iter(failures))
    is_missing = all(isinstance(error, ObjectNotFound) for error in failures.values())
    _mark(MissingInput.__name__ if is_missing else RenderError.__name__, summed_up(failures), first.frame)
    return MISSING if is_missing else FAILED


def run(given: argparse.Namespace, environment: Any) -> dict[ImageKey, JitRenderError]:
    """Make what is missing; the images that could not be made. Raises JitRenderError."""
    attempt = AttemptKey(
        environment[wire.JOB_VARIABLE], int(environment[wire.TASK_VARIABLE]), int(environment[wire.ATTEMPT_VARIABLE])
    )
    clock = SystemClock()
    store = CountedStore(open_store(StoreSettings.model_validate_json(environment.get(STORE_VARIABLE, "{}")), clock))
    publisher = Publisher(store, attempt, clock)
    try:
        reader = JobReader(store, ObjectUrl.parse(attempt.job))
        spec = reader.spec()
        pipeline = parse_pipeline(given.pipeline.read_bytes(), spec.script_name)
        frames = FrameSet.parse(given.frames)
        wishes = Wishes.of(spec.environment)
        place = _place_of(spec.path_map)
        pins = pins_of(reader, frames)
        around = Surroundings(
            store=store,
            publisher=publisher,
            pins=pins,
            locate=place,
            assets=Assets(store, given.scratch / "assets", lambda url: _pin(pins, url), place),
            budget_bytes=wishes.memory_bytes or given.memory or DEFAULT_BUDGET,
            turns=turn_file(),
            may_skip=not wishes.force,
        )
        keys = [key for frame in frames for key in spec.commits(frame)]
        left = set(keys) - reader.committed_of(keys)
        listener = Printer(len(frames))
        if wishes.staged:
            failures = run_staged(pipeline, around, listener, frames=frames, cameras=given.cameras, left=left)
        else:
            task = Task(pipeline, around, listener)
            task.run(frames, given.cameras, left.__contains__)
            failures = task.failures
        gather(reader, pipeline, place)
        return failures
    finally:
        moved = f"{store.bytes_read} bytes of pictures read, {store.bytes_written} written"
        _say(f"{moved}, {publisher.bytes_same} the same as before")
        store.close()


def _leave(number: int, _: Any) -> None:
    """Begin nothing more; what is finished is still published on the way out."""
    signal.signal(number, signal.SIG_DFL)
    raise Preempted("told to end (SIGTERM); what was finished is in the bucket.")


def pins_of(reader: JobReader, frames: FrameSet) -> dict[ObjectUrl, ObjectInfo]:
    """The version of everything that `frames` were planned to read. Raises StoreError, JobError."""
    found = pinned(reader, index_of(reader), frames)
    return {info.url: info for infos in found.values() for info in infos}


def summed_up(failures: dict[ImageKey, JitRenderError]) -> str:
    """One line for people: how many, and each by name."""
    named = "; ".join(f"{image}: {error}" for image, error in list(failures.items())[:MOST_NAMED])
    more = f"; and {len(failures) - MOST_NAMED} more (see the log)" if len(failures) > MOST_NAMED else ""
    return f"{named}{more}" if len(failures) == 1 else f"{len(failures)} images failed: {named}{more}"


def _place_of(path_map: PathMap) -> Any:
    return lambda name: locate(name, path_map)


def _pin(pins: dict[ObjectUrl, ObjectInfo], url: ObjectUrl) -> ObjectInfo:
    if url not in pins:
        raise ObjectNotFound(f"{url} was not in the bucket when the job was submitted; bring it and submit again.")
    return pins[url]


def _parser() -> argparse.ArgumentParser:
    def names(text: str) -> list[str]:
        return [name for name in text.split(",") if name]

    parser = argparse.ArgumentParser(prog="preprocess.render")
    parser.add_argument("pipeline", type=Path)
    parser.add_argument("--outputs", type=names, default=[])
    parser.add_argument("--cameras", type=names, required=True)
    parser.add_argument("--frames", required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--memory", type=int, default=0)
    return parser


def _mark(kind: str, message: str, frame: int | None) -> None:
    _say(wire.FAILURE_MARK + json.dumps({"kind": kind, "message": message, "frame": frame, "write": ""}))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
