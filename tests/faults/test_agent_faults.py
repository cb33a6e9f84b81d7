"""An agent among many clients, without descriptors, and with names that collide."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from agent_kit import SHOW, Place, Talker, wait_until

from jit_render.testing.fake_gcs import FakeGcs

CLIENTS = 200


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


def test_objects_named_a_and_a_slash_b_are_both_served_or_refused_by_name(cloud: Place, gcs: FakeGcs) -> None:
    gcs.put("studio", "show/a", b"the object")
    gcs.put("studio", "show/a/b", b"below it")
    cloud.start()

    first, second = (cloud.talk(task=number).resolve(name) for number, name in ((1, f"{SHOW}/a"), (2, f"{SHOW}/a/b")))
    lower = cloud.talk(task=3).resolve(f"{SHOW}/a/b")

    assert (first["state"], Path(first["path"]).read_bytes()) == ("local", b"the object")
    assert (second["state"], second["kind"]) == (lower["state"], lower["kind"]) == ("failed", "HostilePath")
    assert "show/a" in second["reason"]
