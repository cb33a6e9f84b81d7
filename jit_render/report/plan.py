"""What a job would read, before it is submitted: per node, what is missing, what could not be told, and the sums.

Lines fit 80 columns: names are cut where they say least, in front of a path and behind a node's groups. All of it, with
every name whole, is in the JSON document.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from jit_render.farm.planning import Inputs, Missing, ReadInputs
from jit_render.model.frames import spell
from jit_render.model.job import JobSpec
from jit_render.report.words import count, cut_end, cut_start, share, size, views_told
from jit_render.script.planned import Plan

WIDTH = 80
_NODE, _FRAMES = 26, 22


def plan_lines(plan: Plan, inputs: Inputs, spec: JobSpec) -> list[str]:
    """Lines for people."""
    lines = [f"{spec.script_name}: {spec.frame_set.echo()}", "", "writes"]
    for write in spec.writes:
        lines += [f"  {write.name} ({views_told(write.views)})", f"    {cut_start(write.file, WIDTH - 4)}"]
    lines += ["", *_reads(inputs)]
    lines += _section("missing", _missing(inputs.missing))
    lines += _section(
        "missing, left to on_error or asked for by nobody for certain", _missing(inputs.missing, stops=False)
    )
    lines += _section("under no path rule: the node's own files", _unmapped(inputs))
    undecided = [f"{one.node}.{one.knob} (line {one.line}): {one.why}" for one in plan.undecided]
    lines += _section("could not be told from the script", undecided)
    return [*lines, "", *_sums(inputs, spec)]


def plan_json(plan: Plan, inputs: Inputs, spec: JobSpec) -> dict[str, Any]:
    """All of it, for programs."""
    told = plan.as_json()
    reads = [{**entry, **_read_json(one)} for entry, one in zip(told.pop("reads"), inputs.reads, strict=True)]
    return {
        "script": spec.script_source,
        "writes": [{"node": write.name, "file": write.file, "views": list(write.views)} for write in spec.writes],
        "reads": reads,
        "missing": [_missing_json(one) for one in inputs.missing],
        "unmapped": _unmapped(inputs),
        "undecided": told["undecided"],
        "frames": {
            str(frame): {"files": len(inputs.frames.get(frame, ())), "bytes": inputs.bytes_of(frame)}
            for frame in spec.frame_set
        },
        "total": {
            "files": len(inputs.objects),
            "bytes": inputs.size_bytes,
            "missing": len(inputs.missing),
            "folders": len(inputs.folders),
            "folder_bytes": inputs.folder_bytes,
            "share_of_folders": _share(inputs),
        },
    }


def _reads(inputs: Inputs) -> list[str]:
    head = f"{'reads':<{_NODE}}  {'file frames':<{_FRAMES}}{'files':>8}{'there':>8}{'size':>11}"
    if not inputs.reads:
        return ["reads: nothing"]
    lines = [head]
    for group in _by_knob(inputs.reads):
        first = group[0].read
        numbers = {frame for one in group if one.read.has_frame for frame in one.read.file_frames()}
        frames = spell(numbers) if numbers else "one file"
        files, there = sum(one.files - one.made_here for one in group), sum(one.there for one in group)
        node = cut_end(
            ("" if all(one.read.certain for one in group) else "? ") + f"{first.node}.{first.knob}", _NODE - 2
        )
        weight = size(sum(one.size_bytes for one in group)) if any(one.pattern for one in group) else "-"
        lines.append(f"  {node:<{_NODE - 2}}  {cut_end(frames, _FRAMES):<{_FRAMES}}{files:>8}{there:>8}{weight:>11}")
        lines += [f"    {cut_start(name, WIDTH - 4)}" for name in dict.fromkeys(one.read.pattern for one in group[:3])]
    if any(not one.read.certain for one in inputs.reads):
        lines.append("  ? more may be listed here than is read; see --json for the reason")
    return lines


def _by_knob(reads: Iterable[ReadInputs]) -> list[list[ReadInputs]]:
    groups: dict[tuple[str, str], list[ReadInputs]] = {}
    for one in reads:
        groups.setdefault((one.read.node, one.read.knob), []).append(one)
    return list(groups.values())


def _missing(missing: Sequence[Missing], *, stops: bool = True) -> list[str]:
    return [
        f"{one.node}.{one.knob}, frame {one.frame}{f' and {one.frames - 1} more' * (one.frames > 1)}"
        f"{'' if one.on_error == 'error' else f', on_error {one.on_error}'}\n    {one.object}"
        for one in missing
        if one.stops is stops
    ]


def _unmapped(inputs: Inputs) -> list[str]:
    outside = [one for one in inputs.reads if not one.pattern]
    return list(dict.fromkeys(f"{one.read.pattern} ({one.read.node}.{one.read.knob})" for one in outside))


def _sums(inputs: Inputs, spec: JobSpec) -> list[str]:
    weights = sorted(inputs.bytes_of(frame) for frame in spec.frame_set)
    files = sorted(len(inputs.frames.get(frame, ())) for frame in spec.frame_set)
    folders = count(len(inputs.folders), "folder")
    part = f"{share(_share(inputs))} of the {size(inputs.folder_bytes)}"
    return [
        f"a frame  {_span(files[0], files[-1])} files, {_span(size(weights[0]), size(weights[-1]))}",
        f"the shot {count(len(inputs.objects), 'file')}, {size(inputs.size_bytes)}: {part} in {folders}",
    ]


def _share(inputs: Inputs) -> float | None:
    return inputs.size_bytes / inputs.folder_bytes if inputs.folder_bytes else None


def _span(least: object, most: object) -> str:
    return f"{least}" if least == most else f"{least} to {most}"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", f"{title} ({len(lines)})", *(f"  {line}" for line in lines)] if lines else []


def _read_json(one: ReadInputs) -> dict[str, Any]:
    return {
        "object": one.pattern,
        "files": one.files,
        "there": one.there,
        "made_here": one.made_here,
        "bytes": one.size_bytes,
        "missing": len(one.missing),
        "refused": one.refused,
    }


def _missing_json(one: Missing) -> dict[str, Any]:
    return {
        "node": one.node,
        "knob": one.knob,
        "frame": one.frame,
        "frames": one.frames,
        "object": one.object,
        "on_error": one.on_error,
        "certain": one.certain,
        "stops": one.stops,
    }
