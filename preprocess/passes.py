"""The tree of a pipeline: which operation works on whose result, and where each output leaves it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jit_render
from preprocess.operations.port import Operation
from preprocess.pipeline import SOURCE, Output, Pipeline

ROOT = -1
"""The place of the source in the tree."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation in the tree. `parent` is the step whose result it works on, or ROOT."""

    operation: Operation
    parent: int
    stage: str
    """The stage, or ``output NAME`` for an output's own operation."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """An output and the step whose result it writes (ROOT: the source as it was decoded)."""

    output: Output
    step: int


@dataclass(frozen=True)
class Tree:
    """All steps, parents first."""

    steps: tuple[Step, ...]
    leaves: tuple[Leaf, ...]
    stage_ends: dict[str, int]
    """Per stage, its last step."""

    @classmethod
    def of(cls, pipeline: Pipeline) -> Tree:
        steps: list[Step] = []
        ends: dict[str, int] = {}
        at = ROOT
        for stage in pipeline.stages:
            at = _grow(steps, at, stage.operations, stage.name)
            ends[stage.name] = at
        leaves = []
        for output in pipeline.outputs:
            start = ROOT if output.after == SOURCE else ends.get(output.after, at)
            leaves.append(Leaf(output, _grow(steps, start, output.operations, f"output {output.name}")))
        return cls(tuple(steps), tuple(leaves), ends)

    def way_to(self, step: int) -> Iterator[Step]:
        """The steps from the source to `step`, in order."""
        if step != ROOT:
            yield from self.way_to(self.steps[step].parent)
            yield self.steps[step]

    def radius_of(self, step: int) -> int:
        """How many frames to either side the result of `step` depends on."""
        return sum(one.operation.reads for one in self.way_to(step))

    @property
    def radius(self) -> int:
        """How many frames to either side one frame of all outputs depends on."""
        return max(self.radius_of(leaf.step) for leaf in self.leaves)

    def window_places(self) -> dict[int, int]:
        """Places whose results of several frames are needed at once, and how many to either side of the frame in hand.

        A temporal step behind another one asks for results ahead of the frame, for which the first asks further ahead.
        What only such a step wants, and once, is not kept; what others want again at its own frame is.
        """
        shared = self.shared_places()
        ahead: dict[int, int] = {}
        needs: dict[int, int] = {leaf.step: 0 for leaf in self.leaves}
        for index in range(len(self.steps) - 1, -1, -1):
            step, need = self.steps[index], needs.get(index, 0)
            wanted = need + step.operation.reads
            needs[step.parent] = max(needs.get(step.parent, 0), wanted)
            if step.operation.reads or (wanted and step.parent in shared):
                ahead[step.parent] = max(ahead.get(step.parent, 0), wanted)
        return ahead

    def shared_places(self) -> frozenset[int]:
        """Places whose result more than one step or output wants."""
        wanted = [*(step.parent for step in self.steps), *(leaf.step for leaf in self.leaves)]
        return frozenset(place for place in wanted if wanted.count(place) > 1)

    def margin_of(self, step: int) -> int:
        """Rows that the result of `step` is wanted beyond a strip by what streams behind it."""
        margins = [0]
        for index, one in enumerate(self.steps):
            if one.parent == step and one.operation.tileable:
                margins.append(one.operation.halo + self.margin_of(index))
        return max(margins)


def _grow(steps: list[Step], at: int, operations: tuple[Operation, ...], stage: str) -> int:
    for operation in operations:
        steps.append(Step(operation, at, stage))
        at = len(steps) - 1
    return at


def recipe(pipeline: Pipeline, tree: Tree, leaf: Leaf, camera: str) -> str:
    """64 hex digits, equal for outputs that equal inputs make equal: operations, parameters, storage, tool."""
    output = leaf.output.model_dump(mode="json", include={"type", "compression", "tile", "mipmap"})
    parts: dict[str, Any] = {
        "operations": [step.operation.identity() for step in tree.way_to(leaf.step)],
        "output": {**output, "suffix": leaf.output.suffix},
        "channels": pipeline.source.channels_of(camera),
        "camera": camera,
        "tool": tool(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def tool() -> str:
    """This program's version, as records name it; another version makes everything again."""
    return f"jit-preprocess {jit_render.__version__}"
