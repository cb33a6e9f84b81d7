"""The frames beside an absent one, for Reads that ask for the nearest frame.

Nuke looks for the nearest frame among the files it sees on disk. Over a cache that holds only a few frames it
would find a wrong one; so the nearest frames that exist (one, or two equally near) are brought in first.
"""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import Executor

from jit_render.model.identity import ObjectUrl
from jit_render.store.port import Store

NEAREST_FRAME = "nearest frame"
_FRAME = re.compile(r"-?\d+(?=\D*$)")


def split_frame(name: str) -> tuple[str, int, str] | None:
    """``plate.1001.exr`` → (``plate.``, 1001, ``.exr``): the last number before the ending; None without one."""
    stem, dot, ending = name.rpartition(".")
    match = _FRAME.search(stem) if dot else None
    if match is None and (not dot or ending.isdigit()):  # plate.1001, but not the 4 of shot.mp4
        match, stem, dot, ending = _FRAME.search(name), name, "", ""
    if match is None:
        return None
    before, digits, after = stem[: match.start()], match[0], stem[match.end() :]
    if digits.startswith("-") and before and before[-1].isalnum():  # a hyphen between words is no sign
        before, digits = before + "-", digits[1:]
    return before, int(digits), after + dot + ending


class Folders:
    """Listings made for one request: each folder once."""

    def __init__(self, store: Store, threads: Executor) -> None:
        self._store = store
        self._threads = threads
        self._listings: dict[ObjectUrl, asyncio.Task[list[str]]] = {}

    async def nearest(self, url: ObjectUrl) -> list[ObjectUrl]:
        """The existing frames of `url`'s sequence that are nearest to it; empty when it has none. Raises StoreError."""
        asked = split_frame(url.name)
        if asked is None:
            return []
        folder = url.parent
        if folder not in self._listings:
            self._listings[folder] = asyncio.ensure_future(self._list(folder))
        frames: dict[int, str] = {}
        for name in await self._listings[folder]:
            found = split_frame(name)
            if found is not None and (found[0], found[2]) == (asked[0], asked[2]):
                frames.setdefault(abs(found[1] - asked[1]) * 2 + (found[1] > asked[1]), name)
        if not frames:
            return []
        least = min(frames) // 2
        return [folder / frames[rank] for rank in sorted(frames) if rank // 2 == least]

    async def _list(self, folder: ObjectUrl) -> list[str]:
        def names() -> list[str]:
            return [info.url.name for info in self._store.list(folder, recursive=False)]

        return await asyncio.get_running_loop().run_in_executor(self._threads, names)
