r"""Which file names stand for which objects.

Ordered rules map a prefix, in any of its spellings (``/mnt/show``, ``P:\show``, ``\\filer\show``), to a storage
URL. The longest prefix wins, among equals the first. A Windows prefix matches without regard to case
and with either slash; a POSIX prefix matches exactly, at folder borders only.

``..`` is folded by its letters, before a prefix is looked for: a script says ``<its folder>/../plates`` and means
``plates`` beside it. But a name that begins under a prefix must end under that same one (decision 0011).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from jit_render.model.errors import HostilePath, UnmappedPath
from jit_render.model.identity import ObjectUrl, check_key
from nuke_callbacks.names import fold, plain

Mode = Literal["read", "write"]
_WINDOWS = re.compile(r"^(?:[A-Za-z]:[\\/]|\\\\)")
_SHOWN = 120  # characters of a name in a message
_parsed = lru_cache(ObjectUrl.parse)  # the few targets of rules, for thousands of names


class PathRule(BaseModel):
    """One rule: several spellings of one folder, its storage URL, and whether outputs may go there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefix: tuple[str, ...]
    target: str
    mode: Mode = "read"

    @field_validator("prefix", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("prefix")
    @classmethod
    def _absolute(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for prefix in value:
            if not prefix.startswith("/") and not _WINDOWS.match(prefix):
                raise ValueError(f"prefix {prefix!r} is not absolute; write it like /mnt/show or P:\\show")
        if not value:
            raise ValueError("a path rule needs at least one prefix")
        folded = [fold(plain(prefix)) for prefix in value]
        for prefix, spelled in zip(value, folded, strict=True):
            if spelled is None:
                raise ValueError(f"prefix {prefix!r} climbs above its root with '..'; write the full path")
        return tuple(spelled.rstrip("/") for spelled in folded if spelled is not None)

    @field_validator("target")
    @classmethod
    def _url(cls, value: str) -> str:
        try:
            return str(ObjectUrl.parse(value)).removesuffix("/")
        except HostilePath as error:
            raise ValueError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Mapped:
    """A name and where it lives. ``url.key`` may still hold frame and view placeholders."""

    url: ObjectUrl
    mode: Mode
    prefix: str
    target: ObjectUrl
    """Where `prefix` itself lives."""


class PathMap(BaseModel):
    """All rules of a job."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: tuple[PathRule, ...] = ()

    @cached_property
    def _by_length(self) -> list[tuple[str, bool, PathRule]]:
        spelled = [
            (prefix.lower() if _is_windows(prefix) else prefix, _is_windows(prefix), rule)
            for rule in self.rules
            for prefix in rule.prefix
        ]
        return sorted(spelled, key=lambda entry: -len(entry[0]))

    def find(self, name: str) -> Mapped | None:
        """Where `name` lives; None when no rule covers it. Raises HostilePath when it leaves its root."""
        spelled = plain(name)
        folded = fold(spelled)
        if folded is None:
            raise HostilePath(f"{name[:_SHOWN]!r} climbs above its root with '..'; write the full path.")
        if folded != spelled:
            self._check_stays(name, spelled, folded)
        found = self._match(folded)
        if found is None:
            return None
        prefix, rule = found
        tail = folded[len(prefix) :].strip("/")
        check_key(tail, name)
        base = _parsed(rule.target)
        return Mapped(base / tail if tail else base, rule.mode, prefix, base)

    def _match(self, spelled: str) -> tuple[str, PathRule] | None:
        """The longest prefix that `spelled` is under, and its rule."""
        lower = spelled.lower()
        for prefix, windows, rule in self._by_length:
            if _is_under(lower if windows else spelled, prefix):
                return prefix, rule
        return None

    def _check_stays(self, name: str, spelled: str, folded: str) -> None:
        """Raises HostilePath where '..' leads out of the prefix that the name begins with."""
        began = self._match(spelled)
        if began is None:
            return
        prefix = began[0]
        if not _is_under(folded.lower() if _is_windows(prefix) else folded, prefix):
            raise HostilePath(
                f"{name[:_SHOWN]!r} leaves its root {prefix} with '..'; write the path from its own root, "
                "or map a folder that holds both."
            )

    def mode_of(self, url: ObjectUrl) -> Mode | None:
        """Whether the rules let `url` be read or written; None where it lies under no rule's target."""
        best, mode = -1, None
        for rule in self.rules:
            base = ObjectUrl.parse(rule.target)
            below = base.root == url.root and (not base.key or f"{url.key}/".startswith(f"{base.key}/"))
            if below and (len(base.key), rule.mode == "write") > (best, mode == "write"):
                best, mode = len(base.key), rule.mode
        return mode

    def spellings(self) -> list[tuple[str, bool, Mode]]:
        """(prefix, whether it is a Windows one, mode), longest first. A Windows prefix is in lower case."""
        return [(prefix, windows, rule.mode) for prefix, windows, rule in self._by_length]

    def resolve(self, name: str) -> Mapped:
        """Like `find`, but raises UnmappedPath naming the prefixes there are."""
        mapped = self.find(name)
        if mapped is None:
            known = ", ".join(prefix for prefix, _, _ in self._by_length) or "none"
            raise UnmappedPath(f"{name!r} is under no mapped prefix (known: {known}); add a [[paths]] rule.")
        return mapped


def _is_windows(plain: str) -> bool:
    return plain.startswith("//") or (len(plain) > 1 and plain[1] == ":")


def _is_under(spelled: str, prefix: str) -> bool:
    """At or below `prefix`; both in one case."""
    return spelled == prefix or spelled.startswith(prefix + "/")
