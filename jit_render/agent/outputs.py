"""Who may write which output, and how a written one becomes durable.

A frame's outputs are real files at their places in the job's view until they are published. Publishing
checks that each was written to its end, takes it into the spool (see spool.py), and only then answers: from that
moment a kill of any process on this node costs nothing. It touches no pixels: the renderer waits for it. (Whether all
between the ends is there is looked at before the upload.) The place then holds a symlink, so that a later Read of this
job's own output finds it with no special case.

A write lease belongs to a connection and covers one place of one job. It keeps a second process from writing
the same file, and everybody else from reading it half-written. It ends with the publishing, with the
connection, or when its Write goes on to other files; not with the frame, because a movie grows over many.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from jit_render.agent.attempts import AttemptKey
from jit_render.agent.entry import UNKNOWN, Entry, ReadBack, SpoolFile
from jit_render.agent.jobs import Job
from jit_render.agent.spool import Spool
from jit_render.model.errors import (
    CacheError,
    HostilePath,
    OutputBusy,
    OutputInvalid,
    PathRefused,
    UnmappedPath,
    UsageError,
)
from jit_render.model.exr import EXTENSIONS, check_exr, check_exr_ended
from jit_render.model.identity import ObjectUrl

LOG = logging.getLogger(__name__)
TAKEN_ON_THE_LOOP = 2  # files, at half a millisecond each; the way to a thread and back takes longer (0086)

Output = tuple[str, ObjectUrl]
"""A view and where its file belongs."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What a renderer says of files it has finished."""

    attempt: AttemptKey
    write: str
    frames: tuple[int, ...]
    outputs: tuple[Output, ...]
    inputs: tuple[tuple[str, str], ...]
    render_seconds: float
    own: tuple[ReadBack, ...] = ()
    """What it read of the job's own outputs before they were in the bucket."""


@dataclass(slots=True)
class _Lease:
    session: int
    write: str
    is_publishing: bool = False
    is_orphaned: bool = False
    """Its connection has gone while the file was being taken in; it ends when that is done."""


def locate_outputs(job: Job, outputs: Sequence[tuple[str, str]]) -> list[Output]:
    """Where each (view, name) belongs. Raises UnmappedPath, HostilePath, PathRefused, UsageError."""
    located: list[Output] = []
    for view, name in outputs:
        found = job.locate(name)
        if found is None:
            raise UnmappedPath(f"output {name!r} is under no mapped prefix; add a [[paths]] rule with mode = write.")
        if found.mode != "write":
            raise PathRefused(f"output {name!r} ({found.url}) is under a read rule; add a rule with mode = write.")
        if not found.is_single:
            raise UsageError(f"output {name!r} names no single file; give it with its frame and view filled in.")
        located.append((view, found.url))
    return located


class Outputs:
    """The outputs of every live session."""

    def __init__(self, spool: Spool, disk: Executor) -> None:
        self._spool = spool
        self._disk = disk
        self._leases: dict[tuple[str, ObjectUrl], _Lease] = {}

    def holder(self, job: Job, url: ObjectUrl) -> int | None:
        """The session that may write `url` now; None: nobody."""
        lease = self._leases.get((job.id, url))
        return None if lease is None else lease.session

    def begin(self, job: Job, session: int, write: str, outputs: Sequence[Output], *, keep: bool) -> list[Path]:
        """Lease these places, all or none, and clear them of what an earlier try left (not with `keep`).

        What this session already holds for this Write is being written (a movie): it stays. Raises OutputBusy, OSError.
        """
        urls = [url for _, url in outputs]
        self._check_free(job, session, urls)
        mine = {key for key, lease in self._leases.items() if lease.session == session and lease.write == write}
        for key in mine - {(job.id, url) for url in urls}:
            del self._leases[key]
        for url in urls:
            place = job.view.place(job.id, url)
            make_folder(place.parent)
            if not keep and (job.id, url) not in mine:
                place.unlink(missing_ok=True)
            self._leases[(job.id, url)] = _Lease(session, write)
        return [job.view.place(job.id, url) for url in urls]

    def _check_free(self, job: Job, session: int, urls: Sequence[ObjectUrl]) -> None:
        for url in urls:
            holder = self.holder(job, url)
            if holder not in {None, session}:
                raise OutputBusy(f"{url} is being written by another live process of this node; it was not touched.")

    def release(self, session: int) -> None:
        """The connection is gone. Its unpublished files stay: whoever started the renderer may sweep them up."""
        for key, lease in list(self._leases.items()):
            if lease.session == session and lease.is_publishing:
                lease.is_orphaned = True
            elif lease.session == session:
                del self._leases[key]

    async def publish(self, job: Job, session: int, publication: Publication) -> list[Entry]:
        """Take every finished output into the spool; one entry per group of files committed together.

        Raises OutputInvalid before anything is taken, OutputBusy, DiskFull, CacheError.
        """
        urls = list(dict.fromkeys(url for _, url in publication.outputs))
        self._check_free(job, session, urls)
        places = {url: job.view.place(job.id, url) for url in urls}
        leases = {url: self._leases.setdefault((job.id, url), _Lease(session, publication.write)) for url in urls}
        for lease in leases.values():
            lease.is_publishing = True
        entries: list[Entry] = []
        try:
            if len(urls) <= TAKEN_ON_THE_LOOP:
                entries = self._take(publication, places)
            else:
                loop = asyncio.get_running_loop()
                entries = await loop.run_in_executor(self._disk, self._take, publication, places)
            for entry in entries:
                for file in entry.files:
                    put_link(places[file.url], file.path)
        finally:
            for url, lease in leases.items():
                lease.is_publishing = False
                if entries or lease.is_orphaned:
                    del self._leases[(job.id, url)]
        return entries

    def _take(self, publication: Publication, places: dict[ObjectUrl, Path]) -> list[Entry]:
        """Check all, then keep all."""
        drafts = [
            (_draft(publication, group, places), [places[url] for url in group.urls])
            for group in _groups(publication.outputs)
            if any(_is_file(places[url]) for url in group.urls)
        ]
        kept: list[Entry] = []
        try:
            for entry, outputs in drafts:
                self._spool.add(entry, outputs)
                kept.append(entry)
        except CacheError:
            for entry in kept:
                self._spool.remove_quietly(entry)
            raise
        return kept


@dataclass(slots=True)
class _Group:
    """Files that share views, and views that share files: neither is done without the other."""

    views: dict[str, None]
    urls: dict[ObjectUrl, None]
    pairs: list[Output]


def _groups(outputs: Sequence[Output]) -> list[_Group]:
    groups: list[_Group] = []
    for view, url in outputs:
        joined = _Group({view: None}, {url: None}, [(view, url)])
        for group in [group for group in groups if view in group.views or url in group.urls]:
            groups.remove(group)
            joined = _Group(group.views | joined.views, group.urls | joined.urls, group.pairs + joined.pairs)
        groups.append(joined)
    return groups


def _draft(publication: Publication, group: _Group, places: dict[ObjectUrl, Path]) -> Entry:
    files = []
    for url in group.urls:
        views = tuple(dict.fromkeys(view for view, other in group.pairs if other == url))
        _check(url, places[url])
        files.append(SpoolFile(url, places[url], places[url].stat().st_size, UNKNOWN, views))
    return Entry(
        name="",
        attempt=publication.attempt,
        write=publication.write,
        frames=publication.frames,
        views=tuple(group.views),
        files=files,
        inputs=list(publication.inputs),
        own=list(publication.own),
        render_seconds=publication.render_seconds,
        host=socket.gethostname(),
    )


def _check(url: ObjectUrl, place: Path) -> None:
    """Raises OutputInvalid for an output that its writer did not end."""
    if not _is_file(place):
        raise OutputInvalid(f"{url} was not written though files of the same frame were; render the frame again.")
    check_whole(place, check_exr_ended)  # the rest is looked at before the upload: a renderer waits (0091)


def check_whole(place: Path, check: Callable[[Path], None] = check_exr) -> None:
    """Raises OutputInvalid for an EXR that does not pass `check` and for any empty file. In a thread."""
    if place.suffix.lower() in EXTENSIONS:
        check(place)
    elif place.stat().st_size == 0:
        raise OutputInvalid(f"{place.name} is empty ({place}); render the frame again.")


def is_left_whole(place: Path) -> bool | None:
    """Whether the real file at `place` is whole; None where there is none. In a thread."""
    if not _is_file(place):
        return None
    try:
        check_whole(place)
    except OutputInvalid:
        return False
    return True


def remove_incomplete(place: Path) -> None:
    """Clear the place of what a killed process left there."""
    LOG.warning("removed what a killed process left incomplete: %s", place)
    place.unlink(missing_ok=True)


def _is_file(place: Path) -> bool:
    try:
        return stat.S_ISREG(place.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def make_folder(folder: Path) -> None:
    """Where a file will be written or linked. Raises HostilePath where a file of the view is in the way."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise HostilePath(f"{folder}: a folder on its way is also a file; rename one of them.") from None


def put_link(place: Path, target: Path) -> None:
    """A symlink at `place`, atomically, instead of the real file whose bytes `target` holds."""
    temporary = place.with_name(f".{secrets.token_hex(8)}")  # short: the base name may be as long as the disk takes
    try:
        temporary.symlink_to(target)
        temporary.rename(place)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CacheError(f"{place}: cannot be linked to {target} ({error.strerror}); look after the disk.") from error


def is_link_to(place: Path, target: Path) -> bool:
    """Whether `place` is a symlink to exactly `target`."""
    try:
        return os.readlink(place) == str(target)  # noqa: PTH115 - Path.readlink parses; strings compare faster
    except OSError:
        return False


def finish_link(place: Path, target: Path) -> None:
    """After a restart: the link that a kill kept from replacing the published file at `place`, or led on too early.

    Then it leads to the same file in the cache, where it may go again, because the cache's index does not know of it.
    Where nothing is, nothing is put: a renderer may be about to write there.
    """
    try:
        if place.samefile(target) and not is_link_to(place, target):
            put_link(place, target)
    except (OSError, CacheError):  # the output is safe in the spool; only a Read on this node would miss it
        return
