"""An agent among many clients, without descriptors, ended in every state of an upload: no frame is lost or doubled."""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from agent_kit import RENDERS, SHOW, Place, Talker, wait_until

from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.faults import Fault

CLIENTS = 200
LARGE = bytes(range(256)) * (9 << 12)  # 9 MiB: goes by a resumable session


@pytest.fixture
def gcs() -> Iterator[FakeGcs]:
    with FakeGcs(buckets=["studio"]) as server:
        yield server


@pytest.fixture
def cloud(tmp_path: Path, gcs: FakeGcs) -> Iterator[Place]:
    made = Place(tmp_path, bucket="gs://studio", endpoint=gcs.url, deadline=10.0)
    yield made
    made.close()


def test_two_hundred_clients_that_ask_for_one_object_at_once_cause_one_download(cloud: Place, gcs: FakeGcs) -> None:
    data = b"plate" * 100_000
    gcs.put("studio", "show/plate.exr", data)
    cloud.start()
    talkers = [cloud.talk(task=number) for number in range(CLIENTS)]
    gcs.reset_counts()

    for talker in talkers:
        talker.begin("resolve", name=f"{SHOW}/plate.exr", write="")
    replies = [talker.line() or {} for talker in talkers]

    paths = {reply["answer"]["path"] for reply in replies}
    assert len(paths) == 1
    assert Path(paths.pop()).read_bytes() == data
    assert (gcs.count("get"), gcs.count("stat")) == (1, 1)
    cache = talkers[0].ask("stats")["agent"]["cache"]
    assert (cache["fetches"], cache["leased_entries"]) == (1, 1)


def test_an_agent_without_descriptors_keeps_its_sessions_and_recovers(cloud: Place, gcs: FakeGcs) -> None:
    gcs.put("studio", "show/warm.exr", b"warm")
    gcs.put("studio", "show/cold.exr", b"cold")
    cloud.deadline = 0.5
    agent = cloud.start()
    talker = cloud.talk()
    warm = talker.resolve(f"{SHOW}/warm.exr")
    used = len(list(Path(f"/proc/{agent.pid}/fd").iterdir()))
    most = resource.prlimit(agent.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (used + 2, most))
    crowd = [Talker(cloud.socket) for _ in range(8)]
    wait_until(lambda: len(list(Path(f"/proc/{agent.pid}/fd").iterdir())) >= used + 2, "the descriptors to run out")

    assert talker.resolve(f"{SHOW}/warm.exr") == warm
    refused = talker.resolve(f"{SHOW}/cold.exr")
    assert (refused["state"], refused["retryable"]) == ("failed", True)
    assert refused["kind"] in {"AgentError", "TransientStoreError"}  # whoever of disk and network came first
    assert "Too many open files" in refused["reason"]

    for one in crowd:
        one.close()
    resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (most, most))
    answer = cloud.talk(task=2).resolve(f"{SHOW}/cold.exr")
    assert (answer["state"], Path(answer["path"]).read_bytes()) == ("local", b"cold")


STATES = {
    "a session is asked for": Fault(kind="session", name="renders/*", at="first"),
    "a session was given and nobody knows": Fault(kind="session", name="renders/*", at="last"),
    "a chunk is on its way": Fault(kind="chunk", name="renders/*", at="middle"),
    "all has arrived and nobody knows": Fault(kind="chunk", name="renders/*", at="last"),
    "the record is on its way": Fault(kind="write", name="state/*/frames/*", at="first"),
    "the record is written and nobody knows": Fault(kind="write", name="state/*/frames/*", at="last"),
}


@pytest.mark.parametrize(
    ("state", "number"),
    [
        ("a session is asked for", signal.SIGTERM),
        ("a session was given and nobody knows", signal.SIGKILL),
        ("a chunk is on its way", signal.SIGTERM),
        ("all has arrived and nobody knows", signal.SIGKILL),
        ("the record is on its way", signal.SIGKILL),
        ("the record is written and nobody knows", signal.SIGKILL),
        ("the record is written and nobody knows", signal.SIGTERM),
    ],
)
def test_ended_in_any_state_of_an_upload_the_next_agent_completes_it_once(
    cloud: Place, gcs: FakeGcs, state: str, number: signal.Signals
) -> None:
    fault = STATES[state]
    gcs.faults.set([Fault(fault.kind, name=fault.name, action="stall", at=fault.at)])
    agent = cloud.start("--grace", "0.2")
    talker = cloud.talk()
    (path,) = talker.frame("begin", 1, [["main", f"{RENDERS}/a.0001.dpx"]])
    path.write_bytes(LARGE)
    talker.publish(1, [["main", f"{RENDERS}/a.0001.dpx"]])
    wait_until(lambda: any(seen.kind == fault.kind and _fits(fault, seen.name) for seen in gcs.requests), state)
    agent.send_signal(number)
    agent.wait()

    cloud.start()

    committed = [["Write1", "main", 1]]
    assert cloud.talk().drain() == (committed, [])
    assert gcs.get("studio", "renders/a.0001.dpx") == LARGE
    (output,) = cloud.record(1).outputs
    assert output.generation == str(gcs.objects("studio")["renders/a.0001.dpx"].generation)
    assert [entry.name for entry in cloud.spool.iterdir()] == ["failed"]
    assert path.read_bytes() == LARGE


def _fits(fault: Fault, name: str) -> bool:
    return fault.matches(fault.kind, "studio", name)


def test_objects_named_a_and_a_slash_b_are_both_served_or_refused_by_name(cloud: Place, gcs: FakeGcs) -> None:
    gcs.put("studio", "show/a", b"the object")
    gcs.put("studio", "show/a/b", b"below it")
    cloud.start()

    first, second = (cloud.talk(task=number).resolve(name) for number, name in ((1, f"{SHOW}/a"), (2, f"{SHOW}/a/b")))
    lower = cloud.talk(task=3).resolve(f"{SHOW}/a/b")

    assert (first["state"], Path(first["path"]).read_bytes()) == ("local", b"the object")
    assert (second["state"], second["kind"]) == (lower["state"], lower["kind"]) == ("failed", "HostilePath")
    assert "show/a" in second["reason"]
