"""What a renderer sees: one tree per job with the bucket's folders and base names.

``<root>/view/<job id>/<ObjectUrl.view_path>``. Inputs are symlinks into ``objects/``; what a renderer writes there is a
real file until it is published. A link is made or replaced in one step, and taken away before the object it shows
is evicted, so a link leads nowhere only between a crash and the sweep after it.

INVARIANT: `_places` and `_targets` are inverse to each other. (A link that somebody else removed may still be
recorded; the record is compared with the disk before anything is unlinked on its word.)
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from jit_render.cache import files
from jit_render.cache.layout import PATH_LIMIT_BYTES, Layout, name_refused
from jit_render.model.errors import CacheError, HostilePath
from jit_render.model.identity import NAME_LIMIT_BYTES, ObjectUrl, check_key
from nuke_callbacks.names import fold

MOST_HOMES = 1000
_SLASHES = re.compile(r"/{2,}")


class ViewTree:
    """The links of all jobs."""

    def __init__(self, layout: Layout, dispose: Callable[[str], None]) -> None:
        self._layout = layout
        self._dispose = dispose
        self._homes: dict[str, Path] = {}
        self._places: dict[str, set[str]] = {}
        self._targets: dict[str, str] = {}

    def home(self, job_id: str) -> Path:
        """The folder of one job's tree. Raises HostilePath for what is no job id."""
        home = self._homes.get(job_id)
        if home is None:
            check_key(job_id, job_id)
            if not job_id or "/" in job_id or job_id.startswith("."):
                raise HostilePath(f"{job_id!r} is no job id; it must be one plain name.")
            if len(self._homes) >= MOST_HOMES:
                self._homes.clear()
            home = self._homes[job_id] = self._layout.view / job_id
        return home

    def place(self, job_id: str, url: ObjectUrl) -> Path:
        """Where `url` (which may be a pattern) is seen; touches no disk. Raises HostilePath where no disk takes it."""
        return Path(self.spelled(job_id, url))

    def spelled(self, job_id: str, url: ObjectUrl) -> str:
        """The same as text: making a path of it costs more than all else that is done here."""
        place = f"{self.home(job_id)}/{url.view_path}"
        head = url.view_path.partition("/")[0]
        if len(os.fsencode(head)) > NAME_LIMIT_BYTES:
            raise HostilePath(f"{str(url)[:120]}: the bucket's name is too long for a folder; use a shorter one.")
        if len(os.fsencode(place)) > PATH_LIMIT_BYTES:
            raise HostilePath(
                f"{str(url)[:120]}…: below {self._layout.view} the path is longer than the {PATH_LIMIT_BYTES} bytes "
                "the system takes; set a shorter cache.root."
            )
        return place

    def link(self, job_id: str, url: ObjectUrl, target: Path) -> Path:
        """Show `target` at the place of `url`. Raises CacheError where a renderer's file stands, HostilePath."""
        place = self.spelled(job_id, url)
        self.link_at(place, url, str(target))
        return Path(place)

    def link_at(self, place: str, url: ObjectUrl, aim: str) -> None:
        """The same where the place of `url` is known."""
        try:
            if self._targets.get(place) != aim or not files.leads_to(place, aim):
                self._put(place, aim)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise name_refused(str(url), error) from error
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise name_refused(str(url), error) from error
            raise CacheError(f"cannot make the link {place} ({error.strerror}); look at the cache's disk.") from error
        self._record(place, aim)

    def hide(self, job_id: str, url: ObjectUrl) -> None:
        """Take away the link at the place of `url`, if one is there."""
        place = str(self.place(job_id, url))
        self._forget(place)
        if files.is_link(place):
            with contextlib.suppress(OSError):
                Path(place).unlink()

    def url_of(self, job_id: str, name: str) -> ObjectUrl | None:
        """The object seen at `name`; None outside this job's tree. Raises HostilePath where it leaves its bucket."""
        home = f"{self.home(job_id)}/"
        plain = _SLASHES.sub("/", name)
        if not plain.startswith(home):
            return None
        bucket, _, below = plain[len(home) :].partition("/")
        key = fold(f"/{below}")
        if key is None or bucket in {".", ".."}:
            raise HostilePath(f"{name[:120]!r} leaves its bucket {bucket} with '..'; write the path from its own root.")
        tail = f"{bucket}/{key.strip('/')}".removesuffix("/")
        check_key(tail, name)
        if tail.startswith(".") or "/" not in tail:
            return None  # the worker's own folders, or a whole bucket
        return ObjectUrl.from_view_path(tail)

    def drop(self, job_id: str) -> None:
        """Forget one job's tree; its files are removed in the background."""
        home = self.home(job_id)
        aside = self._layout.fresh()
        try:
            home.rename(aside)
        except FileNotFoundError:
            return
        prefix = f"{home}/"
        for place in [place for place in self._targets if place.startswith(prefix)]:
            self._forget(place)
        self._dispose(aside)

    def unlink_to(self, target: str) -> None:
        """Take away every link to `target`, which is about to go."""
        for place in tuple(self._places.get(target, ())):
            self._forget(place)
            if files.leads_to(place, target):
                with contextlib.suppress(OSError):
                    Path(place).unlink()

    def found(self, place: str, target: str) -> None:
        """An earlier run's link: record it, or remove it when it leads nowhere."""
        if place in self._targets or not files.leads_to(place, target):
            return
        if not os.path.lexists(target):
            with contextlib.suppress(OSError):
                Path(place).unlink()
        elif target.startswith(f"{self._layout.objects}/"):
            self._record(place, target)

    def links(self) -> Iterator[tuple[str, str]]:
        """All links on disk with what they lead to; for a worker thread."""
        for folder, _, names in os.walk(self._layout.view):
            for name in names:
                place = f"{folder}/{name}"
                target = files.target_of(place)
                if target is not None:
                    yield place, target

    def check(self) -> None:
        """Raise AssertionError where the invariant does not hold."""
        pairs = {(place, target) for target, places in self._places.items() for place in places}
        assert pairs == set(self._targets.items())
        assert all(self._places.values())

    def _put(self, place: str, aim: str) -> None:
        for _ in range(2):
            try:
                files.symlink(place, aim)
            except FileNotFoundError:
                files.make_folder(place.rpartition("/")[0])
            except FileExistsError:
                break
            else:
                return
        if files.leads_to(place, aim):
            return
        if Path(place).is_dir() and not files.is_link(place):
            raise IsADirectoryError(place)
        if not files.is_link(place):
            raise CacheError(f"{place} is not a link but was written by a renderer; publish or remove it first.")
        temporary, aside = self._layout.fresh(), self._layout.fresh()
        files.symlink(temporary, aim)
        files.keep_link(place, aside)  # a link that is replaced frees its block, and a busy disk takes its time for it
        files.move(temporary, place)
        self._dispose(aside)

    def _record(self, place: str, aim: str) -> None:
        if self._targets.get(place) != aim:
            self._forget(place)
            self._targets[place] = aim
            self._places.setdefault(aim, set()).add(place)

    def _forget(self, place: str) -> None:
        aim = self._targets.pop(place, None)
        if aim is not None:
            self._places[aim].discard(place)
            if not self._places[aim]:
                del self._places[aim]
