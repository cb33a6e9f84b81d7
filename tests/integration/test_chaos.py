"""Nodes that vanish as Spot VMs do: every frame gets done, and a preemption costs at most the frame in hand."""

from __future__ import annotations

import pytest
from house import FIRST, House


@pytest.mark.parametrize(("caches", "frames"), [("shared", 12), ("own", 6)])
def test_two_attempts_in_five_are_preempted_and_every_frame_is_done(stocked: House, caches: str, frames: int) -> None:
    stocked.environment["JIT_RENDER_STANDIN_SECONDS_PER_FRAME"] = "0.05"
    chaos = ["--chaos", "0.4", "--seed", "5", "--chaos-grace", "1"]
    span = f"{FIRST}-{FIRST + frames - 1}"
    own = ["--own-caches"] if caches == "own" else []
    done = stocked.submit("--workers", "2", "--chunk", "2", *chaos, *own, frames=span, timeout=280)
    assert done.returncode == 0, done.stderr
    status = stocked.json("jit-render", "status", "latest")
    assert status["frames_done"] == status["frames_total"] == frames
    preempted = status["failures"]["preempted"]
    assert preempted >= 1
    assert status["frames_lost"] <= preempted
    assert len(stocked.pull()) == 2 * frames
    assert stocked.json("jit-render", "verify", "latest")["problems"] == []
