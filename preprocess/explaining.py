"""What a pipeline does to one frame of a given size, in words: passes, what stays in memory, bytes at the peak."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Self

from jit_render.model.errors import UsageError
from jit_render.report.words import size as size_in_words
from preprocess.image import Window
from preprocess.memory import DEFAULT_BUDGET, channel_counts, estimate
from preprocess.operations.port import Operation
from preprocess.operations.streaming import StreamingOperation
from preprocess.passes import ROOT, Step, Tree
from preprocess.pipeline import Pipeline
from preprocess.source import Layout

MOST_CAMERAS = 64  # that are looked at for the one that takes most
_STORED_BYTES = 2  # of a source's channel: half floats and sensor integers


@dataclass(frozen=True, slots=True)
class Frame:
    """A source frame that is imagined."""

    width: int
    height: int
    channels: tuple[str, ...]

    @classmethod
    def parse(cls, size: str, channels: str) -> Self:
        """From ``1920x1080`` and ``R,G,B``. Raises UsageError."""
        match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", size)
        if match is None or "0" in match.groups():
            raise UsageError(f"--size {size!r} is no size; write it like 1920x1080.")
        return cls(int(match[1]), int(match[2]), tuple(filter(None, channels.split(","))))


def explanation(pipeline: Pipeline, frame: Frame, budget: int = 0) -> dict[str, Any]:
    """All of it, as plain values."""
    tree = Tree.of(pipeline)
    channels = frame.channels or (("Y",) if _is_mosaic(tree) else ("R", "G", "B"))
    window = Window(0, 0, frame.width, frame.height)
    layout = Layout(window, window, channels, metadata={}, pixel_aspect=1.0)
    stored = frame.width * frame.height * len(channels) * _STORED_BYTES
    plans = [
        estimate(tree, layout, stored, budget=budget or DEFAULT_BUDGET, camera=camera)
        for camera in pipeline.source.cameras[:MOST_CAMERAS] or ("",)
    ]
    plan = max(plans, key=lambda one: one.total)
    counts = channel_counts(tree, channels)
    ahead = tree.window_places()
    return {
        "pipeline": pipeline.name,
        "frame": asdict(frame),
        "channels": list(channels),
        "reads": {"frames_each_side": tree.radius, "source_bytes": stored},
        "steps": [_step(tree, place, step, counts, ahead) for place, step in enumerate(tree.steps)],
        "outputs": [
            {
                "name": leaf.output.name,
                "after": _name(tree, leaf.step),
                "file": leaf.output.file,
                "type": leaf.output.stored_type if leaf.output.is_image else "records",
            }
            for leaf in tree.leaves
        ],
        "passes": 1,
        "staged_passes": len(pipeline.stages),
        "band_rows": plan.band_rows,
        "budget_bytes": budget or DEFAULT_BUDGET,
        "peak_bytes": {
            **{name: getattr(plan, name) for name in ("process", "sources", "kept", "working", "outputs")},
            "total": plan.total,
        },
    }


def _step(tree: Tree, place: int, step: Step, counts: dict[int, int], ahead: dict[int, int]) -> dict[str, Any]:
    operation = step.operation
    return {
        "stage": step.stage,
        "kind": operation.kind,
        "channels": counts[place],
        "works_on": _works_on(operation),
        "halo": operation.halo,
        "frames_each_side": operation.reads,
        "keeps_frames": 2 * ahead[place] + 1 if place in ahead else 0,
        "shared": place in tree.shared_places(),
    }


def _works_on(operation: Operation) -> str:
    if operation.tileable:
        return "rows"
    return "rows it asks for" if isinstance(operation, StreamingOperation) else "the whole frame"


def _name(tree: Tree, place: int) -> str:
    return "the source" if place == ROOT else tree.steps[place].operation.kind


def _is_mosaic(tree: Tree) -> bool:
    return any(step.operation.kind == "demosaic" for step in tree.steps)


def explanation_lines(pipeline: Pipeline, found: dict[str, Any]) -> list[str]:
    """The same for people, in 80 columns."""
    frame = found["frame"]
    lines = [
        f"{found['pipeline']}: one pass per frame and camera, for frames of {frame['width']}x{frame['height']}",
        "",
    ]
    around = found["reads"]["frames_each_side"]
    neighbours = f", and {around} on either side (each read once per task)" if around else ""
    lines += [f"reads   {pipeline.source.file}", f"        {', '.join(found['channels'])}{neighbours}", ""]
    stage = ""
    for step in found["steps"]:
        head, stage = ("" if step["stage"] == stage else step["stage"]), step["stage"]
        lines.append(f"  {head:<18} {step['kind']:<20} {step['channels']} ch  {_how(step)}".rstrip())
    lines += ["", "writes"]
    for output in found["outputs"]:
        lines.append(f"  {output['name']:<18} after {output['after']:<14} {output['type']:<8} {output['file']}"[:120])
    peak = found["peak_bytes"]
    words = {name: size_in_words(value) for name, value in peak.items()}
    way = f"in bands of {found['band_rows']} rows" if found["band_rows"] else "whole"
    lines += [
        "",
        f"memory  {words['total']} at the peak, of {size_in_words(found['budget_bytes'])}: frames are worked on {way}",
        f"        {words['process']} of the process, {words['sources']} encoded sources,",
        f"        {words['kept']} kept for neighbours, {words['working']} working pixels,",
        f"        {words['outputs']} encoded outputs",
        *_turns(found),
        f"staged  would be {found['staged_passes']} passes, each storing what it makes (--staged)",
    ]
    return lines


def _turns(found: dict[str, Any]) -> list[str]:
    if found["peak_bytes"]["total"] <= found["budget_bytes"]:
        return []
    return ["        more than a worker's share: one such frame at a time on a machine"]


def _how(step: dict[str, Any]) -> str:
    words = [step["works_on"] + (f" with {step['halo']} around" if step["halo"] else "")]
    if step["frames_each_side"]:
        words.append(f"{step['frames_each_side']} frames on either side")
    if step["keeps_frames"]:
        words.append(f"keeps {step['keeps_frames']} frames")
    return ", ".join(words)
