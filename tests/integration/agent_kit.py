"""What the agent's tests share: a bucket, a job in it, agents as processes, and a client that is only a socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jit_render.agent import socket_path
from jit_render.agent.launch import answers
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import CommitKey, CommitRecord, JobPaths, JobSpec, WriteTarget
from jit_render.model.pathmap import PathMap, PathRule
from jit_render.model.settings import CacheSettings, Settings, StoreSettings
from jit_render.store import ABSENT, Store, open_store
from nuke_callbacks import wire

PATIENCE = 30.0
SHOW = "/mnt/show"
RENDERS = "/mnt/renders"


def wait_until(is_true: Callable[[], Any], what: str) -> None:
    """Poll; fail after `PATIENCE`."""
    end = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.01)


class Talker:
    """One connection, line by line."""

    def __init__(self, path: Path, seconds: float = PATIENCE) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(seconds)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("rb")
        self.number = 0

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> dict[str, Any] | None:
        """The next reply; None once the agent has closed."""
        try:
            line = self.lines.readline()
        except ConnectionError:
            return None
        return wire.decode(line) if line else None

    def begin(self, verb: str, **fields: Any) -> None:
        self.number += 1
        self.send(wire.encode({"id": self.number, "verb": verb, **fields}))

    def call(self, verb: str, **fields: Any) -> dict[str, Any]:
        self.begin(verb, **fields)
        reply = self.line()
        assert reply is not None, f"the agent closed instead of answering {verb}"
        assert reply["id"] == self.number
        return reply

    def ask(self, verb: str, **fields: Any) -> dict[str, Any]:
        """The reply to a request that must succeed."""
        reply = self.call(verb, **fields)
        assert reply["ok"], reply
        return reply

    def resolve(self, name: str, write: str = "") -> dict[str, Any]:
        return self.ask("resolve", name=name, write=write)["answer"]

    def ensure(self, *names: str, on_error: str = "error", write: str = "") -> list[dict[str, Any]]:
        return self.ask("ensure", names=[[name, on_error] for name in names], write=write, frame=1)["answers"]

    def frame(self, state: str, frame: int, outputs: list[list[str]], write: str = "Write1") -> list[Path]:
        reply = self.ask("frame", state=state, write=write, frame=frame, outputs=outputs)
        return [Path(path) for path in reply.get("outputs", [])]

    def publish(self, frame: int, outputs: list[list[str]], write: str = "Write1", **more: Any) -> dict[str, Any]:
        fields = {"frames": [frame], "seconds": 0.5, **more}
        return self.call("publish", write=write, frame=frame, outputs=outputs, **fields)

    def drain(self, *, session_only: bool = True) -> tuple[list[Any], list[Any]]:
        reply = self.ask("drain", session_only=session_only)
        return reply["committed"], reply["failed"]

    def close(self) -> None:
        self.lines.close()
        self.socket.close()


@dataclass
class Place:
    """A bucket, one job, one cache."""

    root: Path
    bucket: str = ""
    """Like ``gs://show``; empty: a folder."""
    endpoint: str = ""
    cache: CacheSettings = field(default_factory=CacheSettings)
    deadline: float = 300.0
    latest: bool = False
    program: tuple[str, ...] = ("-m", "jit_render.agent")
    """What Python runs for an agent."""
    agents: list[subprocess.Popen[bytes]] = field(default_factory=list)
    talkers: list[Talker] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bucket = self.bucket or f"file://{self.root}/bucket"
        self.store: Store = open_store(self.store_settings)
        self.home = ObjectUrl.parse(f"{self.bucket}/state/jobs/shot-1")
        self.put("state/jobs/shot-1/job.json", self.spec("shot-1").model_dump_json().encode())

    @property
    def store_settings(self) -> StoreSettings:
        return StoreSettings(endpoint=self.endpoint, deadline=self.deadline, timeout=5.0)

    @property
    def cache_root(self) -> Path:
        return self.root / "cache"

    @property
    def spool(self) -> Path:
        return self.cache_root / "spool"

    def spec(self, job: str) -> JobSpec:
        rules = (
            PathRule(prefix=(SHOW, "P:\\show"), target=f"{self.bucket}/show"),
            PathRule(prefix=RENDERS, target=f"{self.bucket}/renders", mode="write"),
        )
        return JobSpec(
            id=job, shot="sh010", created=1.0, script_name="a.nk", script_source="/mnt/show/a.nk", script_sha256="0",
            fingerprint="0", frames="1-100", writes=(WriteTarget(name="Write1", file=f"{RENDERS}/a.%04d.exr"),),
            path_map=PathMap(rules=rules), latest=self.latest,
        )  # fmt: skip

    def url(self, key: str) -> ObjectUrl:
        return ObjectUrl.parse(f"{self.bucket}/{key}")

    def put(self, key: str, data: bytes) -> str:
        """Write or overwrite an object; its generation."""
        url = self.url(key)
        known = [info for info in self.store.list(url.parent, recursive=False) if info.url == url]
        written = self.store.write(url, data, if_generation=known[0].id.generation if known else ABSENT)
        return written.id.generation

    def get(self, key: str) -> bytes:
        return self.store.read(self.url(key))[0]

    def record(self, frame: int, view: str = "main", write: str = "Write1") -> CommitRecord:
        url = JobPaths(self.home).commit(CommitKey(write=write, view=view, frame=frame))
        return CommitRecord.model_validate_json(self.store.read(url)[0])

    def records(self) -> list[str]:
        """Names of all commit records."""
        folder = JobPaths(self.home).frames
        return [info.url.key.removeprefix(folder.key + "/") for info in self.store.list(folder)]

    def start(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """An agent that answers."""
        agent = self.launch(*arguments, environment=environment)
        wait_until(lambda: answers(self.socket) or agent.poll() is not None, "an agent's hello")
        assert agent.poll() is None, (self.root / "agent.log").read_text()
        return agent

    def launch(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        settings = json.dumps(
            {"cache": self.cache.model_dump(mode="json"), "store": self.store_settings.model_dump(mode="json")}
        )
        command = [sys.executable, *self.program, "--cache", str(self.cache_root), "--settings", settings]
        with (self.root / "agent.log").open("ab") as log:
            agent = subprocess.Popen(
                [*command, *arguments], stdout=log, stderr=log, env={**os.environ, **(environment or {})}
            )
        self.agents.append(agent)
        return agent

    @property
    def settings(self) -> Settings:
        return Settings(cache=self.cache, store=self.store_settings)

    @property
    def socket(self) -> Path:
        return socket_path(self.cache_root)

    def talk(self, *, job: str | None = None, task: int = 1, attempt: int = 1, role: str = "renderer") -> Talker:
        """A connection that has said hello."""
        talker = self.connect()
        home = str(self.home) if job is None else job
        talker.ask("hello", version=wire.VERSION, role=role, pid=os.getpid(), job=home, task=task, attempt=attempt)
        return talker

    def connect(self) -> Talker:
        talker = Talker(self.socket)
        self.talkers.append(talker)
        return talker

    def close(self) -> None:
        for talker in self.talkers:
            talker.close()
        for agent in self.agents:
            if agent.poll() is None:
                agent.send_signal(signal.SIGKILL)
            agent.wait()
        self.store.close()
