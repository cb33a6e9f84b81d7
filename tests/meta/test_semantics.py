"""Every example of docs/SEMANTICS.md runs against a real agent and a strict object server."""

from __future__ import annotations

import doctest
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jit_render.agent import ensure_running
from jit_render.farm.pinning import put_manifest
from jit_render.farm.planning import look
from jit_render.model.clock import SystemClock
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import CommitKey, JobPaths, JobSpec, WriteTarget
from jit_render.model.pathmap import PathMap, PathRule
from jit_render.model.settings import CacheSettings, Settings, StoreSettings
from jit_render.script.planned import ONCE, Plan, ReadPlan
from jit_render.store.port import ABSENT
from jit_render.store.router import open_store
from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.faults import Fault
from jit_render.testing.gcs_model import Preconditions
from nuke_callbacks.client import AgentFailure, Client

PAGE = Path(__file__).resolve().parents[2] / "docs" / "SEMANTICS.md"


@dataclass
class Bucket:
    """A bucket as the page's examples speak of it."""

    server: FakeGcs
    name: str

    def put(self, name: str, data: bytes) -> None:
        self.server.put(self.name, name, data)

    def get(self, name: str) -> bytes:
        return self.server.get(self.name, name)

    def names(self) -> list[str]:
        return list(self.server.objects(self.name))

    def downloads(self, name: str) -> int:
        return self.server.count("get", self.name, name)

    def forget_old_versions(self) -> None:
        for version in self.server.objects_model.versions(self.name, old=True):
            if version.generation != self.server.objects(self.name)[version.name].generation:
                self.server.objects_model.delete(self.name, version.name, version.generation, Preconditions())

    def goes_wrong(self, **fault: object) -> None:
        self.server.faults.set([Fault.parse({"bucket": self.name, **fault})])

    def goes_right(self) -> None:
        self.server.faults.set([])

    def deny(self) -> None:
        self.server.deny(self.name)

    def allow(self) -> None:
        self.server.allow(self.name)


class Process(Client):
    """One render process; what the examples do not look at is not returned."""

    def publish(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]  # examples show no return value
        super().publish(*args, **kwargs)

    def drain(self, session_only: bool = False) -> None:  # type: ignore[override]  # the same
        _, failed = super().drain(session_only)
        assert failed == []


def refusal(call: Callable[..., object], *args: object) -> str:
    with pytest.raises(AgentFailure) as caught:
        call(*args)
    return str(caught.value.kind)


def rot(path: str) -> None:
    place = Path(path).resolve()
    place.chmod(0o644)
    place.write_bytes(b"\0" * place.stat().st_size)


def kill_the_agent(process: Process, root: Path, settings: Settings) -> None:
    """Kill it; another one takes over."""
    pid = process.stats()["agent"]["pid"]
    os.kill(pid, signal.SIGKILL)
    ensure_running(root, settings, SystemClock())


class TwoNodes:
    """Jobs with a plan, each served by two agents with a cache of their own."""

    def __init__(self, server: FakeGcs, settings: Settings, folder: Path) -> None:
        self.processes: list[Process] = []
        self._server = server
        self._settings = settings
        self._caches = (folder / "here", folder / "there")

    def submit(self, name: str) -> list[Process]:
        job = make_job(self._server, f"planned-{len(self.processes)}", planned=name)
        sockets = [ensure_running(cache, self._settings, SystemClock()) for cache in self._caches]
        made = [Process(str(socket), str(job.home), 0, 1) for socket in sockets]
        self.processes += made
        return made


def make_job(server: FakeGcs, job_id: str, *, planned: str = "") -> JobPaths:
    rules = (
        PathRule(prefix=("/mnt/show", "P:\\show"), target="gs://assets"),
        PathRule(prefix="/mnt/show/renders", target="gs://out/renders", mode="write"),
    )
    spec = JobSpec(
        id=job_id,
        shot="shot",
        created=0.0,
        script_name="shot.nk",
        script_source="/mnt/show/shot.nk",
        script_sha256="0" * 64,
        fingerprint="0" * 64,
        frames="1001-1010",
        writes=(WriteTarget(name="Write1", file="/mnt/show/renders/beauty.%04d.txt"),),
        path_map=PathMap(rules=rules),
    )
    paths = JobPaths.of(ObjectUrl.parse("gs://state/jit"), job_id)
    store = open_store(StoreSettings(endpoint=server.url))
    if planned:
        read = ReadPlan("Read1", "Read", "file", 1, planned, "error", ("",), dict.fromkeys(spec.frame_set, ONCE))
        inputs = look(store, Plan(tuple(spec.frame_set), ("main",), (), (read,)), spec)
        manifest = put_manifest(store, paths, inputs.manifest().encode(spec.tasks()))
        spec = spec.model_copy(update={"inputs": manifest})
    store.write(paths.spec, spec.model_dump_json().encode(), if_generation=ABSENT)
    store.close()
    return paths


@pytest.fixture
def names(tmp_path: Path) -> Iterator[dict[str, object]]:
    with FakeGcs(buckets=["out", "state"]) as server:
        server.create_bucket("assets", versioning=True)
        job, other = make_job(server, "shot-1"), make_job(server, "shot-2")
        root = tmp_path / "cache"
        settings = Settings(
            cache=CacheSettings(root=str(root), free_space=0),
            store=StoreSettings(endpoint=server.url, timeout=5, deadline=10),
        )
        socket = str(ensure_running(root, settings, SystemClock()))
        processes = [Process(socket, str(home), 0, 1) for home in (job.home, job.home, other.home)]
        two_nodes = TwoNodes(server, settings, tmp_path)
        yield {
            "bucket": Bucket(server, "assets"),
            "out": Bucket(server, "out"),
            "nuke": processes[0],
            "neighbour": processes[1],
            "other_job": processes[2],
            "read": lambda path: Path(path).read_bytes(),
            "write": lambda path, data: Path(path).write_bytes(data) and None,
            "rot": rot,
            "kill_the_agent": lambda: kill_the_agent(processes[0], root, settings),
            "refusal": refusal,
            "submit_on_two_nodes": two_nodes.submit,
            "inputs_of": lambda write, view, frame: {
                source["url"]: source["generation"]
                for source in json.loads(
                    server.get("state", job.commit(CommitKey(write=write, view=view, frame=frame)).key)
                )["inputs"]
            },
            "committed": lambda write, view, frame: (
                job.commit(CommitKey(write=write, view=view, frame=frame)).key in server.objects("state")
            ),
        }
        processes += two_nodes.processes
        pids = {process.stats()["agent"]["pid"] for process in processes}
        for process in processes:
            process.close()
        for pid in pids:
            os.kill(pid, signal.SIGTERM)


def test_the_page_tells_the_truth(names: dict[str, object]) -> None:
    test = doctest.DocTestParser().get_doctest(PAGE.read_text(encoding="utf-8"), names, PAGE.name, str(PAGE), 0)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST)
    results = runner.run(test, out=report.append)
    assert results.attempted > 30
    assert results.failed == 0, "".join(report)
