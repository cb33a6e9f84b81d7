"""All the nodes that take part: the script's own, and those of the other files that it brings in.

A gizmo's or live group's content is grafted into a copy of the script, for each node of it; the script of a Precomp
keeps its own Root and with it its own project directory. Both are looked into only where they are upstream of what
renders, and each file is read once. Files that lead back to themselves are refused, naming the ring.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from jit_render.model.errors import ScriptError, Undecided
from jit_render.script.classes import may_be_gizmo
from jit_render.script.evaluate import Evaluator
from jit_render.script.graft import copied, graft
from jit_render.script.nodes import GROUPS, Node, Script
from jit_render.script.parse import parse
from jit_render.script.planned import Files
from jit_render.script.routes import Untold


class Inside(NamedTuple):
    """The nodes whose pictures a group, gizmo or precomp shows; none where that is its first input.

    ``why`` says why they may be more than what is shown, or why what is inside is not known.
    """

    nodes: tuple[Node, ...] = ()
    why: Untold | None = None


_NOTHING = Inside()


class Universe:
    """The nodes behind one script. It works on a copy: `script`."""

    def __init__(
        self,
        script: Script,
        *,
        script_path: str,
        environment: Mapping[str, str],
        files: Files,
        gizmo_path: Sequence[str] = (),
        frame: int = 1,
    ) -> None:
        self._written = script
        self.script = copied(script)
        self.main = Evaluator(self.script, script_path=script_path, environment=environment)
        self.files = files
        self.gizmo_path = _folders(gizmo_path, environment.get("NUKE_PATH", ""))
        self.environment = environment
        self.frame = frame
        self._homes: dict[Node, Evaluator] = {}
        self._openers: dict[Script, Node] = {}
        self._order = {node: index for index, node in enumerate(self.script.nodes)}
        self._insides: dict[Node, Inside] = {}
        self._grafted: dict[Node, str] = {}
        self._plants: dict[str, Node | None] = {}
        self._others: dict[str, Evaluator] = {}
        self._leads: dict[str, list[str]] = {}

    def evaluator(self, node: Node) -> Evaluator:
        return self._homes.get(node, self.main)

    def name(self, node: Node) -> str:
        """The full name, behind that of the Precomp whose script the node is of."""
        opener = self._openers.get(self.evaluator(node).script)
        return node.full_name if opener is None else f"{self.name(opener)}.{node.full_name}"

    def order(self, node: Node) -> tuple[int, int]:
        """Where the node stands among all: that of its gizmo or Precomp in the script, then its own line."""
        line = node.line
        while (opener := self._openers.get(self.evaluator(node).script)) is not None:
            node = opener
        while node not in self._order and node.parent is not None:
            node = node.parent
        return self._order.get(node, 0), line

    def sources(self, node: Node) -> list[Node]:
        """Every node that `node` may show or use."""
        found = [one for one in node.inputs if one is not None]
        found.extend(self.inside(node).nodes)
        if (source := node.source) is not None:
            found.append(source)
        return found

    def inside(self, node: Node) -> Inside:
        """What a group or the like shows; raises ScriptError for files that lead back to themselves."""
        known = self._insides.get(node)
        if known is None:
            known = self._insides[node] = self._look_inside(node)
        return known

    def classes(self) -> dict[str, Node]:
        """Every class of the script and of those that it brought in, each with its first node as it was written."""
        found: dict[str, Node] = {}
        for script in (self._written, *(other.script for other in self._others.values())):
            for node in script.nodes:
                found.setdefault(node.cls, node)
        return found

    def gizmo_file(self, cls: str) -> str | None:
        """Where the gizmo path has the gizmo that a class stands for."""
        base = f"{cls.removesuffix('.gizmo')}.gizmo"
        return next((f"{folder}/{base}" for folder in self.gizmo_path if base in self.files.list(folder)), None)

    def _look_inside(self, node: Node) -> Inside:
        if node.cls == "Precomp":
            return self._precomp(node)
        why = None
        if node.cls == "LiveGroup":
            why = self._fill_live(node)
        elif node.cls not in GROUPS:
            why = self._fill_gizmo(node)
        elif not node.children and node.clone_of is not None:
            self._fill(node, node.clone_of, "")
        output = node.output if node.cls in GROUPS else None
        return Inside((output,), why) if output is not None else Inside((), why) if why else _NOTHING

    def _fill_gizmo(self, node: Node) -> Untold | None:
        path = self.gizmo_file(node.cls)
        if path is None:
            missing = f"{node.cls} is no class of Nuke's, and no gizmo path has it: what it reads cannot be told"
            return self._untold(node, missing, "add its folder to the gizmo path") if may_be_gizmo(node.cls) else None
        plant = self._plant(path)
        if plant is None:
            return self._untold(node, f"{path} cannot be read as a gizmo: what it reads cannot be told", "mend it")
        self._fill(node, plant, path)
        return None

    def _fill_live(self, node: Node) -> Untold | None:
        """A published live group is its file; one that is being worked on is what the script holds."""
        evaluator = self.evaluator(node)
        view = evaluator.views[0]
        try:
            path = evaluator.path(node, "file", frame=self.frame, view=view)
            published = evaluator.boolean(node, "published", frame=self.frame, view=view, default=not node.children)
        except Undecided as undecided:
            return Untold.of(undecided, node)
        if not path or not published:
            return None
        plant = self._plant(path)
        if plant is None:
            return self._untold(node, f"{path} cannot be read: what it reads cannot be told", "put it there")
        self._fill(node, plant, path)
        return None

    def _fill(self, node: Node, plant: Node, path: str) -> None:
        self._refuse_nested(node, path)
        self._grafted[node] = path
        evaluator = self.evaluator(node)
        made = graft(evaluator.script, node, plant)
        if evaluator is not self.main:
            self._homes.update(dict.fromkeys(made, evaluator))

    def _refuse_nested(self, node: Node, path: str) -> None:
        around: list[str] = []
        group = node.parent
        while group is not None and path:
            if group in self._grafted:
                around.append(self._grafted[group])
                if around[-1] == path:
                    raise _ring([*around[::-1], path], node)
            group = group.parent

    def _plant(self, path: str) -> Node | None:
        """The group that a file holds, or its Root where it holds nodes only."""
        if path not in self._plants:
            script = self._parsed(path)
            tops = [] if script is None else [one for one in script.root.children if one.cls in GROUPS]
            plant = tops[0] if len(tops) == 1 else None if script is None else script.root
            if plant is not None and plant.cls == "Root":
                plant = Node("LiveGroup", plant.name, plant.line, {}, children=plant.children)
            self._plants[path] = plant
        return self._plants[path]

    def _parsed(self, path: str) -> Script | None:
        data = self.files.read(path)
        try:
            return None if data is None else parse(data, name=path.rpartition("/")[2])
        except ScriptError:
            return None

    def _precomp(self, node: Node) -> Inside:
        evaluator = self.evaluator(node)
        try:
            path = evaluator.path(node, "file", frame=self.frame, view=evaluator.views[0])
        except Undecided as undecided:
            return Inside((), Untold.of(undecided, node))
        other = self._other(node, evaluator, path)
        if other is None:
            return Inside(
                (), self._untold(node, f"{path} cannot be read: what it reads cannot be told", "put it there")
            )
        return self._shown(node, other)

    def _other(self, node: Node, evaluator: Evaluator, path: str) -> Evaluator | None:
        """The script of a Precomp, read at its first mention."""
        self._refuse_ring(node, evaluator.script_path, path)
        if path not in self._others:
            script = self._parsed(path)
            if script is None:
                return None
            views = self.main.views
            other = Evaluator(script, script_path=path, environment=self.environment, views=views)
            self._others[path] = other
            self._homes.update(dict.fromkeys((script.root, *script.nodes), other))
            self._openers[script] = node
        return self._others[path]

    def _refuse_ring(self, node: Node, here: str, path: str) -> None:
        self._leads.setdefault(here, []).append(path)
        todo: list[tuple[str, ...]] = [(here, path)]
        seen = {path}
        while todo:
            way = todo.pop()
            if way[-1] == here:
                raise _ring(way, node)
            for step in self._leads.get(way[-1], ()):
                if step not in seen:
                    seen.add(step)
                    todo.append((*way, step))

    def _shown(self, node: Node, other: Evaluator) -> Inside:
        """What a Precomp shows of its script: its Output, else a Write; what that once wrote, where it is reading."""
        tops = other.script.root.children
        outputs = [one for one in tops if one.cls == "Output"][:1]
        writes = [one for one in tops if one.cls in {"Write", "DeepWrite"}]
        shown = outputs or writes
        why = None
        if not outputs and len(writes) > 1:
            why = self._untold(node, f"which of the {len(writes)} Writes of {other.script.name} it shows", "")
        try:
            is_reading = self.evaluator(node).boolean(node, "reading", frame=self.frame, view=other.views[0])
        except Undecided:
            is_reading = True
        if is_reading:
            why = self._untold(node, f"whether it shows what {other.script.name} makes or what it once wrote", "")
            shown = shown + [self._reader(write, other) for write in writes]
        return Inside(tuple(shown), why)

    def _reader(self, write: Node, other: Evaluator) -> Node:
        knobs = {knob: text for knob, text in write.knobs.items() if knob not in {"first", "last"}}
        reader = Node("Read", write.name, write.line, knobs, write.parent)
        self._homes[reader] = other
        return reader

    def _untold(self, node: Node, what: str, way_out: str) -> Untold:
        text = what if way_out else f"{what} cannot be told"
        tail = f"; {way_out}." if way_out else "."
        return Untold(f"{self.name(node)}: {text}{tail}", node.cls, self.name(node), "file", node.line)


def _folders(given: Sequence[str], spelled: str) -> tuple[str, ...]:
    """The gizmo path: what is configured, then what the environment's NUKE_PATH says (Windows has ``;`` there)."""
    listed = spelled.split(";") if ";" in spelled or re.match(r"[A-Za-z]:[\\/]", spelled) else spelled.split(":")
    folders = (folder.strip().replace("\\", "/").rstrip("/") for folder in (*given, *listed))
    return tuple(dict.fromkeys(folder for folder in folders if folder))


def _ring(paths: Iterable[str], node: Node) -> ScriptError:
    ring = " → ".join(paths)
    return ScriptError(
        f"line {node.line}: {node.full_name} leads back to itself: {ring}; break the ring.", line=node.line
    )
