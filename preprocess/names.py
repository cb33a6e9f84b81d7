"""Names of a pipeline as objects: a URL is one, any other name goes through the path rules."""

from __future__ import annotations

import re
from collections.abc import Iterable

from jit_render.model.frames import has_frame, has_view
from jit_render.model.identity import ObjectUrl
from jit_render.model.pathmap import PathMap, PathRule

_URL = re.compile(r"^[a-z][a-z0-9+.-]*://")
_URLS = "/.url"
"""Folder under which the path map of a job has the roots that its pipeline names by URL."""


def is_url(name: str) -> bool:
    return _URL.match(name) is not None


def locate(name: str, path_map: PathMap) -> ObjectUrl:
    """The object called `name`. Raises PathRefused."""
    return ObjectUrl.parse(name) if is_url(name) else path_map.resolve(name).url


def mapped_name(name: str) -> str:
    """`name` as a name under the rules of `rules_for`: the farm knows files by names under path rules."""
    if not is_url(name):
        return name
    url = ObjectUrl.parse(name)
    return f"{_URLS}/{_folder(url)}/{url.key}"


def rules_for(read: Iterable[str], written: Iterable[str]) -> tuple[PathRule, ...]:
    """Path rules for the roots that are named by URL; what is written to, only below its fixed folder."""
    rules: dict[str, PathRule] = {}
    for name in filter(is_url, read):
        url = ObjectUrl.parse(name)
        prefix = f"{_URLS}/{_folder(url)}"
        rules[prefix] = PathRule(prefix=(prefix,), target=f"{url.root}/", mode="read")
    for name in filter(is_url, written):
        folder = fixed_folder(ObjectUrl.parse(name))
        prefix = f"{_URLS}/{_folder(folder)}/{folder.key}".rstrip("/")
        rules[prefix] = PathRule(prefix=(prefix,), target=str(folder), mode="write")
    return tuple(rules.values())


def fixed_folder(pattern: ObjectUrl) -> ObjectUrl:
    """The deepest folder of `pattern` whose name holds no placeholder."""
    folder = pattern.parent
    while has_frame(folder.key) or has_view(folder.key):
        folder = folder.parent
    return folder


def _folder(url: ObjectUrl) -> str:
    return url.root.replace("://", "/").rstrip("/")
