"""Which Write nodes a job renders, and where each of them writes, as far as the script says it before rendering.

What can be wrong with a Write is found here, before anything is stored or rendered: no such node, disabled, no
file, a file outside the mapped roots or under a rule that is for reading only, all frames in one file, two Writes
with one file. A file name that only Nuke can work out (Python, metadata) is left to the render, and said.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jit_render.model.errors import PathRefused, Undecided, UsageError
from jit_render.model.frames import FrameSet, expand, has_frame
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import WriteTarget
from jit_render.model.pathmap import Mapped, PathMap
from jit_render.script import Evaluator, Node, Script, script_views
from nuke_callbacks.names import holds_all_frames
from nuke_callbacks.surface import WRITER_CLASSES

_ABSOLUTE = re.compile(r"^(?:/|\\\\|[A-Za-z]:[\\/])")
_TYPE_PREFIX = re.compile(r"^[a-z][a-z0-9]+:(?=/)")  # exr:/path


@dataclass(frozen=True, slots=True)
class Targets:
    """What was found: the Writes, the frames that at least one of them writes, and what a person should know."""

    writes: tuple[WriteTarget, ...]
    frames: FrameSet
    notes: tuple[str, ...]


class TargetFinder:
    """Looks at one script for one set of frames."""

    def __init__(self, script: Script, evaluator: Evaluator, path_map: PathMap, frames: FrameSet) -> None:
        self._script = script
        self._evaluator = evaluator
        self._path_map = path_map
        self._frames = frames
        self._notes: list[str] = []

    def find(self, names: Sequence[str], views: Sequence[str]) -> Targets:
        """The targets of the Writes called `names` (none: every enabled one) in `views` (none: what each asks for)."""
        nodes = self._chosen(names)
        self._check_views(views)
        writes = tuple(target for node in nodes if (target := self._target(node, views)) is not None)
        if not writes:
            raise UsageError(f"{self._script.name}: no chosen Write renders any of the views {', '.join(views)}.")
        self._refuse_shared_files(writes)
        frames = [frame for frame in self._frames if any(write.covers(frame) for write in writes)]
        if not frames:
            raise UsageError(f"{self._script.name}: frames {self._frames} are outside every Write's own limit.")
        if len(frames) < len(self._frames):
            self._notes.append(f"{len(self._frames) - len(frames)} frames are outside every Write's limit: left out.")
        return Targets(writes, FrameSet.of(frames), tuple(self._notes))

    def _chosen(self, names: Sequence[str]) -> list[Node]:
        every = list(self._script.of_class(*WRITER_CLASSES))
        if not every:
            raise UsageError(f"{self._script.name} has no Write node, so there is nothing to render.")
        if names:
            return list(dict.fromkeys(self._named(name, every) for name in names))
        enabled = [node for node in every if not self._is_disabled(node)]
        if not enabled:
            raise UsageError(f"{self._script.name}: all {len(every)} Write nodes are disabled; enable one.")
        return enabled

    def _named(self, name: str, every: list[Node]) -> Node:
        matches = [node for node in every if name in {node.full_name, node.name}]
        exact = [node for node in matches if node.full_name == name] or matches
        if len(exact) > 1:
            listed = ", ".join(node.full_name for node in exact)
            raise UsageError(f"{self._script.name}: {name!r} may be {listed}; write the full name.")
        if not exact:
            known = [node.full_name for node in every]
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known[:20])}."
            raise UsageError(f"{self._script.name} has no Write node {name!r}; {hint}")
        if self._is_disabled(exact[0]):
            raise UsageError(f"{self._script.name}: {name} is disabled; enable it in the script or leave it out.")
        return exact[0]

    def _is_disabled(self, node: Node | None) -> bool:
        while node is not None:
            try:
                if self._evaluator.boolean(node, "disable", frame=self._frames.first, view=self._any_view()):
                    return True
            except Undecided:
                self._notes.append(f"{node.full_name}.disable cannot be told before rendering; taken as enabled.")
            node = node.parent
        return False

    def _any_view(self) -> str:
        return self._evaluator.views[0]

    def _check_views(self, views: Iterable[str]) -> None:
        for view in views:
            if view not in script_views(self._script):
                known = ", ".join(script_views(self._script))
                raise UsageError(f"{self._script.name} has no view {view!r}; it has {known}.")

    def _target(self, node: Node, views: Sequence[str]) -> WriteTarget | None:
        own = self._views_of(node)
        chosen = tuple(view for view in own if not views or view in views)
        if not chosen:
            return None
        file = self._file(node, chosen[0])
        for view in chosen[1:]:
            self._file(node, view)
        per_frame = not holds_all_frames(file)
        limit = self._limit(node)
        target = WriteTarget(name=node.full_name, file=file, views=chosen, per_frame=per_frame, limit=limit)
        covered = sum(map(target.covers, self._frames))
        if per_frame and covered > 1 and file and not has_frame(file) and "[" not in file:
            raise UsageError(
                f"{node.full_name}.file {file!r} has no frame number, so {covered} frames would overwrite "
                "each other; add #### before the extension."
            )
        return target

    def _views_of(self, node: Node) -> tuple[str, ...]:
        """The views that the Write asks for; all of the script's where it names none of them. Raises Undecided."""
        text = self._evaluator.string(node, "views", frame=self._frames.first, view=self._any_view())
        known = script_views(self._script)
        return tuple(view for view in re.split(r"[\s{}]+", text) if view in known) or known

    def _file(self, node: Node, view: str) -> str:
        """The file pattern; as it is in the script where only the render can tell. Raises UsageError, PathRefused."""
        where = f"{node.full_name}.file"
        try:
            text, other = (
                self._evaluator.path(node, "file", frame=frame, view=view).strip()
                for frame in (self._frames.first, self._frames.last)
            )
        except Undecided as undecided:
            self._notes.append(f"{where} is checked when it renders: {undecided}")
            return str(node.knobs.get("file", ""))
        if not text:
            raise UsageError(f"{self._script.name}: {where} is empty; give the Write a file name.")
        if not _ABSOLUTE.match(_TYPE_PREFIX.sub("", text)):
            raise UsageError(
                f"{where} {text!r} is relative and the script has no project directory; write the full path."
            )
        self._check_mapped(where, text, view)
        return text if text == other else str(node.knobs["file"])  # an expression puts the frame in

    def _check_mapped(self, where: str, text: str, view: str) -> None:
        try:
            mapped = self._mapped(text, view)
        except PathRefused as refused:
            raise type(refused)(f"{where}: {refused}") from None
        if mapped.mode != "write":
            raise UsageError(
                f"{where}: {text!r} is under {mapped.prefix}, which is mapped for reading only; "
                'write elsewhere, or set mode = "write" in its [[paths]] rule.'
            )

    def _mapped(self, text: str, view: str) -> Mapped:
        return self._path_map.resolve(expand(_TYPE_PREFIX.sub("", text), self._frames.first, view))

    def _limit(self, node: Node) -> tuple[int, int] | None:
        frame, view = self._frames.first, self._any_view()
        try:
            if not self._evaluator.boolean(node, "use_limit", frame=frame, view=view):
                return None
            first = self._evaluator.number(node, "first", frame=frame, view=view)
            last = self._evaluator.number(node, "last", frame=frame, view=view)
        except Undecided:
            self._notes.append(f"{node.full_name}: its frame limit cannot be told before rendering.")
            return None
        return int(first), int(last)

    def _refuse_shared_files(self, writes: tuple[WriteTarget, ...]) -> None:
        seen: dict[ObjectUrl, str] = {}
        for write in writes:
            if "[" in write.file:  # only the render can tell
                continue
            for url in {self._mapped(write.file, view).url for view in write.views}:
                other = seen.setdefault(url, write.name)
                if other != write.name:
                    raise UsageError(f"{other} and {write.name} both write {url}; give each a file of its own.")
