"""A studio's whole way by its commands, over whatever cloud the house is set up for: the fakes, or a real project."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from house import FIRST, House

Frames = Mapping[str, bytes]


def up_and_submit(
    house: House, gcp: Mapping[str, object], *, frames: int, wait_seconds: float = 240
) -> tuple[Frames, Any]:
    """Up, the show into the bucket, a shot on Batch, asked for twice; gives its frames and its status.

    The frames are the same, byte for byte, as those that the renderer makes from local files without this project.
    """
    span = f"{FIRST}-{FIRST + frames - 1}"
    expected = house.direct(frames=span)
    house.extra = "[gcp]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in gcp.items())
    house.configure()
    _done(house, "jit-deploy", "up", "--yes", seconds=wait_seconds)
    _done(house, "jit-render", "push", str(house.show), seconds=wait_seconds)
    house.hide()
    asked = ["jit-submit", str(house.script), "--frames", span, "--chunk", "2", "--engine", "batch", "--yes"]
    _done(house, *asked, seconds=wait_seconds)
    _done(house, *asked, seconds=wait_seconds)
    status = json.loads(_done(house, "jit-render", "wait", "latest", "--json", seconds=wait_seconds))
    assert status["frames_done"] == frames
    made = house.pull()
    assert made == expected
    return made, status


def end_studio(house: House, *, wait_seconds: float = 240) -> None:
    """What is left over is only what `up` made; then down, and nothing that costs is left."""
    before = json.loads(_done(house, "jit-deploy", "leftovers", "--json", seconds=wait_seconds))
    assert {item["kind"] for item in before["leftovers"]} <= {"template"}, before
    _done(house, "jit-deploy", "down", "--yes", seconds=wait_seconds)
    assert json.loads(_done(house, "jit-deploy", "leftovers", "--json", seconds=wait_seconds))["leftovers"] == []


def _done(house: House, *command: str, seconds: float) -> str:
    done = house.run(*command, timeout=seconds)
    assert done.returncode == 0, f"{' '.join(command[:2])}: {done.stdout}{done.stderr}"
    return done.stdout
