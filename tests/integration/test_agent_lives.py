"""Agents are started by whoever needs one, killed at any moment, and followed by the next."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_kit import RENDERS, SHOW, Place, wait_until

from jit_render.agent import ensure_running, socket_path
from jit_render.agent.launch import answers
from jit_render.model.clock import SystemClock
from jit_render.model.errors import AgentLost, CacheUnusable
from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.faults import Fault
from nuke_callbacks.client import Client

UPLOADS = ("write", "session", "chunk")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


@pytest.fixture
def gcs() -> Iterator[FakeGcs]:
    with FakeGcs(buckets=["studio"]) as server:
        yield server


@pytest.fixture
def cloud(tmp_path: Path, gcs: FakeGcs) -> Iterator[Place]:
    made = Place(tmp_path, bucket="gs://studio", endpoint=gcs.url, deadline=1.0)
    yield made
    made.close()


def output(frame: int) -> list[str]:
    return ["main", f"{RENDERS}/a.{frame:04d}.dpx"]


def end_agent(place: Place) -> None:
    """The agent of this cache, whoever started it."""
    if answers(place.socket):
        pid = int(place.talk(job="").ask("stats")["agent"]["pid"])
        os.kill(pid, signal.SIGKILL)


def test_killed_right_after_a_publish_the_next_agent_uploads_and_commits(cloud: Place, gcs: FakeGcs) -> None:
    gcs.faults.set([Fault(kind=kind, name="renders/*", times=-1) for kind in UPLOADS])
    agent = cloud.start()
    talker = cloud.talk(task=4, attempt=2)
    (path,) = talker.frame("begin", 1, [output(1)])
    path.write_bytes(b"pixels")
    assert talker.publish(1, [output(1)])["ok"]
    agent.kill()
    agent.wait()
    gcs.faults.set([])

    cloud.start()

    assert cloud.talk(task=4, attempt=2).drain() == ([["Write1", "main", 1]], [])
    assert gcs.get("studio", "renders/a.0001.dpx") == b"pixels"
    assert (cloud.record(1).task, cloud.record(1).attempt) == (4, 2)
    assert path.read_bytes() == b"pixels"
    assert "/objects/" in str(path.readlink())


def test_killed_in_the_middle_of_an_upload_it_goes_on_where_it_was(cloud: Place, gcs: FakeGcs) -> None:
    gcs.faults.set([Fault(kind="chunk", name="renders/*", action="stall", at="middle", times=1)])
    agent = cloud.start()
    talker = cloud.talk()
    (path,) = talker.frame("begin", 1, [output(1)])
    data = random.Random(1).randbytes(24 << 20)
    path.write_bytes(data)
    talker.publish(1, [output(1)])
    wait_until(lambda: gcs.count("chunk") == 1, "the upload to begin")
    agent.kill()
    agent.wait()

    cloud.start()

    assert cloud.talk().drain() == ([["Write1", "main", 1]], [])
    assert gcs.get("studio", "renders/a.0001.dpx") == data
    assert gcs.count("session") == 1


def test_what_never_became_an_entry_is_swept_and_never_uploaded(place: Place) -> None:
    place.start().kill()
    place.agents[0].wait()
    half = place.spool / "00000000000000000001-aaaaaaaa"
    half.mkdir()
    (half / "a.0001.dpx").write_bytes(b"half")
    (place.spool / "00000000000000000002-bbbbbbbb.part").write_bytes(b"{")
    (place.spool / "00000000000000000003-cccccccc.json").write_bytes(b'{"files": [')
    (place.spool / "00000000000000000004-dddddddd.json").write_bytes(b"{}")
    (place.spool / "00000000000000000004-dddddddd.twin").write_bytes(b"x")

    place.start()

    assert place.talk().drain(session_only=False) == ([], [])
    assert [entry.name for entry in place.spool.iterdir()] == ["failed"]
    assert list(place.store.list(place.url("renders"))) == []


def test_killed_between_keeping_and_linking_the_place_is_linked_by_the_next(cloud: Place, gcs: FakeGcs) -> None:
    gcs.faults.set([Fault(kind=kind, name="renders/*", times=-1) for kind in UPLOADS])
    agent = cloud.start()
    talker = cloud.talk()
    (path,) = talker.frame("begin", 1, [output(1)])
    path.write_bytes(b"pixels")
    talker.publish(1, [output(1)])
    agent.kill()
    agent.wait()
    kept = path.readlink()
    path.unlink()
    os.link(kept, path)  # as it was just before the link

    cloud.start()

    assert path.is_symlink()
    again = cloud.talk().publish(1, [output(1)])
    assert again["published"] == ["gs://studio/renders/a.0001.dpx"]


def test_a_client_rides_over_the_death_of_its_agent_in_mid_frame(place: Place) -> None:
    place.put("show/plate.exr", b"plate")
    agent = place.start()
    client = Client(str(place.socket), str(place.home), 1, 1)
    (path,) = client.begin_frame("Write1", 7, [output(7)])
    held = client.ensure([[f"{SHOW}/plate.exr", "error"]], "Write1", 7)[0]
    Path(path).write_bytes(b"pixels")
    agent.kill()
    agent.wait()
    place.start()

    published = client.publish("Write1", 7, [output(7)])

    assert published == [f"{place.bucket}/renders/a.0007.dpx"]
    assert client.take_failures() == []
    assert client.drain() == ([["Write1", "main", 7]], [])
    assert [entry.url for entry in place.record(7).inputs] == [f"{place.bucket}/show/plate.exr"]
    assert Path(held["path"]).read_bytes() == b"plate"
    client.close()


def test_frames_survive_agents_that_are_killed_again_and_again(place: Place) -> None:
    dice = random.Random(20)
    frames = range(1, 13)
    place.start()
    client = Client(str(place.socket), str(place.home), 1, 1)
    killed = threading.Event()

    def kill_and_follow(agent: subprocess.Popen[bytes], delay: float) -> None:
        killed.wait(delay)
        agent.kill()
        agent.wait()
        place.launch()

    for frame in frames:
        killer = threading.Thread(target=kill_and_follow, args=(place.agents[-1], dice.random() * 0.02))
        if frame % 3 == 0:
            wait_until(lambda: answers(place.socket), "the agent to be there before it is killed")
            killer.start()
        (path,) = client.begin_frame("Write1", frame, [output(frame)])
        Path(path).write_bytes(b"frame %d" % frame)
        client.publish("Write1", frame, [output(frame)])
        client.end_frame("Write1", frame)
        if frame % 3 == 0:
            killer.join()

    client.drain()
    client.close()
    assert sorted(place.records()) == sorted(f"Write1/main/{frame}.json" for frame in frames)
    for frame in frames:
        assert place.get(f"renders/a.{frame:04d}.dpx") == b"frame %d" % frame
        (written,) = place.record(frame).outputs
        assert place.store.stat(place.url(f"renders/a.{frame:04d}.dpx")).id.generation == written.generation
    assert not list(place.spool.glob("*.json"))


def test_pins_outlive_the_agent(place: Place) -> None:
    place.put("show/plate.exr", b"first")
    agent = place.start()
    talker = place.talk()
    talker.resolve(f"{SHOW}/plate.exr")
    wait_until(lambda: pinned(place), "the pin to be written")
    agent.kill()
    agent.wait()
    place.put("show/plate.exr", b"second!")

    place.start()

    assert Path(place.talk().resolve(f"{SHOW}/plate.exr")["path"]).read_bytes() == b"first"


def pinned(place: Place) -> bool:
    import sqlite3

    with sqlite3.connect(f"file:{place.cache_root}/index.sqlite?mode=ro", uri=True) as index:
        return bool(index.execute("SELECT count(*) FROM pins").fetchone()[0])


def test_several_processes_that_need_an_agent_get_one(place: Place) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from jit_render.agent import ensure_running\n"
        "from jit_render.model.clock import SystemClock\n"
        "from jit_render.model.settings import Settings\n"
        "print(ensure_running(Path(sys.argv[1]), Settings(), SystemClock(), seconds=60))\n"
    )
    starters = [
        subprocess.Popen([sys.executable, "-c", code, str(place.cache_root)], stdout=subprocess.PIPE, text=True)
        for _ in range(5)
    ]

    told = {starter.communicate()[0].strip() for starter in starters}

    assert told == {str(place.socket)}
    log = (place.cache_root / "agent.log").read_text()
    assert log.count(" serves ") == 1
    assert log.count("CacheLocked") == 0
    end_agent(place)


def test_an_agent_that_was_killed_is_followed_by_another(place: Place) -> None:
    first = ensure_running(place.cache_root, place.settings, SystemClock())
    pid = place.talk(job="").ask("stats")["agent"]["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not answers(first), "the end")

    second = ensure_running(place.cache_root, place.settings, SystemClock())

    assert second == first
    assert place.talk(job="").ask("stats")["agent"]["pid"] != pid
    end_agent(place)


def test_a_cache_root_that_cannot_be_used_is_said_at_once(tmp_path: Path) -> None:
    place = Place(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "objects").write_bytes(b"")

    with pytest.raises(CacheUnusable, match="cannot be made"):
        ensure_running(tmp_path / "file", place.settings, SystemClock())
    with pytest.raises(CacheUnusable, match=r"cannot use .*objects"):
        ensure_running(tmp_path / "broken", place.settings, SystemClock())


def test_an_agent_that_does_not_come_is_lost_after_a_while(place: Place) -> None:
    place.cache_root.mkdir()

    with pytest.raises(AgentLost, match=r"no agent answers .* see .*agent\.log"):
        ensure_running(place.cache_root, place.settings, SystemClock(), arguments=("--no-such-option",), seconds=1.0)


def test_a_deep_cache_root_still_has_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = Path(tempfile.mkdtemp(dir="/var/tmp"))  # short, unlike tmp_path
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    place = Place(tmp_path / ("d" * 60) / ("e" * 60))

    path = ensure_running(place.cache_root, place.settings, SystemClock())

    assert path == socket_path(place.cache_root)
    assert len(str(path)) < 108
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert place.talk(job="").ask("stats")["ok"]
    end_agent(place)
    path.parent.chmod(0o755)
    with pytest.raises(CacheUnusable, match="not a private folder"):
        socket_path(place.cache_root)
    shutil.rmtree(temporary)


def test_metrics_are_served_on_loopback_when_asked_for(place: Place) -> None:
    place.put("show/plate.exr", b"plate")
    agent = place.start("--metrics-port", "-1")
    talker = place.talk()
    talker.resolve(f"{SHOW}/plate.exr")
    port = talker.ask("stats")["agent"]["metrics_port"]

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()

    assert "jit_render_cache_fetched_bytes_total 5.0" in text
    assert "jit_render_sessions 1.0" in text
    assert "# TYPE jit_render_spool_bytes gauge" in text
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(20) == 0


def test_starting_imports_neither_google_nor_prometheus(place: Place) -> None:
    place.start("--idle-seconds", "0.05", environment={"PYTHONPROFILEIMPORTTIME": "1"})
    place.agents[0].wait(20)

    imported = (place.root / "agent.log").read_text()

    assert "jit_render.agent.server" in imported
    for heavy in ("google.cloud", "google.auth", "fsspec", "prometheus_client", "fileseq", "requests"):
        assert heavy not in imported, heavy
