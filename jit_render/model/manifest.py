"""The manifest of a job: the version of each planned input, and which frames read it. Values and their JSON; no I/O.

Written at submit, before ``job.json``; never changed. It must stay small (10,000 frames of 200 files), and a worker
must not read what other frames need. So it is an index and *volumes*::

    inputs.json                     how many objects, which volumes a frame needs, the nodes that read
    inputs/<digest>/where.json.gz   which volumes hold which names: for a name that no plan foresaw for the frame
    inputs/<digest>/0.json.gz       what many parts of the job need, as stills; only where there are such
    inputs/<digest>/1.json.gz …     one part of the job each, some whole tasks: its frames, and what they need first

The digest is of the volumes' bytes, so that two submissions at the same time cannot mix theirs.

Each object stands in one volume. What one part needs is in its own; what a few need, as a clip that is echoed some
frames later, in the first one's, which the others read as well; the rest is volume 0. Objects are numbered through
all volumes, and a frame's objects are ranges of numbers. How a volume is written is in ``volume.py``.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.volume import Run, as_runs, pack, pack_volume, runs_of, spell_strand, strand_key, unreadable

SCHEMA_VERSION = 1
PART_FRAMES = 64
"""A part has at least so many frames (whole tasks), unless it is full before: reading one costs a few requests."""
PART_OBJECTS = 20_000
FEW_PARTS = 4
"""An object that more parts need goes to volume 0."""
SHARED = 0


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A knob that reads planned files. ``pattern`` is a URL whose placeholders are Nuke's."""

    node: str
    knob: str
    pattern: str
    on_error: str = "error"
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """Some tasks' frames, and the volumes that hold what they need; the first is the part's own."""

    frames: tuple[Run, ...]
    volumes: tuple[int, ...]

    def __contains__(self, frame: int) -> bool:
        return any(frame in range(first, first + count * step, step) for first, count, step in self.frames)


@dataclass(frozen=True, slots=True)
class Index:
    """What ``inputs.json`` says."""

    folder: str
    """Where the volumes are, below the job's own folder."""
    objects: int
    size_bytes: int
    parts: tuple[Part, ...]
    nodes: tuple[PlannedNode, ...] = ()

    def place(self, volume: int | str) -> str:
        """A volume's name below the job's folder."""
        return f"{self.folder}/{volume}.json.gz"

    def part_of(self, frame: int) -> Part | None:
        return next((part for part in self.parts if frame in part), None)

    def volumes_for(self, frames: Iterable[int]) -> tuple[int, ...]:
        """The volumes that these frames need, each once."""
        parts = {id(part): part for frame in frames if (part := self.part_of(frame)) is not None}
        return tuple(dict.fromkeys(volume for part in parts.values() for volume in part.volumes))


@dataclass(frozen=True, slots=True)
class Where:
    """Which volumes hold the objects of a strand: per volume its first and last number."""

    strands: Mapping[str, Sequence[Sequence[int]]]

    def volumes_of(self, url: ObjectUrl) -> tuple[int, ...]:
        """The volumes in which `url` may be, if it is anywhere."""
        name, number = spell_strand(url)
        return tuple(volume for volume, first, last in self.strands.get(name, ()) if first <= number <= last)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A manifest as it is stored."""

    index: bytes
    parts: Mapping[str, bytes]
    """By their names below the job's folder."""

    @property
    def size_bytes(self) -> int:
        return len(self.index) + sum(map(len, self.parts.values()))


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a job pins: objects, each once, and per frame the positions of those it reads."""

    objects: Sequence[ObjectInfo]
    frames: Mapping[int, Sequence[int]]
    nodes: tuple[PlannedNode, ...] = ()

    def encode(self, tasks: Sequence[Sequence[int]]) -> Encoded:
        """As bytes. `tasks` are the frames of each task, all of the job's."""
        return _Encoder(self, _parts(tasks, self.frames)).run()


def read_index(data: bytes, shown: str) -> Index:
    """Raises JobError naming `shown` for what is no index of this release."""
    try:
        table = json.loads(data)
        if table["schema_version"] != SCHEMA_VERSION:
            raise unreadable(shown, f"schema version {table['schema_version']}")
        return Index(
            folder=str(table["folder"]),
            objects=int(table["objects"]),
            size_bytes=int(table["size_bytes"]),
            parts=tuple(Part(as_runs(part["frames"]), tuple(part["volumes"])) for part in table["parts"]),
            nodes=tuple(PlannedNode(**node) for node in table["nodes"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise unreadable(shown, repr(error)) from None


def read_where(data: bytes, shown: str) -> Where:
    """Raises JobError naming `shown`."""
    try:
        return Where(dict(json.loads(gzip.decompress(data))["strands"]))
    except (ValueError, TypeError, KeyError, EOFError, OSError) as error:
        raise unreadable(shown, repr(error)) from None


def _parts(tasks: Sequence[Sequence[int]], frames: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """Whole tasks put together until a part is worth its requests."""
    parts: list[list[int]] = []
    size = 0
    for task in tasks:
        if not parts or len(parts[-1]) >= PART_FRAMES or size >= PART_OBJECTS:
            parts.append([])
            size = 0
        parts[-1] += task
        size += sum(len(frames.get(frame, ())) for frame in task)
    return parts


@dataclass
class _Encoder:
    manifest: Manifest
    parts: list[list[int]]
    _numbers: list[int] = field(init=False)
    """The number of the object at each position of the manifest."""

    def run(self) -> Encoded:
        homes, needed = self._homes()
        volumes = self._ordered(homes)
        self._numbers = [0] * len(homes)
        starts: dict[int, int] = {}
        count = 0
        for volume, positions in volumes.items():
            starts[volume] = count
            for number, position in enumerate(positions, start=count):
                self._numbers[position] = number
            count += len(positions)
        objects = self.manifest.objects
        packed = {
            str(volume): pack_volume(
                starts[volume], [objects[position] for position in positions], self._frames(volume)
            )
            for volume, positions in volumes.items()
        }
        packed["where"] = self._where(volumes)
        folder = f"inputs/{hashlib.sha256(b''.join(packed.values())).hexdigest()[:16]}"
        return Encoded(self._index(folder, needed), {f"{folder}/{name}.json.gz": data for name, data in packed.items()})

    def _ordered(self, homes: list[int]) -> dict[int, list[int]]:
        """The positions of each volume's objects, strand by strand. Every part has a volume."""
        volumes: dict[int, list[int]] = {part: [] for part in range(1, len(self.parts) + 1)}
        for position, home in enumerate(homes):
            volumes.setdefault(home, []).append(position)
        for positions in volumes.values():
            positions.sort(key=lambda position: strand_key(self.manifest.objects[position].url))
        return dict(sorted(volumes.items()))

    def _homes(self) -> tuple[list[int], list[list[int]]]:
        """The volume of each object, and the volumes that each part needs, its own first."""
        users: list[list[int]] = [[] for _ in self.manifest.objects]
        for number, frames in enumerate(self.parts, start=1):
            for position in {at for frame in frames for at in self.manifest.frames.get(frame, ())}:
                users[position].append(number)
        homes = [SHARED if not parts or len(parts) > FEW_PARTS else parts[0] for parts in users]
        needed: list[set[int]] = [set() for _ in self.parts]
        for home, parts in zip(homes, users, strict=True):
            for part in parts:
                needed[part - 1].add(home)
        return homes, [[own, *sorted(volumes - {own})] for own, volumes in enumerate(needed, start=1)]

    def _frames(self, volume: int) -> dict[str, list[int]]:
        """Per frame: gap, length, gap, length …"""
        table = {}
        for frame in self.parts[volume - 1] if volume != SHARED else ():
            flat: list[int] = []
            end = 0
            wanted = sorted({self._numbers[position] for position in self.manifest.frames.get(frame, ())})
            for one in wanted:
                if flat and one == end:
                    flat[-1] += 1
                else:
                    flat += [one - end, 1]
                end = one + 1
            table[str(frame)] = flat
        return table

    def _where(self, volumes: dict[int, list[int]]) -> bytes:
        strands: dict[str, list[list[int]]] = {}
        for volume, positions in volumes.items():
            for position in positions:
                name, number = spell_strand(self.manifest.objects[position].url)
                spans = strands.setdefault(name, [])
                if spans and spans[-1][0] == volume:
                    spans[-1][2] = number
                else:
                    spans.append([volume, number, number])
        return pack({"strands": strands})

    def _index(self, folder: str, needed: list[list[int]]) -> bytes:
        parts = [
            {"frames": runs_of(sorted(frames)), "volumes": volumes}
            for frames, volumes in zip(self.parts, needed, strict=True)
        ]
        table = {
            "schema_version": SCHEMA_VERSION,
            "folder": folder,
            "objects": len(self.manifest.objects),
            "size_bytes": sum(info.size_bytes for info in self.manifest.objects),
            "parts": parts,
            "nodes": [asdict(node) for node in self.manifest.nodes],
        }
        return json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
