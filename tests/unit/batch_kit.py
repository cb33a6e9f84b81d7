"""What tests of the Batch engine share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from jit_render.model.job import JobSpec, WriteTarget
from jit_render.model.pathmap import PathMap

BIN = Path(sys.executable).parent
PLACES = {"/opt/jit-render/bin": str(BIN), "/run/jit-render-batch": os.devnull}
"""The node image's programs are this machine's, which no switch for idle nodes watches."""

GCP = {
    "project": "studio",
    "region": "us-central1",
    "zones": ["us-central1-a", "us-central1-b"],
    "machine": "n2d-standard-8",
    "network": "render",
    "subnetwork": "render-us",
    "account": "node@studio.iam.gserviceaccount.com",
    "image": "jit-render-node",
    "licence": "4101@licence.studio",
    "nodes": 4,
    "notice": 5,
}


def spec(frames: str = "1001-1010", chunk: int = 2) -> JobSpec:
    """A job's specification, made of nothing."""
    return JobSpec(
        id="sh010-comp-1f3a99c0",
        shot="SH010_comp",
        show="Ours",
        user="Ann O'Neil",
        created=1_700_000_000.0,
        script_name="sh010.nk",
        script_source="/show/sh010.nk",
        script_sha256="0" * 64,
        fingerprint="1f3a99c0" + "0" * 56,
        frames=frames,
        writes=(WriteTarget(name="Write1", file="/show/out.####.exr"),),
        chunk=chunk,
        path_map=PathMap(rules=()),
    )
