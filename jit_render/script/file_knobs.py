"""Which knobs hold file names, by node class: those that a node reads, and those that it writes."""

from __future__ import annotations

from jit_render.script.nodes import Node

READ_KNOBS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Read", "DeepRead"), ("file", "proxy")),
    **dict.fromkeys(("Axis", "Axis2", "Axis3", "Axis4"), ("file",)),
    **dict.fromkeys(("Camera", "Camera2", "Camera3", "Camera4"), ("file",)),
    **dict.fromkeys(("Light", "Light2", "Light3", "Light4"), ("file",)),
    **dict.fromkeys(("ReadGeo", "ReadGeo2", "ReadGeo3", "ParticleCache", "AudioRead"), ("file",)),
    **dict.fromkeys(("GeoImport", "GeoReference"), ("file_path", "file")),
    **dict.fromkeys(("OCIOFileTransform", "OCIOCDLTransform", "Precomp", "LiveGroup"), ("file",)),
    "OCIOColorSpace": ("configfile",),
    "Vectorfield": ("vfield_file",),
    "BlinkScript": ("kernelSourceFile",),
    "Inference": ("modelFile",),
    "CopyCat": ("dataDirectory",),
    "Cryptomatte": ("sidecarFilepath",),
    "Denoise2": ("analysisFile",),
    "ScannedGrain": ("fullGrain",),
    "ModifyRIB": ("ribArchive",),
}
WRITE_KNOBS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Write", "DeepWrite"), ("file", "proxy")),
    **dict.fromkeys(("WriteGeo", "GenerateLUT"), ("file",)),
    "MatchGrade": ("outfile",),
}
FILE_KNOBS: dict[str, tuple[str, ...]] = {"Root": ("customOCIOConfigPath",), **READ_KNOBS, **WRITE_KNOBS}
"""Every File_knob."""

TIMED_READS = frozenset({"Read", "DeepRead"})
"""Classes whose file has frames of its own: range, offset, what to show before and after."""

FOLDER_KNOBS = frozenset({"dataDirectory"})
"""Knobs that name a folder."""


def reads_when_told(node: Node) -> bool:
    """Whether the node reads its file only where its knob `read_from_file` is on (cameras, axes, lights)."""
    return node.cls.rstrip("0123456789") in {"Axis", "Camera", "Light"}
