"""The same pipeline stage by stage, every stage's result stored as an object: for comparison, and to look into.

Each stage becomes a pipeline of its own, whose source is what the stage before has stored (float32, lossless, below the
job's folder) and whose outputs are those that follow it. So the operations, the order of frames, the encoders and the
records are the very same code as when fused, and the results are the same bits. What a later stage looks at beside its
own frame is made by the earlier ones too, also where another task makes it again: both write the same bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from jit_render.model.errors import JitRenderError, ObjectNotFound
from jit_render.model.frames import expand
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.job import CommitKey
from preprocess.listener import ImageKey, Listener
from preprocess.pipeline import SOURCE, Output, Pipeline, Source, Stage
from preprocess.task import Surroundings, Task

STORED = "stored"
"""Names the output that a stage hands to the next one."""


def run_staged(
    pipeline: Pipeline,
    around: Surroundings,
    listener: Listener,
    *,
    frames: Iterable[int],
    cameras: Sequence[str],
    left: set[CommitKey],
) -> dict[ImageKey, JitRenderError]:
    """Make all that is `left`; the images that could not be made."""
    whole = Task(pipeline, around, listener)
    wanted = sorted({key.frame for key in left}.intersection(frames))
    source, pins = pipeline.source, dict(around.pins)
    for number in range(len(pipeline.stages)):
        is_last = number == len(pipeline.stages) - 1
        part = _part(pipeline, number, source, around.publisher.home)
        task = Task(
            part,
            dataclasses.replace(around, pins=pins),
            listener if is_last else _Quiet(listener),
            failures=whole.failures,
            found=whole.found,
            whole=whole,
        )
        reached = _widened(wanted, sum(_radius(later) for later in pipeline.stages[number + 1 :]))
        there = [frame for frame in reached if any(task.source_url(frame, camera) in pins for camera in cameras)]
        task.run(there, cameras, _wanting(left))
        if not is_last:
            source = Source(file=part.outputs[-1].file)
            pins = {**around.pins, **_stored(around, part, there, cameras)}
    return whole.failures


def _part(pipeline: Pipeline, number: int, source: Source, home: ObjectUrl) -> Pipeline:
    """Stage `number` as a pipeline."""
    stage, is_last = pipeline.stages[number], number == len(pipeline.stages) - 1
    here = {stage.name} | ({SOURCE} if number == 0 else set()) | ({""} if is_last else set())
    outputs = [output for output in pipeline.outputs if output.after in here]
    if not is_last:
        file = f"{home}/staged/{stage.name}/%V/{stage.name}.####.exr"
        outputs.append(Output(name=STORED, file=file, type="float", compression="zip"))
    return pipeline.model_copy(update={"source": source, "stages": (stage,), "outputs": tuple(outputs)})


def _wanting(left: set[CommitKey]) -> Callable[[CommitKey], bool]:
    return lambda key: key.write == STORED or key in left


def _radius(stage: Stage) -> int:
    return sum(operation.reads for operation in stage.operations)


def _widened(frames: list[int], radius: int) -> list[int]:
    return sorted({frame + offset for frame in frames for offset in range(-radius, radius + 1)})


def _stored(
    around: Surroundings, part: Pipeline, frames: Iterable[int], cameras: Iterable[str]
) -> dict[ObjectUrl, ObjectInfo]:
    file = part.outputs[-1].file
    found = {}
    for frame in frames:
        for camera in cameras:
            url = ObjectUrl.parse(expand(file, frame, camera))
            try:
                found[url] = around.store.stat(url)
            except ObjectNotFound:
                continue
    return found


class _Quiet(Listener):
    """Passes on what ends up in the job, and what fails: frames are begun for the worker in the last stage."""

    def __init__(self, behind: Listener) -> None:
        self._behind = behind

    def begun(self, image: ImageKey) -> None:
        self._behind.begun(image)

    def waits(self, image: ImageKey, size_bytes: int) -> None:
        self._behind.waits(image, size_bytes)

    def written(self, written: Any) -> None:
        self._behind.written(written)

    def failed(self, image: ImageKey, error: JitRenderError) -> None:
        self._behind.failed(image, error)
