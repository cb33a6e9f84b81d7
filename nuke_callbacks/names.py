r"""What can be told of a file name without asking anybody.

Whether a path rule covers it (the same rules as the runtime's path map: longest prefix, folder borders, Windows
prefixes without regard to case and with either slash, ``..`` folded), whether it still holds a frame or view
placeholder, and what it is for one frame of one view. Nuke's file type prefix (``exr:/mnt/show/a.exr``) is taken off
first. The path map folds names with the function that is here, so both always mean the same place.
"""

from __future__ import annotations

import re
from typing import Callable, Iterable, List, Optional, Sequence, Tuple

# A type prefix has two letters or more: one letter and a colon is a Windows drive.
_TYPE = re.compile(r"([A-Za-z][A-Za-z0-9_]+:)(?=/(?!/)|\\\\|[A-Za-z]:[\\/])")
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_FRAME = re.compile(r"%(0?)(\d*)d|#+")
_VIEW = re.compile(r"%[Vv]")
_ROOT = re.compile(r"//[^/]+/[^/]+|//[^/]*|[A-Za-z]:(?=/)|(?=/)")  # a share, a drive, or nothing before a slash
_MOVIES = frozenset(("mov", "mp4", "mxf", "avi"))
_CONTAINERS = frozenset(("abc", "fbx", "usd", "usda", "usdc", "usdz"))  # hold all frames unless the name has a frame

Covers = Callable[[str], bool]


def split_type(name: str) -> Tuple[str, str]:
    """(``exr:`` or an empty string, the name itself)."""
    match = _TYPE.match(name)
    return (match.group(1), name[match.end() :]) if match else ("", name)


def plain(name: str) -> str:
    """Forward slashes for Windows spellings; a backslash in a POSIX name is a character of the name."""
    return name.replace("\\", "/") if _WINDOWS.match(name) else name


def fold(spelled: str) -> Optional[str]:
    """An absolute name without ``.``, ``..`` and double slashes, by its letters; None where it climbs above its root.

    `spelled` has forward slashes (see `plain`). A relative name comes back as it is.
    """
    if "/." not in spelled and "//" not in spelled:
        return spelled
    root = _ROOT.match(spelled)
    if root is None:
        return spelled
    parts: List[str] = []
    for part in spelled[root.end() :].split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return root.group() + "".join(["/" + part for part in parts])


def is_absolute(name: str) -> bool:
    """Only an absolute name can be under a path rule."""
    return name.startswith("/") or _WINDOWS.match(name) is not None


def is_pattern(name: str) -> bool:
    """A frame or a view still has to be put in."""
    return has_frame(name) or _VIEW.search(name) is not None


def has_frame(name: str) -> bool:
    return _FRAME.search(name) is not None


def has_view(name: str) -> bool:
    return _VIEW.search(name) is not None


def head(pattern: str) -> str:
    """What stands before the first placeholder or expression."""
    return re.split(r"%|#|\[", pattern, maxsplit=1)[0]


def expand(pattern: str, frame: int, view: str) -> str:
    """`pattern` for one frame and view: ``%04d``, ``%d``, ``####``, ``%V`` (the view) and ``%v`` (its first letter)."""

    def number(match: "re.Match[str]") -> str:
        text = match.group(0)
        if text.startswith("#"):
            return "%0*d" % (len(text), frame)
        width = int(match.group(2) or 0)
        return "%0*d" % (width, frame) if match.group(1) else "%*d" % (width, frame)

    with_view = _VIEW.sub(lambda match: view if match.group(0) == "%V" else view[:1], pattern)
    return _FRAME.sub(number, with_view)


def holds_all_frames(pattern: str) -> bool:
    """A movie, or a container of geometry without a frame in its name: complete only when the render ends."""
    extension = pattern.rpartition(".")[2].lower()
    return extension in _MOVIES or (extension in _CONTAINERS and not has_frame(pattern))


def covering(prefixes: Iterable[Sequence[object]], view_folder: str) -> Covers:
    """A function that tells whether a rule covers a name; the job's own view folder counts as covered.

    A name is also covered when it *began* under a prefix or climbs above its root: the agent refuses it with a reason.
    `prefixes` are ``[prefix, is Windows, mode]`` as the agent's hello gives them: forward slashes, no slash at the
    end, Windows ones in lower case.
    """
    exact = [str(entry[0]) for entry in prefixes if not entry[1]]
    exact += [view_folder.rstrip("/")] if view_folder else []
    folded = [str(entry[0]).lower() for entry in prefixes if entry[1]]
    whole = frozenset(exact), frozenset(folded)
    under = tuple(prefix + "/" for prefix in exact), tuple(prefix + "/" for prefix in folded)

    def is_under(spelled: str) -> bool:
        if spelled.startswith(under[0]) or spelled in whole[0]:
            return True
        lower = spelled.lower()
        return lower.startswith(under[1]) or lower in whole[1]

    def covers(name: str) -> bool:
        spelled = plain(name)
        if is_under(spelled):
            return True
        folded = fold(spelled)
        return folded is None or (folded != spelled and is_under(folded))

    return covers


def after(frame: int, frames: Sequence[int], last: Optional[int], count: int) -> "list[int]":
    """The next `count` frames that this process renders: of `frames` where known, else up to `last`."""
    if frames:
        return [other for other in frames if other > frame][:count]
    ahead = range(frame + 1, frame + 1 + count)
    return [other for other in ahead if last is None or other <= last]
