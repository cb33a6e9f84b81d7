"""How exact a job's plan was: what was planned and not read, what was read and not planned, frame by frame.

The plan is the job's manifest; what was read is in the commit records. Only frames that are done are compared. What is
found is told by the node whose file pattern covers the object, and where none does, by the object's own pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from jit_render.farm.pinning import index_of, pinned
from jit_render.farm.planning import outputs_of
from jit_render.farm.records import JobReader
from jit_render.model.errors import JobError
from jit_render.model.frames import spell
from jit_render.model.identity import ObjectUrl
from jit_render.model.manifest import PlannedNode
from jit_render.model.volume import spell_strand
from jit_render.store import ABSENT

_PLACEHOLDER = re.compile(r"#+|%0?\d*d|%[vV]")
_WIDTH = re.compile(r"<(\d+)>")


@dataclass(frozen=True, slots=True)
class NodeDiff:
    """One read of the script, or a pattern that no node of the plan covers (`node` is empty). Counts are of files."""

    node: str
    pattern: str
    certain: bool
    planned: int
    read: int
    unread: int
    unread_frames: str
    """The job's frames that did not read all that was planned."""
    unplanned: int
    unplanned_frames: str

    @property
    def is_exact(self) -> bool:
        return not self.unread and not self.unplanned


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """`frames` were compared, all that are done."""

    job: str
    frames: str
    nodes: tuple[NodeDiff, ...]

    @property
    def is_exact(self) -> bool:
        return all(node.is_exact for node in self.nodes)


@dataclass(slots=True)
class _Tally:
    planned: set[ObjectUrl] = field(default_factory=set)
    read: set[ObjectUrl] = field(default_factory=set)
    unread: set[ObjectUrl] = field(default_factory=set)
    unplanned: set[ObjectUrl] = field(default_factory=set)
    unread_frames: set[int] = field(default_factory=set)
    unplanned_frames: set[int] = field(default_factory=set)


def compare(job: JobReader) -> PlanDiff:
    """Raises JobError where the job was submitted without a plan; StoreError."""
    spec = job.spec()
    if not spec.inputs:
        raise JobError(f"job {spec.id} was submitted without a plan; there is nothing to compare.")
    index = index_of(job)
    read = _read(job)
    planned = pinned(job, index, read)
    covering = _Covering(index.nodes)
    tallies: dict[tuple[str, str, bool], _Tally] = {}

    def of(url: ObjectUrl) -> _Tally:
        return tallies.setdefault(covering.of(url), _Tally())

    for frame, seen in read.items():
        wanted = {info.url for info in planned[frame]}
        for url in wanted:
            of(url).planned.add(url)
        for url in seen:
            of(url).read.add(url)
        for url in wanted - seen:
            of(url).unread.add(url)
            of(url).unread_frames.add(frame)
        for url in seen - wanted:
            of(url).unplanned.add(url)
            of(url).unplanned_frames.add(frame)
    return PlanDiff(spec.id, spell(read), tuple(_node(key, tallies[key]) for key in sorted(tallies)))


def _read(job: JobReader) -> dict[int, set[ObjectUrl]]:
    """Per frame that is done, the inputs that its records name, without the job's own outputs."""
    spec = job.spec()
    keys = [key for frame in spec.frame_set for key in spec.commits(frame)]
    records = job.commit_records(job.committed_of(keys))
    own = outputs_of(spec)
    found = {}
    for frame in sorted(spec.frame_set):
        of_frame = spec.commits(frame)
        if of_frame and all(key in records for key in of_frame):
            urls = {
                ObjectUrl.parse(source.url)
                for key in of_frame
                for source in records[key].inputs
                if source.generation != ABSENT
            }
            found[frame] = urls - own
    return found


class _Covering:
    """Which node's pattern an object comes under; told once for each strand."""

    def __init__(self, nodes: Iterable[PlannedNode]) -> None:
        self._nodes = [(_as_expression(node.pattern), node) for node in nodes]
        self._known: dict[str, tuple[str, str, bool]] = {}

    def of(self, url: ObjectUrl) -> tuple[str, str, bool]:
        strand, _ = spell_strand(url)
        known = self._known.get(strand)
        if known is None:
            known = self._known[strand] = self._look(url, strand)
        return known

    def _look(self, url: ObjectUrl, strand: str) -> tuple[str, str, bool]:
        covering = [node for expression, node in self._nodes if expression.fullmatch(str(url))]
        if covering:
            names = dict.fromkeys(f"{node.node}.{node.knob}" for node in covering)
            return ", ".join(names), covering[0].pattern, any(node.certain for node in covering)
        return "", _WIDTH.sub(r"%0\1d", strand), True


def _as_expression(pattern: str) -> re.Pattern[str]:
    parts, end = [], 0
    for match in _PLACEHOLDER.finditer(pattern):
        parts += [re.escape(pattern[end : match.start()]), r"[^/]+" if match[0][-1] in "vV" else r"-?\d+"]
        end = match.end()
    return re.compile("".join([*parts, re.escape(pattern[end:])]))


def _node(key: tuple[str, str, bool], tally: _Tally) -> NodeDiff:
    node, pattern, certain = key
    return NodeDiff(
        node=node,
        pattern=pattern,
        certain=certain,
        planned=len(tally.planned),
        read=len(tally.read),
        unread=len(tally.unread),
        unread_frames=spell(tally.unread_frames),
        unplanned=len(tally.unplanned),
        unplanned_frames=spell(tally.unplanned_frames),
    )
