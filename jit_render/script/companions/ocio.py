"""The colour configuration: the file that $OCIO or Root names, and the look-up tables that it names in turn.

A table is sought along the configuration's `search_path`, as OpenColorIO does; its name and the folders may hold
context variables (``$SHOT``, ``${SHOT}``, ``%SHOT%``), which come from the job's environment, else from the defaults
that the configuration gives. Any of the tables may be used by a colour space that nobody asks for, so none is certain.
Configurations are YAML, but the few lines that name files are found without reading it as such: it is not a format
of ours, and a mistake elsewhere in it is not ours to refuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from jit_render.model.errors import Undecided
from jit_render.script.companions.found import Found, Link, Look, placed
from jit_render.script.universe import Universe

_TABLE = re.compile(r"!<FileTransform>(?:(?!!<).)*?\bsrc:\s*(?:\"([^\"]*)\"|'([^']*)'|([^,}\n#]+))", re.DOTALL)
_SEARCH = re.compile(r"^search_path:[ \t]*(.*(?:\n[ \t]*-[ \t].*)*)", re.MULTILINE)
_ENVIRONMENT = re.compile(r"^environment:[ \t]*\n((?:[ \t]+\S.*\n?)*)", re.MULTILINE)
_DEFAULT = re.compile(r"^[ \t]+([A-Za-z_]\w*):[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)|%(\w+)%")


def of_script(universe: Universe) -> Iterator[Found]:
    """The configuration of the job's environment, and the one that Root names."""
    root, evaluator = universe.script.root, universe.main
    chosen = universe.environment.get("OCIO", "").replace("\\", "/")
    if chosen and "://" not in chosen:
        yield Found(chosen, "ocio", "root", "Root", "OCIO_config", root.line)
    if not root.knobs.get("customOCIOConfigPath") or root.knobs.get("OCIO_config", "custom") != "custom":
        return
    try:
        named = evaluator.path(root, "customOCIOConfigPath", frame=universe.frame, view=evaluator.views[0]).strip()
    except Undecided:
        return
    if named and named != chosen and "://" not in named:
        why = "$OCIO names another configuration, which takes its place." if chosen else ""
        yield Found(named, "ocio", "root", "Root", "customOCIOConfigPath", root.line, why)


def of_config(look: Look) -> Iterator[Link]:
    """The tables that a configuration names."""
    defaults = _ENVIRONMENT.search(look.text)
    known = dict(_DEFAULT.findall(defaults[1])) if defaults is not None else {}
    variables = {**{name: value.strip("\"'") for name, value in known.items()}, **look.environment}
    here = look.name.rpartition("/")[0]
    folders = [placed(here, filled(folder, variables)) for folder in _search_path(look.text)] or [here]
    why = f"{look.base} names it; whether a colour space that uses it is asked for is not known."
    for quoted, single, bare in _TABLE.findall(look.text):
        source = filled((quoted or single or bare).strip(), variables)
        if source and "://" not in source:
            yield Link(_sought(look, source, folders), "ocio", why)


def filled(text: str, variables: Mapping[str, str]) -> str:
    """`text` with the variables that are known put in."""
    return _VARIABLE.sub(lambda match: variables.get(match[1] or match[2] or match[3], match[0]), text)


def _search_path(text: str) -> list[str]:
    found = _SEARCH.search(text)
    if found is None:
        return []
    first, *listed = found[1].splitlines() or [""]
    words = [line.strip().removeprefix("-").strip() for line in listed]
    if first.strip():
        words += re.split(r":(?![\\/])|;", first.strip().strip("\"'[]"))
    return [word.strip().strip("\"'") for word in words if word.strip()]


def _sought(look: Look, source: str, folders: list[str]) -> str:
    """The first folder's file that is there; the first folder's where none is."""
    candidates = list(dict.fromkeys(placed(folder, source) for folder in folders))
    for name in candidates[:-1] if len(candidates) > 1 else ():
        folder, _, base = name.rpartition("/")
        if base in look.files.list(folder):
            return name
    if len(candidates) > 1:
        folder, _, base = candidates[-1].rpartition("/")
        return candidates[-1] if base in look.files.list(folder) else candidates[0]
    return candidates[0]
