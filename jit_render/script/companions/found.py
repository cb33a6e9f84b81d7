"""What resolvers are given, and what they find."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import NamedTuple

from jit_render.script.planned import Files

_ABSOLUTE = re.compile(r"/|[A-Za-z]:/|[a-z][a-z0-9]+://")


class Found(NamedTuple):
    """A file that a script brings along. ``why``: why it may not be read after all."""

    name: str
    origin: str
    node: str
    cls: str
    knob: str
    line: int
    why: str = ""


class Link(NamedTuple):
    """A file that another one names."""

    name: str
    origin: str
    why: str = ""


class Look(NamedTuple):
    """A file that is looked into."""

    name: str
    data: bytes
    files: Files
    environment: Mapping[str, str]

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", errors="replace")

    @property
    def base(self) -> str:
        """The last part of its name, for messages."""
        return self.name.rpartition("/")[2]

    def beside(self, path: str) -> str:
        """The name of a file that this one calls `path`."""
        return placed(self.name.rpartition("/")[0], path)


def placed(folder: str, path: str) -> str:
    """`path` as seen from `folder`: absolute, forward slashes, without ``.`` and ``..`` as far as that goes."""
    path = path.replace("\\", "/")
    if "://" in path:
        return path
    joined = path if _ABSOLUTE.match(path) else f"{folder}/{path}"
    lead = "/" if joined.startswith("//") else ""  # a share: normpath keeps two slashes of it on some systems only
    return lead + "/" + posixpath.normpath(joined).lstrip("/") if joined.startswith("/") else posixpath.normpath(joined)
