"""The neighbours of a frame, and what a request may hold."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from jit_render.agent import fields
from jit_render.agent.answers import as_known
from jit_render.agent.siblings import Folders, split_frame
from jit_render.model.errors import AgentError, CacheError, DiskFull, ObjectNotFound, ProtocolError
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.store import ABSENT, open_store
from nuke_callbacks.wire import WireError


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("plate.1001.exr", ("plate.", 1001, ".exr")),
        ("plate_v003_1001.exr", ("plate_v003_", 1001, ".exr")),
        ("plate.0007.left.exr", ("plate.", 7, ".left.exr")),
        ("a-12.exr", ("a-", 12, ".exr")),
        ("a.-12.exr", ("a.", -12, ".exr")),
        ("shot.mp4", None),
        ("plate.1001", ("plate.", 1001, "")),
        ("1001.exr", ("", 1001, ".exr")),
        ("beauty.exr", None),
    ],
)
def test_a_name_splits_around_its_frame(name: str, parts: tuple[str, int, str] | None) -> None:
    assert split_frame(name) == parts


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("p.1000.exr", ["p.1001.exr"]),
        ("p.1002.exr", ["p.1001.exr"]),
        ("p.1009.exr", ["p.1008.exr", "p.1010.exr"]),
        ("p.2000.exr", ["p.1010.exr"]),
        ("p.1009.tif", []),
        ("q.1009.exr", []),
        ("p.exr", []),
    ],
)
def test_the_nearest_frames_are_those_of_the_same_sequence(tmp_path, asked: str, near: list[str]) -> None:
    store = open_store(StoreSettings())
    folder = ObjectUrl.parse(f"file://{tmp_path}/plates")
    for name in ("p.1001.exr", "p.1008.exr", "p.1010.exr", "pp.1009.exr", "p.1009.exr.bak", "sub/p.1009.exr"):
        store.write(folder / name, b"x", if_generation=ABSENT)

    with ThreadPoolExecutor(1) as threads:
        found = asyncio.run(Folders(store, threads).nearest(folder / asked))

    assert [url.name for url in found] == near


@pytest.mark.parametrize("value", [None, 1, [], {}, True])
def test_a_text_is_a_text(value: object) -> None:
    with pytest.raises(ProtocolError, match="resolve: 'name' must be a string"):
        fields.text({"verb": "resolve", "name": value}, "name")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ObjectNotFound("x"), ObjectNotFound),
        (WireError("x"), ProtocolError),
        (OSError(28, "No space left on device", "/cache"), DiskFull),
        (OSError(5, "Input/output error"), CacheError),
        (ZeroDivisionError("x"), AgentError),
    ],
)
def test_every_failure_travels_as_one_of_the_tree_in_one_line(error: Exception, kind: type[Exception]) -> None:
    known = as_known(error)

    assert type(known) is kind
    assert "\n" not in str(known)
