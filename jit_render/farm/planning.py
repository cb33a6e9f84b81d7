"""A plan meets the bucket: what a job's frames will read, which of it is there, in which version, and what it weighs.

The plan says names; the path map makes objects of them; the bucket says which exist. It is asked folder by folder,
many at once, never object by object: a sequence of a thousand frames is one listing, and so is a folder that holds a
hundred thousand other files. What comes of it decides whether a submit goes on (`Inputs.missing`), is shown by
``--plan``, and becomes the job's manifest.

The job's own outputs are no inputs: a Read of what a Write of the same job renders waits for it and pins nothing.
A name under no path rule is the node's own business, as a font of the system; it is listed, and warned of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from jit_render.farm.records import concurrently
from jit_render.model.errors import MissingInput, PathRefused
from jit_render.model.frames import expand
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.job import JobSpec
from jit_render.model.manifest import Manifest, PlannedNode
from jit_render.model.pathmap import PathMap
from jit_render.script.planned import Plan, ReadPlan
from jit_render.store import Store

MOST_NAMED = 20  # missing inputs in one message; --plan lists them all


@dataclass(frozen=True, slots=True)
class Missing:
    """An input that the bucket lacks. `frame` is the first of the job that needs it, `frames` how many do."""

    node: str
    knob: str
    frame: int
    frames: int
    object: str
    name: str
    on_error: str
    certain: bool

    @property
    def stops(self) -> bool:
        """Whether a frame would fail for it: the script asks for it for certain, and not `on_error` something."""
        return self.certain and self.on_error == "error"


@dataclass(frozen=True, slots=True)
class ReadInputs:
    """One planned knob. `there` of `files` distinct objects are in the bucket, `size_bytes` in all."""

    read: ReadPlan
    pattern: str
    """URL; empty for a name under no path rule."""
    files: int = 0
    there: int = 0
    size_bytes: int = 0
    made_here: int = 0
    """Files that the job itself writes."""
    missing: tuple[Missing, ...] = ()
    refused: str = ""
    """Why the name cannot be an object's."""


@dataclass(frozen=True)
class Inputs:
    """All that a plan reads, as the bucket was when it was asked."""

    reads: tuple[ReadInputs, ...]
    objects: tuple[ObjectInfo, ...]
    """Each once."""
    frames: Mapping[int, frozenset[int]]
    """Per frame, positions in `objects`."""
    folders: Mapping[ObjectUrl, int]
    """Bytes of everything in each folder that was listed."""

    @cached_property
    def missing(self) -> tuple[Missing, ...]:
        return tuple(one for read in self.reads for one in read.missing)

    @cached_property
    def size_bytes(self) -> int:
        return sum(info.size_bytes for info in self.objects)

    @property
    def folder_bytes(self) -> int:
        return sum(self.folders.values())

    def bytes_of(self, frame: int) -> int:
        return sum(self.objects[position].size_bytes for position in self.frames.get(frame, ()))

    def generations(self) -> dict[ObjectUrl, str]:
        """The live generation of each object that was found."""
        return {info.url: info.id.generation for info in self.objects}

    def manifest(self) -> Manifest:
        nodes = tuple(
            PlannedNode(one.read.node, one.read.knob, one.pattern, one.read.on_error, one.read.certain)
            for one in self.reads
            if one.pattern
        )
        frames = {frame: tuple(positions) for frame, positions in self.frames.items()}
        return Manifest(self.objects, frames, nodes)

    def check(self, way_out: str) -> None:
        """Raises MissingInput naming every input without which a frame would fail, and `way_out`: what else to do."""
        stopping = [one for one in self.missing if one.stops]
        if not stopping:
            return
        named = "; ".join(
            f"frame {one.frame}{f' and {one.frames - 1} more' * (one.frames > 1)}: {one.object} ({one.node}.{one.knob})"
            for one in stopping[:MOST_NAMED]
        )
        more = f"; and {len(stopping) - MOST_NAMED} more (--plan lists all)" if len(stopping) > MOST_NAMED else ""
        count = "1 input is" if len(stopping) == 1 else f"{len(stopping)} inputs are"
        raise MissingInput(
            f"{count} not in the bucket: {named}{more}. Bring them there, or {way_out}."
        )


def look(store: Store, plan: Plan, spec: JobSpec) -> Inputs:
    """Ask the bucket for everything that `plan` names. Raises StoreError."""
    own = outputs_of(spec)
    wishes = [_Wish.of(read, spec.path_map, own) for read in plan.reads]
    wanted = {url for wish in wishes for url in wish.urls}
    found, folders = _list(store, wanted)
    positions = {url: position for position, url in enumerate(found)}
    frames: dict[int, set[int]] = {frame: set() for frame in spec.frame_set}
    for wish in wishes:
        for url, asking in wish.urls.items():
            position = positions.get(url)
            if position is not None:
                for frame in asking:
                    if frame in frames:
                        frames[frame].add(position)
    return Inputs(
        reads=tuple(wish.met(found) for wish in wishes),
        objects=tuple(found.values()),
        frames={frame: frozenset(needed) for frame, needed in frames.items()},
        folders=folders,
    )


@dataclass(frozen=True, slots=True)
class _Wish:
    """A read's objects, each with the job's frames that ask for it."""

    read: ReadPlan
    pattern: ObjectUrl | None
    urls: dict[ObjectUrl, list[int]] = field(default_factory=dict)
    made_here: int = 0
    refused: str = ""

    @classmethod
    def of(cls, read: ReadPlan, path_map: PathMap, own: frozenset[ObjectUrl]) -> _Wish:
        try:
            mapped = path_map.find(read.pattern)
        except PathRefused as error:
            return cls(read, None, refused=str(error))
        if mapped is None:
            return cls(read, None)
        urls: dict[ObjectUrl, list[int]] = {}
        for frame, key in _keys(read, mapped.url.key):
            urls.setdefault(ObjectUrl(mapped.url.root, key), []).append(frame)
        made_here = own.intersection(urls)
        for url in made_here:
            del urls[url]
        return cls(read, mapped.url, urls, len(made_here))

    def met(self, found: Mapping[ObjectUrl, ObjectInfo]) -> ReadInputs:
        """What the bucket has of it."""
        there = [found[url] for url in self.urls if url in found]
        return ReadInputs(
            read=self.read,
            pattern="" if self.pattern is None else str(self.pattern),
            files=len(self.urls) + self.made_here,
            there=len(there),
            size_bytes=sum(info.size_bytes for info in there),
            made_here=self.made_here,
            missing=tuple(self._missing(url, frames) for url, frames in self.urls.items() if url not in found),
            refused=self.refused,
        )

    def _missing(self, url: ObjectUrl, frames: list[int]) -> Missing:
        read = self.read
        return Missing(
            read.node, read.knob, min(frames), len(set(frames)), str(url), url.name, read.on_error, read.certain
        )


def _keys(read: ReadPlan, pattern: str) -> Iterator[tuple[int, str]]:
    """Each of the job's frames with the key of each object that it reads."""
    spelled: dict[int, list[str]] = {}
    for frame, files in read.wanted.items():
        for number in files:
            keys = spelled.get(number)
            if keys is None:
                keys = spelled[number] = list(
                    dict.fromkeys(expand(pattern, number, view) for view in read.views or ("",))
                )
            for key in keys:
                yield frame, key


def outputs_of(spec: JobSpec) -> frozenset[ObjectUrl]:
    """Every object that the job writes, as far as its Writes' names tell."""
    found = set()
    for write in spec.writes:
        try:
            mapped = spec.path_map.find(write.file)
        except PathRefused:
            continue
        if mapped is not None:
            for view in write.views:
                found |= {ObjectUrl(mapped.url.root, expand(mapped.url.key, frame, view)) for frame in spec.frame_set}
    return frozenset(found)


def _list(store: Store, wanted: Iterable[ObjectUrl]) -> tuple[dict[ObjectUrl, ObjectInfo], dict[ObjectUrl, int]]:
    """The wanted objects that exist, and the bytes of all that lies in their folders."""
    folders: dict[ObjectUrl, set[str]] = {}
    for url in wanted:
        folders.setdefault(url.parent, set()).add(url.key)

    def one(entry: tuple[ObjectUrl, set[str]]) -> tuple[list[ObjectInfo], int]:
        folder, keys = entry
        found, size_bytes = [], 0
        for info in store.list(folder, recursive=False):
            size_bytes += info.size_bytes
            if info.url.key in keys:
                found.append(info)
        return found, size_bytes

    ordered = sorted(folders.items(), key=lambda entry: entry[0])
    listed = concurrently(one, ordered)
    found = {info.url: info for infos, _ in listed for info in infos}
    return found, {folder: size for (folder, _), (_, size) in zip(ordered, listed, strict=True)}
