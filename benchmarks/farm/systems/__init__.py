"""The systems that are compared: each says how a host gets at its inputs and where its outputs go."""

from __future__ import annotations

from benchmarks.farm.systems.bucket_mounts import Gcsfuse, Rclone
from benchmarks.farm.systems.copy_all import CopyAll
from benchmarks.farm.systems.gluster import Gluster
from benchmarks.farm.systems.jit import Jit
from benchmarks.farm.systems.port import Bench, Prepared, System

__all__ = ["Bench", "Prepared", "System", "systems"]


def systems(bench: Bench) -> list[System]:
    """In the order of the table. The warm run uses the caches that the run before it filled."""
    return [
        Gluster(bench),
        CopyAll(bench),
        Rclone(bench),
        Gcsfuse(bench),
        Jit(bench, "jit-demand", lookahead=0),
        Jit(bench, "jit-prefetch", lookahead=bench.setting.lookahead),
        Jit(bench, "jit-warm", lookahead=bench.setting.lookahead, caches="jit-prefetch"),
    ]
