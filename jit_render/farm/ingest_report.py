"""What an ingest may be told, tells while it runs, and has come to in the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jit_render.farm.local_files import Left
from jit_render.farm.reading import Opener, open_plain


@dataclass(frozen=True, slots=True)
class Brought:
    """One upload, or with `dry_run` one that would be made. `replaces` is a generation; empty where there was none."""

    path: str
    object: str
    size_bytes: int
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of every file."""

    files: int
    unchanged: int
    """The bucket has them already, by size and crc32c."""
    brought: tuple[Brought, ...]
    kept: tuple[Left, ...]
    """The bucket's version differs and is the younger one: it stays."""
    refused: tuple[Left, ...]
    """Asked for, and could not be brought."""
    skipped: tuple[Left, ...]
    """Met in a folder, and nothing to bring."""
    bytes_read: int
    """For their checksums."""
    bytes_uploaded: int
    dry_run: bool = False
    note: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether the bucket now holds (with `dry_run`: would hold) all that was asked for."""
        return not self.kept and not self.refused


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """Files that are settled, of all; bytes since the beginning."""

    done: int
    files: int
    bytes_read: int
    bytes_uploaded: int


@dataclass(frozen=True, slots=True)
class Choices:
    """`overwrite`: the disk's version wins, however old. `dry_run`: find out, and upload nothing."""

    overwrite: bool = False
    dry_run: bool = False
    opener: Opener = open_plain
    on_progress: Callable[[IngestProgress], None] = lambda _: None
