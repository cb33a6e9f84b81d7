"""A folder of a bucket as people think of it: sequences, single files, folders with their weight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import fileseq

from jit_render.model.frames import spell
from jit_render.model.identity import ObjectInfo, ObjectUrl


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a listing. `name` is relative; ``%04d`` where it stands for `frames` (canonical spelling)."""

    name: str
    frames: str
    files: int
    size_bytes: int
    is_folder: bool = False

    def spoken(self) -> str:
        """``bg.%04d.exr 1001-1048 (48)``."""
        if self.is_folder:
            return f"{self.name}/"
        return f"{self.name} {self.frames} ({self.files})" if self.frames else self.name


def list_folder(infos: Iterable[ObjectInfo], folder: ObjectUrl, *, recursive: bool = False) -> list[Entry]:
    """What lies in `folder`, from the listing of everything below it: folders first, then files by name.

    With `recursive`, the files of all folders, with their folders in their names.
    """
    prefix = f"{folder.key}/" if folder.key else ""
    files: dict[str, int] = {}
    folders: dict[str, list[int]] = defaultdict(list)
    for info in infos:
        name = info.url.key.removeprefix(prefix)
        head, slash, _ = name.partition("/")
        if slash and not recursive:
            folders[head].append(info.size_bytes)
        else:
            files[name] = info.size_bytes
    found = [Entry(name, "", len(sizes), sum(sizes), is_folder=True) for name, sizes in sorted(folders.items())]
    return found + _sequences(files)


def _sequences(files: dict[str, int]) -> list[Entry]:
    entries = []
    for sequence in fileseq.findSequencesInList(list(files)):
        names = [str(path) for path in sequence]
        sizes = sum(files[name] for name in names)
        if len(names) == 1:
            entries.append(Entry(names[0], "", 1, sizes))
            continue
        width = sequence.zfill()
        pattern = f"{sequence.dirname()}{sequence.basename()}%{f'0{width}' if width > 1 else ''}d{sequence.extension()}"
        entries.append(Entry(pattern, spell(int(frame) for frame in sequence.frameSet() or ()), len(names), sizes))
    return sorted(entries, key=lambda entry: entry.name)
