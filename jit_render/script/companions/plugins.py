"""What Nuke loads from the show's plug-in folders: gizmos and plug-ins of the script's classes, and Python."""

from __future__ import annotations

from collections.abc import Iterator

from jit_render.script.companions.found import Found
from jit_render.script.universe import Universe

_AT_START = ("init.py",)
_GIZMOS = (".gizmo", ".nk")


def of_script(universe: Universe) -> Iterator[Found]:
    """Files of the gizmo path whose name is a class of the script, and all Python beside them."""
    lines = universe.classes()
    for folder in universe.gizmo_path:
        for base in sorted(universe.files.list(folder)):
            stem, _, suffix = base.rpartition(".")
            used = lines.get(stem) or lines.get(base)
            if suffix == "py":
                why = (
                    "" if base in _AT_START else f"{base} is on the plug-in path; whether it is imported is not known."
                )
                yield Found(f"{folder}/{base}", "plugin", "root", "Root", "", 1, why)
            elif used is not None:
                origin = "gizmo" if base.endswith(_GIZMOS) else "plugin"
                yield Found(f"{folder}/{base}", origin, used.full_name, stem, "", used.line)
