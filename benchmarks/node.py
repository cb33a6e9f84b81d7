"""A node for measurements: a bucket on this disk, a job in it, and the real agent in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jit_render.agent import socket_path
from jit_render.agent.launch import answers
from jit_render.model.clock import SystemClock
from jit_render.model.errors import AgentLost
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import JobPaths, JobSpec, WriteTarget
from jit_render.model.pathmap import PathMap, PathRule
from jit_render.model.settings import Settings

_START_SECONDS = 30.0
_OBJECT = b"bytes of a plate; a resolve does not read them\n"
SHOW = "/mnt/show"


@contextmanager
def running_agent(folder: Path, *, objects: int) -> Iterator[tuple[Path, str, list[str]]]:
    """(socket, URL of the job, names of `objects` plates). `folder` gets the bucket and the cache."""
    plates = folder / "bucket" / "plates"
    plates.mkdir(parents=True)
    names = []
    for number in range(objects):
        base = f"plate.{number:07}.exr"
        (plates / base).write_bytes(_OBJECT)
        names.append(f"{SHOW}/plates/{base}")
    job = _submit(folder / "bucket")
    cache = folder / "cache"
    path = socket_path(cache)
    command = [sys.executable, "-m", "jit_render.agent", "--cache", str(cache), "--socket", str(path)]
    sections = Settings().model_dump(mode="json", include={"cache", "store"})
    sections["cache"].update(limit=1024**3, free_space=0)
    with (folder / "agent.log").open("wb") as log:
        process = subprocess.Popen([*command, "--settings", json.dumps(sections)], stdout=log, stderr=log)
    try:
        _wait(process, path, folder / "agent.log")
        yield path, job, names
    finally:
        process.terminate()
        process.wait()


def _submit(bucket: Path) -> str:
    """The records of a job that reads everything below `SHOW`."""
    paths = JobPaths.of(ObjectUrl.parse(bucket.as_uri()) / "state", "bench")
    spec = JobSpec(
        id=paths.job_id,
        shot="bench",
        created=0.0,
        script_name="bench.nk",
        script_source=f"{SHOW}/bench.nk",
        script_sha256="",
        fingerprint="",
        frames="1",
        writes=(WriteTarget(name="Write1", file=f"{SHOW}/out/o.%04d.exr"),),
        path_map=PathMap(rules=(PathRule(prefix=(SHOW,), target=bucket.as_uri()),)),
    )
    place = Path("/" + paths.spec.key)
    place.parent.mkdir(parents=True)
    place.write_text(spec.model_dump_json())
    return str(paths.home)


def _wait(process: subprocess.Popen[bytes], path: Path, log: Path) -> None:
    clock = SystemClock()
    end = clock.monotonic() + _START_SECONDS
    while not answers(path):
        if process.poll() is not None or clock.monotonic() >= end:
            raise AgentLost(f"the agent did not start: {log.read_text()[-500:]}")
        clock.sleep(0.02)
