"""What tests of the Batch engine share."""

from __future__ import annotations

import sys
from pathlib import Path

BIN = Path(sys.executable).parent
PLACES = {"/opt/jit-render/bin": str(BIN)}
"""The node image's programs are this machine's."""

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
