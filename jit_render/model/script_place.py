"""Where a job's script lies in its view, and what a name beside it stands for.

A script whose own path is mapped is put at that path's place in the view. Names relative to it
(``[file dirname [value root.name]]/../renders/a.exr``) then begin inside the view, at the place of the rule that maps
the script. They are taken for what they were on the artist's machine: that rule's place is turned back into its
prefix, and the whole path map decides. So ``../renders`` lands under the rule of ``/mnt/show/renders`` though that
rule's bucket is another one, and a name that leaves its root is refused as it would be there.

Any other script lies in the view under ``.script``, which stands for the folder that the script came from.
"""

from __future__ import annotations

from dataclasses import dataclass

from jit_render.model.errors import HostilePath
from jit_render.model.pathmap import PathMap
from nuke_callbacks.names import plain

UNMAPPED_FOLDER = ".script"


@dataclass(frozen=True, slots=True)
class ScriptPlace:
    """Paths relative to the job's view."""

    script: str
    root: str
    """What lies below this folder of the view …"""
    stands_for: str
    """… is what lay below this one (forward slashes, none at the end) on the artist's machine."""

    def original(self, home: str, name: str) -> str | None:
        """What `name` stood for there; None where it is not below this root. `home` is the view's folder."""
        root = f"{home}/{self.root}"
        return self.stands_for + name[len(root) :] if name.startswith(root + "/") else None


def script_place(path_map: PathMap, source: str, name: str) -> ScriptPlace:
    """The place of the script called `name` that came from `source`."""
    try:
        mapped = path_map.find(source)
    except HostilePath:
        mapped = None
    if mapped is None:
        return ScriptPlace(f"{UNMAPPED_FOLDER}/{name}", UNMAPPED_FOLDER, plain(source).rpartition("/")[0])
    return ScriptPlace(mapped.url.view_path, mapped.target.view_path, mapped.prefix)
