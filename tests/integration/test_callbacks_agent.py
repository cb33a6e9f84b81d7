"""The callbacks against the real agent, which is killed while a frame renders."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
from fake_nuke import Node, Nuke

from jit_render.agent import socket_path
from jit_render.agent.launch import answers
from jit_render.model.clock import SystemClock
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import JobPaths, JobSpec, WriteTarget
from jit_render.model.pathmap import PathMap, PathRule
from nuke_callbacks.client import AgentFailure, Client
from nuke_callbacks.hooks import Hooks

PLATE = "/mnt/show/plates/a.%04d.jpg"
OUT = "/mnt/out/o.%04d.jpg"


class RenderNode:
    """A bucket, a job and an agent that can be killed."""

    def __init__(self, folder):
        self.bucket = folder / "bucket"
        self.cache = folder / "cache"
        self.log = folder / "agent.log"
        self.process = None
        (self.bucket / "plates").mkdir(parents=True)
        for frame in range(1, 4):
            (self.bucket / "plates" / f"a.{frame:04}.jpg").write_bytes(b"plate %d" % frame)
        paths = JobPaths.of(ObjectUrl.parse(folder.as_uri()) / "state", "job1")
        spec = JobSpec(
            id="job1", shot="s", created=0.0, script_name="s.nk", script_source="/mnt/show/s.nk", script_sha256="",
            fingerprint="", frames="1-3", writes=(WriteTarget(name="Write1", file=OUT),),
            path_map=PathMap(rules=(
                PathRule(prefix=("/mnt/show", "P:\\show"), target=self.bucket.as_uri()),
                PathRule(prefix="/mnt/out", target=(self.bucket / "out").as_uri(), mode="write"),
            )),
        )  # fmt: skip
        place = Path("/" + paths.spec.key)
        place.parent.mkdir(parents=True)
        place.write_text(spec.model_dump_json())
        self.job = str(paths.home)
        self.commits = place.parent / "frames" / "Write1" / "main"
        self.socket = socket_path(self.cache)

    def start(self):
        command = [sys.executable, "-m", "jit_render.agent", "--cache", str(self.cache), "--socket", str(self.socket)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--settings", json.dumps({"cache": {"free_space": 0}})], stdout=log, stderr=log
            )
        clock = SystemClock()
        end = clock.monotonic() + 30
        while not answers(self.socket):
            assert self.process.poll() is None, self.log.read_text()
            assert clock.monotonic() < end, self.log.read_text()
            clock.sleep(0.02)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def wait_for_index(self, frame):
        """Until the cache has written down that it has the frame's plate: a kill before costs the frame in hand."""
        clock = SystemClock()
        end = clock.monotonic() + 30
        url = f"{self.bucket.as_uri()}/plates/a.{frame:04}.jpg"
        while not self._rows(url):
            assert clock.monotonic() < end
            clock.sleep(0.02)

    def _rows(self, url):
        with closing(sqlite3.connect(self.cache / "index.sqlite")) as index:
            return index.execute("SELECT count(*) FROM entries WHERE url = ?", (url,)).fetchone()[0]

    def stop(self):
        if self.process.poll() is None:
            self.kill()


@pytest.fixture
def node():
    with tempfile.TemporaryDirectory() as folder:
        made = RenderNode(Path(folder))
        made.start()
        yield made
        made.stop()


@pytest.fixture
def client(node):
    made = Client(str(node.socket), node.job)
    yield made
    made.close()


def scene(client, out=OUT, last=3, on_error="error"):
    read = Node("Read", "Read1", file=PLATE, on_error=on_error)
    write = Node("Write", "Write1", lambda frame: [[read, [PLATE % frame]]], file=out, views="main")
    nuke = Nuke(read, write, last_frame=last)
    hooks = Hooks(nuke, client)
    hooks.register()
    return nuke, write


def draw_on(nuke):
    def draw(write, frame):
        pixels = Path(nuke.open(PLATE % frame)).read_bytes()
        Path(nuke.open(OUT % frame)).write_bytes(b"graded " + pixels)

    return draw


def test_a_shot_goes_from_bucket_to_bucket(node, client):
    nuke, write = scene(client)

    nuke.render([write], [1, 2, 3], draw_on(nuke))

    for frame in (1, 2, 3):
        assert (node.bucket / "out" / f"o.{frame:04}.jpg").read_bytes() == b"graded plate %d" % frame
        record = json.loads((node.commits / f"{frame}.json").read_text())
        assert [entry["url"].rpartition("/")[2] for entry in record["inputs"]] == [f"a.{frame:04}.jpg"]
    assert client.held == {}


def test_the_agent_may_be_killed_between_writing_and_publishing(node, client):
    nuke, write = scene(client)
    draw = draw_on(nuke)

    def draw_and_kill(write, frame):
        draw(write, frame)
        node.wait_for_index(frame)
        node.kill()
        node.start()

    nuke.render([write], [1, 2], draw_and_kill)

    for frame in (1, 2):
        assert (node.bucket / "out" / f"o.{frame:04}.jpg").read_bytes() == b"graded plate %d" % frame
        assert json.loads((node.commits / f"{frame}.json").read_text())["inputs"]


@pytest.mark.parametrize("on_error", ["error", "black"])
def test_a_hole_between_two_agents_costs_the_frame_only_where_nuke_would_not_notice(node, client, on_error):
    nuke, write = scene(client, on_error=on_error)
    draw = draw_on(nuke)

    def draw_and_kill(write, frame):
        draw(write, frame)
        target = Path(os.path.realpath(nuke.open(PLATE % frame)))
        node.kill()
        target.parent.chmod(0o700)
        target.unlink()
        node.start()

    lost = pytest.raises(RuntimeError, match="left the cache") if on_error == "black" else nullcontext()
    with lost:
        nuke.render([write], [1], draw_and_kill)

    assert (node.commits / "1.json").exists() is (on_error == "error")


def test_a_movie_grows_over_its_frames_and_the_loss_of_an_agent(node, client):
    nuke, write = scene(client, out="/mnt/out/o.mov")

    def draw(write, frame):
        with Path(nuke.open("/mnt/out/o.mov")).open("ab") as movie:
            movie.write(Path(nuke.open(PLATE % frame)).read_bytes())

    for frame in (1, 2):
        nuke.call("before_frame", write, frame)
        draw(write, frame)
        nuke.call("after_frame", write, frame)
        if frame == 1:
            node.kill()
            node.start()
    nuke.call("after", write, 2)

    assert (node.bucket / "out" / "o.mov").read_bytes() == b"plate 1plate 2"
    assert {path.name for path in node.commits.iterdir()} == {"1.json", "2.json"}


def test_absent_hostile_unmapped_and_windows_names_are_told_apart(client):
    assert client.resolve("/mnt/show/plates/none.jpg")["state"] == "absent"
    assert client.resolve("/mnt/show/../etc/passwd")["kind"] == "HostilePath"
    assert client.resolve("/mnt/show/a\nb")["kind"] == "HostilePath"
    assert client.resolve("/opt/lut.cube")["state"] == "unmapped"
    assert Path(client.resolve("p:\\SHOW\\plates\\a.0001.jpg")["path"]).read_bytes() == b"plate 1"
    place = client.resolve(PLATE)["path"] % 2
    assert client.resolve(place)["path"] == place
    assert Path(place).read_bytes() == b"plate 2"


def test_a_write_to_an_unmapped_place_is_refused_before_the_frame(client):
    nuke, write = scene(client, out="/elsewhere/o.%04d.jpg")

    with pytest.raises(RuntimeError, match="elsewhere"):
        nuke.render([write], [1], draw_on(nuke))


def test_a_job_that_does_not_exist_is_named(node):
    with pytest.raises(AgentFailure, match="job"):
        Client(str(node.socket), node.job + "-not").connect()
