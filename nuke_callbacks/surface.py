"""The part of Nuke's Python that the callbacks use, and how it is read.

types-nuke leaves callbacks untyped, so the surface is written down here as protocols; init.py passes the real
`nuke` where `Nuke` is asked for, so the type check compares the two. Whatever Nuke's documents leave open
(names before or after the filter, patterns or concrete names, nodes or strings in a list) is read either way.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple, Union

from nuke_callbacks import names

WRITER_CLASSES = ("Write", "DeepWrite", "WriteGeo", "ParticleCache")
_ON_ERROR = ("error", "black", "checkerboard", "nearest frame")


class Knob(Protocol):
    def Class(self) -> str: ...  # noqa: N802 - Nuke's name

    def value(self) -> Any: ...


class Node(Protocol):
    def Class(self) -> str: ...  # noqa: N802 - Nuke's name

    def fullName(self) -> str: ...  # noqa: N802 - Nuke's name

    def knob(self, name: str, /) -> Optional[Knob]: ...

    def knobs(self) -> Mapping[str, Knob]: ...

    def fileDependencies(  # noqa: N802 - Nuke's name
        self, start: int, end: int
    ) -> Sequence[Sequence[Union[Any, List[str]]]]: ...


class Nuke(Protocol):
    REPLACE: int

    def thisNode(self) -> Node: ...  # noqa: N802 - Nuke's name

    def root(self) -> Node: ...

    def allNodes(self, *args: Any, **kwargs: Any) -> Sequence[Node]: ...  # noqa: N802 - Nuke's name

    def frame(self) -> int: ...

    def views(self) -> Sequence[str]: ...

    def filename(self, node: Any, i: int = ...) -> Optional[str]: ...

    def addFilenameFilter(  # noqa: N802 - Nuke's name
        self,
        call: Callable[[str], Optional[str]],
        *,
        nodeClass: str = ...,  # noqa: N803 - Nuke's name
    ) -> None: ...

    def addBeforeFrameRender(  # noqa: N802 - Nuke's name
        self,
        call: Callable[[], None],
        *,
        nodeClass: str = ...,  # noqa: N803 - Nuke's name
    ) -> None: ...

    def addAfterFrameRender(  # noqa: N802 - Nuke's name
        self,
        call: Callable[[], None],
        *,
        nodeClass: str = ...,  # noqa: N803 - Nuke's name
    ) -> None: ...

    def addAfterRender(  # noqa: N802 - Nuke's name
        self,
        call: Callable[[], None],
        *,
        nodeClass: str = ...,  # noqa: N803 - Nuke's name
    ) -> None: ...


class Output(NamedTuple):
    """A file that a Write makes of one frame for one view; the name as the script says it."""

    view: str
    name: str


class Dependency(NamedTuple):
    """A file that a node reads. `is_required`: absence is an error of the frame."""

    node: str
    knob: str
    on_error: str
    name: str
    is_required: bool


def pattern_of(nuke: Nuke, node: Node) -> str:
    """The node's file name before any filter, frame and view placeholders in it, absolute where it can be made so."""
    return _absolute(nuke, names.split_type(nuke.filename(node) or "")[1])


def outputs_of(nuke: Nuke, node: Node, frame: int) -> List[Output]:
    """What a Write makes of `frame`, for each of its views; nothing without a file name."""
    pattern = pattern_of(nuke, node)
    if not pattern:
        return []
    concrete = "" if names.has_view(pattern) else nuke.filename(node, nuke.REPLACE) or ""
    concrete = _absolute(nuke, names.split_type(concrete)[1])
    if not concrete or names.is_pattern(concrete):
        return [Output(view, names.expand(pattern, frame, view)) for view in _views(nuke, node)]
    return [Output(view, concrete) for view in _views(nuke, node)]


def dependencies_of(nuke: Nuke, node: Node, frame: int) -> List[Dependency]:
    """What Nuke says that `node` needs for `frame`, without the files that Writes write; each name once per node."""
    found: Dict[Tuple[str, str], Dependency] = {}
    for reader, name in _entries(node.fileDependencies(frame, frame)):
        if reader is not None and _is_writing(reader, node):
            continue
        bare = _absolute(nuke, names.split_type(name)[1])
        for concrete in _concrete(nuke, bare, frame):
            entry = _dependency(reader, concrete, is_certain=concrete == bare)
            found[entry.node, entry.name] = entry
    return list(found.values())


def outputs_of_script(nuke: Nuke, frame: int) -> List[str]:
    """The names of everything that any writing node of the script makes of `frame`."""
    found: List[str] = []
    for cls in WRITER_CLASSES:
        for node in nuke.allNodes(cls, recurseGroups=True):
            found += [output.name for output in outputs_of(nuke, node, frame)]
    return found


def last_frame(nuke: Nuke) -> Optional[int]:
    """The script's last frame, when Root says it."""
    value = _value(nuke.root(), "last_frame")
    try:
        return int(float(value))
    except (TypeError, ValueError):
        return None


def _entries(listed: Any) -> Iterator[Tuple[Optional[Node], str]]:
    """(node, name) of every file in Nuke's list of ``[node, [file, ...]]``."""
    for entry in listed or ():
        if isinstance(entry, str):
            yield None, entry
            continue
        parts = list(entry)
        node = None if not parts or isinstance(parts[0], (str, list, tuple)) else parts[0]
        for name in _strings(parts):
            yield node, name


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _strings(part)


def _is_writing(reader: Node, rendering: Node) -> bool:
    """`reader` is listed for the file it writes: not an input. A Write that is `reading` is one."""
    if reader.Class() not in WRITER_CLASSES:
        return False
    if reader.fullName() == rendering.fullName():
        return True
    return reader.Class() != "ParticleCache" and not _value(reader, "reading")


def _dependency(reader: Optional[Node], name: str, *, is_certain: bool) -> Dependency:
    if reader is None:
        return Dependency("", "file", "error", name, is_certain)
    on_error = _on_error(reader)
    may_lack = reader.Class() == "ParticleCache"  # without its cache it simulates
    is_required = is_certain and on_error == "error" and not may_lack
    return Dependency(reader.fullName(), _knob_of(reader, name), on_error, name, is_required)


def _concrete(nuke: Nuke, name: str, frame: int) -> List[str]:
    if not names.is_pattern(name):
        return [name]
    views = nuke.views() or ("main",)
    return sorted({names.expand(name, frame, view) for view in views})


def _on_error(node: Node) -> str:
    value = _value(node, "on_error")
    if isinstance(value, (int, float)):
        return _ON_ERROR[int(value)] if 0 <= value < len(_ON_ERROR) else "error"
    return str(value) if value in _ON_ERROR else "error"


def _knob_of(node: Node, name: str) -> str:
    """Which of the node's file knobs `name` came from: the one whose fixed beginning fits best."""
    best, best_size = "", -1
    for knob_name, knob in node.knobs().items():
        if knob.Class() != "File_Knob":
            continue
        text = names.split_type(str(knob.value() or ""))[1]
        head = names.head(text)
        size = len(head) if text and name.startswith(head) else 0
        if size > best_size or (size == best_size and knob_name == "file"):
            best, best_size = knob_name, size
    return best or "file"


def _views(nuke: Nuke, node: Node) -> List[str]:
    value = _value(node, "views")
    listed = value.replace("{", " ").replace("}", " ").split() if isinstance(value, str) else list(value or ())
    known = list(nuke.views())
    return [view for view in listed if view in known] or known or ["main"]


def _absolute(nuke: Nuke, name: str) -> str:
    """A relative name stands under the script's project directory."""
    if not name or names.is_absolute(name):
        return name
    knob = nuke.root().knob("project_directory")
    folder = str(getattr(knob, "evaluate", knob.value)() or "") if knob is not None else ""
    return folder.rstrip("/") + "/" + name if names.is_absolute(folder) else name


def _value(node: Node, knob_name: str) -> Any:
    knob = node.knob(knob_name)
    return None if knob is None else knob.value()
