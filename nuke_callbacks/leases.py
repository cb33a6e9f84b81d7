"""What this process holds at its agent, and so what the filter may answer by itself.

A name is held for the session (asked for outside any frame) or by a frame scope, one scope per Write. `held` is
the filter's dictionary: a name stands in it while it is held for the session, while it is an output of an open
scope, or while *every* open scope holds it. The last rule is for several Writes in one frame loop: Nuke does not
tell the filter for which Write it asks, so a name that only one of two scopes holds must be asked for again, for
the other would read it after the first has let go.

Every held file is remembered by its link's target, inode and time. When an agent was lost and its successor was
asked again, a file that is not the same any more was gone in between: Nuke may have met a hole. Where a hole is an
error of the node, Nuke itself fails the frame, so the same version fetched again does no harm; where the artist
chose black instead, the frame must be taken for wrong. (The target names the version: content under it never changes.)
"""

from __future__ import annotations

import os
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from nuke_callbacks import names

Fingerprint = Optional[Tuple[str, int, int]]
Answer = Dict[str, Any]


class Scope:
    """The names of one frame of one Write, or of the session (`write` is empty then)."""

    def __init__(self, write: str = "", frame: Optional[int] = None, outputs: Iterable[Sequence[str]] = ()) -> None:
        self.write = write
        self.frame = frame
        self.outputs: List[List[str]] = [list(output) for output in outputs]
        self.places: Dict[str, str] = {}  # output name -> where to write it
        self.paths: Dict[str, str] = {}  # leased name -> where to read it
        self.asked: Dict[str, str] = {}  # name -> on_error, to be asked again at the next agent
        self._prints: Dict[str, Fingerprint] = {}

    def keep(self, name: str, on_error: str, path: str) -> None:
        self.asked[name] = on_error
        self.paths[name] = path
        self._prints[name] = fingerprint(path)

    def drop(self, name: str) -> None:
        self.asked.pop(name, None)
        self.paths.pop(name, None)
        self._prints.pop(name, None)

    def is_unchanged(self, name: str, path: str) -> bool:
        """The file under `path` is still the one that was leased, or nobody can have missed it in between."""
        kept, found = self._prints.get(name), fingerprint(path)
        if self.paths.get(name) != path or kept is None or found is None:
            return kept is None
        is_same_version = bool(kept[0]) and kept[0] == found[0]
        return kept[1:] == found[1:] or (is_same_version and self.asked.get(name) == "error")


class Leases:
    """All scopes and the filter's dictionary. Not thread-safe: the client's lock guards the writers."""

    def __init__(self) -> None:
        self.held: Dict[str, str] = {}
        self.session = Scope()
        self.scopes: Dict[str, Scope] = {}
        self._fixed: Dict[str, str] = {}  # patterns: their place in the view never changes

    def scope(self, write: str) -> Scope:
        """The open scope of that Write, else the session's."""
        return self.scopes.get(write, self.session)

    def begin(self, scope: Scope) -> None:
        old = self.scopes.pop(scope.write, None)
        self.scopes[scope.write] = scope
        self._settle_scopes(old)

    def place(self, scope: Scope, paths: Sequence[str]) -> None:
        """Where the outputs of `scope` go, in its order."""
        for output, path in zip(scope.outputs, paths):
            scope.places[output[1]] = path
            self._settle(output[1])

    def end(self, write: str) -> None:
        self._settle_scopes(self.scopes.pop(write, None))

    def keep(self, scope: Scope, name: str, on_error: str, answer: Answer) -> None:
        """Take note of what the agent said about `name`."""
        if answer["state"] == "local" and answer["leased"]:
            scope.keep(name, on_error, answer["path"])
            self._settle(name)
        elif answer["state"] == "local" and names.is_pattern(name):
            self._fixed[name] = answer["path"]
            self._settle(name)
        elif on_error == "nearest frame":
            scope.asked[name] = on_error  # its neighbour was leased instead

    def drop(self, scope: Scope, name: str) -> None:
        scope.drop(name)
        self._settle(name)

    def clear(self) -> None:
        """Forget all: the child of a fork holds nothing, the leases are its parent's."""
        self.held.clear()
        self.session = Scope()
        self.scopes = {}
        self._fixed = {}

    def every(self) -> Iterator[Scope]:
        yield from list(self.scopes.values())
        yield self.session

    def _settle_scopes(self, gone: Optional[Scope]) -> None:
        scopes = list(self.scopes.values()) + ([gone] if gone else [])
        for scope in scopes:
            for name in list(scope.paths) + list(scope.places):
                self._settle(name)

    def _settle(self, name: str) -> None:
        path = self._path(name)
        if path is None:
            self.held.pop(name, None)
        else:
            self.held[name] = path

    def _path(self, name: str) -> Optional[str]:
        path = self.session.paths.get(name) or self._fixed.get(name)
        if path is not None:
            return path
        scopes = list(self.scopes.values())
        for scope in scopes:
            if name in scope.places:
                return scope.places[name]
        if scopes and all(name in scope.paths for scope in scopes):
            return scopes[0].paths[name]
        return None


def fingerprint(path: str) -> Fingerprint:
    """(target of the link, inode and nanoseconds of the last change of the file behind it); None without a file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    try:
        target = os.readlink(path)
    except OSError:
        target = ""
    return (target, found.st_ino, found.st_mtime_ns)
