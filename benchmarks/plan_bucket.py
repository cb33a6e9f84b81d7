"""What a plan over many objects costs at submit: listing them, and writing down their versions.

100,000 objects in the bucket, most of them read: sequences of a thousand frames in folders of their own, and one folder
of which a single file is wanted. The server is the fake one, in this very process, so its share of the time is in the
number, too. Reported: seconds of listing and pinning, requests by kind, bytes of the manifest.
"""

from __future__ import annotations

import random
import time
from typing import Any

from rich.table import Table

from jit_render.farm.pinning import put_manifest
from jit_render.farm.planning import look
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import JobPaths, JobSpec, WriteTarget
from jit_render.model.pathmap import PathMap, PathRule
from jit_render.model.settings import StoreSettings
from jit_render.script.planned import ONCE, Plan, ReadPlan
from jit_render.store import open_store
from jit_render.testing.fake_gcs import FakeGcs

TARGET_SECONDS = 30.0
OBJECTS = 100_000
FRAMES = 1_000
_KINDS = ("list", "stat", "get", "write")
_SHOW = "/mnt/show"


def measure(*, quick: bool) -> dict[str, Any]:
    """Seconds and requests for `OBJECTS` objects (a tenth of them with `quick`)."""
    objects = OBJECTS // 10 if quick else OBJECTS
    spec, plan = _spec(), _plan(objects // FRAMES - 5)
    with FakeGcs(buckets=["show"]) as server:
        _fill(server, plan, objects)
        store = open_store(StoreSettings(endpoint=server.url))
        began = time.perf_counter()
        inputs = look(store, plan, spec)
        listed = time.perf_counter()
        encoded = inputs.manifest().encode(spec.tasks())
        put_manifest(store, JobPaths(ObjectUrl("gs://show", "state/jobs/bench")), encoded)
        ended = time.perf_counter()
        store.close()
        requests = {kind: server.count(kind) for kind in _KINDS}
    if inputs.missing:
        raise RuntimeError(f"{len(inputs.missing)} planned objects were not found, the first: {inputs.missing[0]}")
    seconds = ended - began
    return {
        "objects": objects,
        "planned": len(inputs.objects),
        "raw": {
            "list_seconds": round(listed - began, 3),
            "pin_seconds": round(ended - listed, 3),
            "requests": requests,
        },
        "seconds": round(seconds, 3),
        "manifest_bytes": encoded.size_bytes,
        "targets": {"seconds": TARGET_SECONDS},
        "met": {"seconds": seconds < TARGET_SECONDS},
    }


def table(result: dict[str, Any]) -> Table:
    """The same for people."""
    shown = Table(
        "objects", "planned", "listing s", "pinning s", "target s", "requests", "manifest", title="plan-bucket"
    )
    raw = result["raw"]
    shown.add_row(
        f"{result['objects']:,}",
        f"{result['planned']:,}",
        f"{raw['list_seconds']:.2f}",
        f"{raw['pin_seconds']:.2f}",
        f"< {TARGET_SECONDS:g}",
        ", ".join(f"{kind} {count}" for kind, count in raw["requests"].items() if count),
        f"{result['manifest_bytes'] / 1e6:.2f} MB",
    )
    return shown


def _spec() -> JobSpec:
    return JobSpec(
        id="bench",
        shot="bench",
        created=0.0,
        script_name="bench.nk",
        script_source=f"{_SHOW}/bench.nk",
        script_sha256="",
        fingerprint="",
        frames=f"1001-{1000 + FRAMES}",
        writes=(WriteTarget(name="Write1", file=f"{_SHOW}/out/o.%04d.exr"),),
        path_map=PathMap(rules=(PathRule(prefix=(_SHOW,), target="gs://show"),)),
    )


def _plan(sequences: int) -> Plan:
    frames = tuple(range(1001, 1001 + FRAMES))
    own: dict[int, tuple[int, ...]] = {frame: (frame,) for frame in frames}
    reads = [_read(f"Read{number}", f"el{number:03}/el{number:03}.%04d.exr", own) for number in range(sequences)]
    reads.append(_read("Still", "textures/t.7.exr", dict.fromkeys(frames, ONCE)))
    return Plan(frames=frames, views=("main",), writes=(), reads=tuple(reads))


def _read(node: str, tail: str, wanted: dict[int, tuple[int, ...]]) -> ReadPlan:
    return ReadPlan(
        node=node,
        cls="Read",
        knob="file",
        line=1,
        pattern=f"{_SHOW}/{tail}",
        on_error="error",
        views=("",),
        wanted=wanted,
    )


def _fill(server: FakeGcs, plan: Plan, objects: int) -> None:
    rng = random.Random(5)  # the same bytes everywhere
    names = {
        name.removeprefix(f"{_SHOW}/") for read in plan.reads for frame in plan.frames for _, name in read.names(frame)
    }
    rest = (f"textures/t.{number}.exr" for number in range(objects))
    while len(names) < objects:
        names.add(next(rest))
    for name in sorted(names):
        server.put("show", name, rng.randbytes(8))
