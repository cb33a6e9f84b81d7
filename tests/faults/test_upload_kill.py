"""An agent ended by SIGTERM or SIGKILL in each state of an upload: every frame is in the bucket once, with its bytes.

One agent has a frame in every state at the same time: some are held by the bucket, which goes silent in the middle of a
request, the others by the agent itself (held_agent.py). Then it is ended, and a plain agent has to complete them all.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from agent_kit import RENDERS, Place, Talker, wait_until

from jit_render.model.settings import CacheSettings
from jit_render.testing.certificates import Certificates
from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.faults import At, Fault

HELD_AGENT = str(Path(__file__).with_name("held_agent.py"))
SMALL = 1 << 10
LARGE = 9 << 20  # goes by a resumable session; in the held agent as two chunks


@dataclass(frozen=True)
class State:
    """`point`: where held_agent.py stops. Else the request of `kind` at which the bucket goes silent."""

    name: str
    size: int = SMALL
    point: str = ""
    kind: str = ""
    at: At = "first"
    after: int = 0

    def fault(self, frame: int) -> Fault:
        name = "state/*/frames/*" if self.name.startswith("the record") else "renders/*"
        end = f"/{frame}.json" if self.name.startswith("the record") else f".{frame:04d}.dpx"
        return Fault(self.kind, name=name + end, action="stall", at=self.at, after=self.after, times=-1)


UNANSWERED = (
    State("linked into the spool, no entry yet", point="linked"),
    State("the entry is written", point="written"),
    State("taken, the reply is not sent", point="taken"),
)
"""The renderer has no reply, so it asks the next agent again."""

STATES = (
    *UNANSWERED,
    State("taken and answered, no checksum yet", point="answered"),
    State("summed, not begun", point="summed"),
    State("a small one is on its way: nothing arrived", kind="write"),
    State("a small one is on its way: half arrived", kind="write", at="middle"),
    State("a small one has arrived and nobody knows", kind="write", at="last"),
    State("a session is asked for", LARGE, kind="session"),
    State("a session was given and nobody knows", LARGE, kind="session", at="last"),
    State("the session is known, nothing is sent", LARGE, kind="chunk"),
    State("the first chunk is half sent", LARGE, kind="chunk", at="middle"),
    State("the first chunk has arrived and nobody knows", LARGE, kind="chunk", at="last"),
    State("between two chunks", LARGE, kind="chunk", after=1),
    State("the last chunk is half sent", LARGE, kind="chunk", at="middle", after=1),
    State("all has arrived and nobody knows", LARGE, kind="chunk", at="last", after=1),
    State("verified, no record yet", LARGE, point="verified"),
    State("the record is on its way", kind="write"),
    State("the record is written and nobody knows", kind="write", at="last"),
    State("the record is known to be written", point="committed"),
    State("the cache has a name for it, which it does not count yet", point="placed"),
    State("in the cache, the entry still stands", point="handed over"),
    State("the entry is gone, its bytes are not", point="unlisted"),
    State("all is done, nobody is told", point="removed"),
    State("sealed against a loss of power", point="sealed"),
)
IN_THE_LOOP = (
    State("in the cache, the place still leads into the spool", point="adopted"),
    State("in the cache, and the place leads there", point="moved"),
)
"""No signal is answered while the loop works, so only SIGKILL meets an agent here."""

QUEUED = State("queued behind others")
"""Every thread that uploads is busy with the states above."""


@pytest.fixture
def gcs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    tls = None
    if getattr(request, "param", "") == "https":
        made = Certificates.make(tmp_path)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.authority))
        tls = made.context()
    with FakeGcs(buckets=["studio"], tls=tls) as server:
        yield server


@pytest.fixture
def cloud(tmp_path: Path, gcs: FakeGcs) -> Iterator[Place]:
    made = Place(tmp_path, bucket="gs://studio", endpoint=gcs.url, deadline=10.0)
    yield made
    made.close()


def output(frame: int) -> list[list[str]]:
    return [["main", f"{RENDERS}/a.{frame:04d}.dpx"]]


def data_of(frame: int, state: State) -> bytes:
    return bytes([frame]) * state.size


def start_held(cloud: Place, states: dict[int, State]) -> Path:
    """An agent that stops each frame in its state; the folder in which it tells where it stands."""
    told = cloud.root / "told"
    told.mkdir()
    plan = {f"a.{frame:04d}.dpx": state.point for frame, state in states.items() if state.point}
    cloud.program = (HELD_AGENT, json.dumps(plan), str(told))
    in_summer_or_disk = sum(state in UNANSWERED or state.point in {"answered", "sealed"} for state in states.values())
    cloud.cache = CacheSettings(uploaders=max(1, len(states) - in_summer_or_disk + 1))  # the sealed one uploads, too
    cloud.start("--grace", "0.2")
    return told


def publish(cloud: Place, talker: Talker, frame: int, state: State) -> Path:
    talker = cloud.talk() if state in UNANSWERED else talker
    (path,) = talker.frame("begin", frame, output(frame))
    path.write_bytes(data_of(frame, state))
    if state in UNANSWERED:
        talker.begin("publish", write="Write1", frame=frame, outputs=output(frame), frames=[frame], seconds=0.5)
    else:
        assert talker.publish(frame, output(frame))["ok"]
    return path


def end_and_follow(cloud: Place, gcs: FakeGcs, number: signal.Signals) -> Talker:
    """End the held agent, start a plain one."""
    cloud.agents[-1].send_signal(number)
    cloud.agents[-1].wait()
    gcs.faults.set([])
    cloud.program = Place.program
    cloud.start()
    return cloud.talk()


def check_done(cloud: Place, gcs: FakeGcs, follower: Talker, frame: int, state: State) -> None:
    name = f"renders/a.{frame:04d}.dpx"
    data = data_of(frame, state)
    assert gcs.get("studio", name) == data, state
    (written,) = cloud.record(frame).outputs
    assert written.generation == str(gcs.objects("studio")[name].generation), state
    read_back = follower.resolve(output(frame)[0][1])
    assert Path(read_back["path"]).read_bytes() == data, state


@pytest.mark.parametrize(
    ("gcs", "number"),
    [("http", signal.SIGTERM), ("http", signal.SIGKILL), ("https", signal.SIGKILL)],
    indirect=["gcs"],
    ids=["SIGTERM", "SIGKILL", "SIGKILL-https"],
)
def test_ended_in_every_state_of_an_upload_the_next_agent_completes_each_once(
    cloud: Place, gcs: FakeGcs, number: signal.Signals
) -> None:
    states = dict(enumerate(STATES, 1))
    faults = {frame: state.fault(frame) for frame, state in states.items() if state.kind}
    sealed = max(states)
    stuck = Fault("write", name=f"renders/a.{sealed:04d}.dpx", action="stall", times=-1)
    gcs.faults.set([*faults.values(), stuck])
    told = start_held(cloud, states)
    talker = cloud.talk()
    for frame, state in states.items():
        publish(cloud, talker, frame, state)
    for frame, state in states.items():
        if state.point:
            wait_until((told / f"a.{frame:04d}.dpx").exists, state.name)
    for one in (*faults.values(), stuck):
        wait_until(partial(gcs.stalled.__contains__, one), str(one))
    queued = max(states) + 1
    states[queued] = QUEUED
    publish(cloud, talker, queued, QUEUED)

    follower = end_and_follow(cloud, gcs, number)

    for frame in [frame for frame, state in states.items() if state in UNANSWERED]:
        assert follower.publish(frame, output(frame))["published"] == [f"gs://studio/renders/a.{frame:04d}.dpx"]
    committed, failed = follower.drain()
    assert failed == []
    assert len(committed) == len({tuple(key) for key in committed})
    for frame, state in states.items():
        check_done(cloud, gcs, follower, frame, state)
    assert len(cloud.records()) == len(states)
    assert [entry.name for entry in cloud.spool.iterdir()] == ["failed"]


@pytest.mark.parametrize("state", IN_THE_LOOP, ids=lambda state: state.name)
def test_killed_while_the_loop_moves_an_output_to_the_cache_it_is_there_once(
    cloud: Place, gcs: FakeGcs, state: State
) -> None:
    told = start_held(cloud, {1: state})
    place = publish(cloud, cloud.talk(), 1, state)
    wait_until((told / "a.0001.dpx").exists, state.name)

    follower = end_and_follow(cloud, gcs, signal.SIGKILL)

    assert follower.drain() == ([["Write1", "main", 1]], [])
    assert place.read_bytes() == data_of(1, state)
    check_done(cloud, gcs, follower, 1, state)
    assert [entry.name for entry in cloud.spool.iterdir()] == ["failed"]
