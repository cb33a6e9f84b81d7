"""The client against an agent that is killed, restarted, silent or wrong."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from pathlib import Path

import pytest
from fake_agent import Agent

from nuke_callbacks.client import AgentFailure, AgentLost, Client
from nuke_callbacks.connection import Connection


class Clock:
    """Time passes only while somebody sleeps; `during` is called once while they do."""

    def __init__(self):
        self.now = 0.0
        self.slept = 0.0
        self.during = None

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.slept += seconds
        if self.during is not None:
            work, self.during = self.during, None
            work()


@pytest.fixture
def agent():
    with tempfile.TemporaryDirectory() as folder:
        bucket = {f"/plates/a.{number}.exr": b"plate %d" % number for number in range(5)}
        running = Agent(Path(folder) / "agent.sock", Path(folder) / "view", bucket=bucket).start()
        yield running
        running.kill()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def client(agent, clock):
    made = Client(agent.socket_path, "gs://state/jobs/j", 3, 1, clock=clock, sleep=clock.sleep)
    yield made
    made.close()


def plate(number):
    return f"/mnt/show/plates/a.{number}.exr"


def test_hello_says_who_asks(agent, client):
    client.connect()

    (hello,) = agent.said("hello")
    assert hello["job"] == "gs://state/jobs/j"
    assert (hello["task"], hello["attempt"], hello["role"], hello["pid"]) == (3, 1, "renderer", os.getpid())
    assert client.view == agent.view
    assert client.prefixes[0] == ["/mnt/show", False, "write"]


def test_a_resolved_name_is_held(agent, client):
    answer = client.resolve(plate(1))

    assert answer["state"] == "local"
    assert Path(answer["path"]).read_bytes() == b"plate 1"
    assert client.held == {plate(1): answer["path"]}


def test_an_absent_and_a_failed_name_are_not_held(agent, client):
    agent.failing[plate(1)] = ("PermissionDenied", "403", False)

    assert client.resolve(plate(9))["state"] == "absent"
    assert client.resolve(plate(1))["kind"] == "PermissionDenied"
    assert client.held == {}


def test_a_pattern_is_asked_once_and_needs_no_lease(agent, client):
    client.resolve("/mnt/show/plates/a.%04d.exr")

    assert client.held["/mnt/show/plates/a.%04d.exr"] == agent.view + "/show/plates/a.%04d.exr"


def test_names_of_a_frame_are_held_until_it_ends_and_those_of_the_session_stay(client):
    client.resolve(plate(0))
    places = client.begin_frame("Write1", 1, [("main", "/mnt/show/out/o.1.exr")])
    client.ensure([[plate(1), "error"], [plate(2), "black"]], "Write1", 1)

    assert set(client.held) == {plate(0), plate(1), plate(2), "/mnt/show/out/o.1.exr"}
    assert client.held["/mnt/show/out/o.1.exr"] == places[0]

    client.end_frame("Write1", 1)

    assert set(client.held) == {plate(0)}


def test_the_next_frame_of_a_write_ends_the_one_before(client):
    client.begin_frame("Write1", 1, [])
    client.ensure([[plate(1), "error"]], "Write1", 1)
    client.begin_frame("Write1", 2, [])

    assert client.held == {}


def test_with_two_writes_open_a_name_is_held_only_while_both_hold_it(client):
    client.begin_frame("Write1", 1, [])
    client.ensure([[plate(1), "error"]], "Write1", 1)
    client.begin_frame("Write2", 1, [])
    assert plate(1) not in client.held

    client.resolve_for_all(plate(1))
    assert plate(1) in client.held

    client.end_frame("Write1", 1)
    assert plate(1) in client.held
    client.end_frame("Write2", 1)
    assert client.held == {}


def test_a_scope_that_stays_alone_gets_its_own_names_back(client):
    client.begin_frame("Write1", 1, [])
    client.ensure([[plate(1), "error"]], "Write1", 1)
    client.begin_frame("Write2", 1, [])
    client.end_frame("Write2", 1)

    assert set(client.held) == {plate(1)}


def test_many_names_go_in_several_requests_and_answers_stay_in_order(agent, client):
    agent.bucket.update({f"/many/{number}": b"" for number in range(1200)})

    answers = client.ensure([[f"/mnt/show/many/{number}", "error"] for number in range(1200)])

    assert [answer["object"] for answer in answers] == [f"gs://show/many/{number}" for number in range(1200)]
    assert [len(request["names"]) for request in agent.said("ensure")] == [500, 500, 200]


def test_a_refusal_carries_its_kind(agent, client):
    agent.refusing["frame"] = ("OutputBusy", "somebody writes o.exr", True)

    with pytest.raises(AgentFailure, match="somebody writes") as caught:
        client.begin_frame("Write1", 1, [("main", "/mnt/show/o.exr")])

    assert (caught.value.kind, caught.value.retryable) == ("OutputBusy", True)


def test_an_agent_that_took_over_is_told_what_is_held(agent, client):
    client.resolve(plate(0))
    client.begin_frame("Write1", 7, [("main", "/mnt/show/out/o.7.exr")])
    client.ensure([[plate(1), "error"]], "Write1", 7)
    agent.kill()
    agent.requests.clear()
    agent.start()

    answer = client.resolve(plate(2), "Write1")

    assert answer["state"] == "local"
    assert [request["verb"] for request in agent.requests] == ["hello", "frame", "ensure", "ensure", "resolve"]
    assert agent.said("frame")[0]["state"] == "resume"
    assert agent.leased == {"": {plate(0)}, "Write1": {plate(1), plate(2)}}
    assert client.take_failures() == []


def test_what_was_written_before_the_agent_was_lost_is_published(agent, client):
    (place,) = client.begin_frame("Write1", 7, [("main", "/mnt/show/out/o.7.exr")])
    Path(place).write_bytes(b"pixels")
    agent.kill()
    agent.start()

    assert client.publish("Write1", 7, [("main", "/mnt/show/out/o.7.exr")]) == ["gs://show/out/o.7.exr"]
    assert agent.bucket["/out/o.7.exr"] == b"pixels"


def test_a_publish_that_ends_the_frame_holds_nothing_of_it_any_more(agent, client):
    output = ("main", "/mnt/show/out/o.7.exr")
    (place,) = client.begin_frame("Write1", 7, [output])
    client.ensure([[plate(1), "error"]], "Write1", 7)
    Path(place).write_bytes(b"pixels")

    client.publish("Write1", 7, [output], end=True)

    assert client.held == {}
    assert agent.leased == {}


def test_what_was_made_of_a_file_that_left_the_cache_is_not_published(agent, client):
    output = ("main", "/mnt/show/out/o.7.exr")
    (place,) = client.begin_frame("Write1", 7, [output])
    client.ensure([[plate(1), "error"]], "Write1", 7)
    Path(place).write_bytes(b"pixels")
    agent.kill()
    Path(agent.place(plate(1))).unlink()
    Path(agent.place(plate(1)) + ".other").write_bytes(b"takes the inode")
    agent.start()

    with pytest.raises(AgentFailure, match="left the cache"):
        client.publish("Write1", 7, [output], end=True)

    assert agent.said("publish") == []
    assert client.held == {}
    assert len(client.take_failures()) == 1


def test_an_agent_that_is_lost_over_a_publish_may_have_lost_what_it_leased(agent, client):
    output = ("main", "/mnt/show/out/o.7.exr")
    (place,) = client.begin_frame("Write1", 7, [output])
    client.ensure([[plate(1), "error"]], "Write1", 7)
    Path(place).write_bytes(b"pixels")
    agent.silent.add("publish")
    agent.failing[plate(1)] = ("GenerationGone", "a.1.exr was overwritten", False)

    with pytest.raises(AgentFailure, match="was overwritten"):
        client.publish("Write1", 7, [output], end=True)

    assert len(agent.said("publish")) == 1
    assert agent.published == []


def test_a_request_whose_reply_did_not_come_is_sent_again(agent, client):
    client.connect()
    agent.silent.add("resolve")

    assert client.resolve(plate(1))["state"] == "local"
    assert len(agent.said("resolve")) == 2


def test_an_agent_that_comes_back_while_the_client_waits_is_found(agent, client, clock):
    client.connect()
    agent.kill()
    clock.during = agent.start

    assert client.resolve(plate(1))["state"] == "local"
    assert 0 < clock.slept < 30


def test_a_held_file_that_was_evicted_while_no_agent_held_it_is_a_failure(agent, client):
    client.begin_frame("Write1", 7, [])
    client.ensure([[plate(1), "error"], [plate(2), "error"]], "Write1", 7)
    agent.kill()
    Path(agent.place(plate(1))).unlink()
    Path(agent.place(plate(1)) + ".other").write_bytes(b"takes the inode")
    agent.start()

    client.confirm()

    (failure,) = client.take_failures()
    assert (failure.kind, failure.retryable) == ("AgentLost", True)
    assert plate(1) in failure.message
    assert set(client.held) == {plate(2)}


def test_a_held_name_that_the_new_agent_cannot_have_is_a_failure_of_its_kind(agent, client):
    client.resolve(plate(1))
    agent.kill()
    agent.failing[plate(1)] = ("GenerationGone", "a.1.exr was overwritten", False)
    agent.start()

    client.confirm()

    (failure,) = client.take_failures()
    assert (failure.kind, failure.message) == ("GenerationGone", "a.1.exr was overwritten")


def test_an_agent_that_never_comes_back_is_lost_after_the_deadline_and_then_at_once(agent, client, clock):
    client.connect()
    agent.kill()

    with pytest.raises(AgentLost, match="jit-render agent"):
        client.resolve(plate(1))
    assert 29 < clock.slept < 31

    with pytest.raises(AgentLost):
        client.resolve(plate(1))
    assert clock.slept < 31


def test_a_request_that_kills_every_agent_ends(agent, client):
    client.connect()

    class Deadly(set):
        def discard(self, _verb):
            pass

    agent.silent = Deadly(["resolve"])

    with pytest.raises(AgentLost, match="5 agents"):
        client.resolve(plate(1))


def test_a_silent_agent_is_given_up():
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(folder + "/s")
        listener.listen()
        lonely = Client(folder + "/s", call_seconds=0.01, takeover_seconds=0.0)
        lonely._connection = Connection(folder + "/s", 1.0)

        with pytest.raises(AgentLost, match="silent"):
            lonely.stats()
        assert lonely._connection is None


@pytest.mark.parametrize(
    "reply",
    [b"no json\n", b"[]\n", b'{"id": 99, "ok": true}\n', b'{"id": 1, "ok": false}\n', b'{"id": 1}\n'],
)
def test_a_reply_that_is_not_the_protocol_is_an_error_that_says_so(reply):
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(folder + "/s")
        listener.listen()

        def serve():
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(reply)
                connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(AgentFailure) as caught:
            Client(folder + "/s").connect()
        thread.join()

    assert caught.value.kind == "ProtocolError"


def test_a_forked_child_holds_nothing_and_has_a_session_of_its_own(agent, client):
    client.resolve(plate(0))
    client.begin_frame("Write1", 1, [])
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        held = dict(client.held)
        answer = client.resolve(plate(1))
        os.write(write_end, repr((held, answer["state"])).encode())
        os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)

    assert os.read(read_end, 1000) == b"({}, 'local')"
    os.close(read_end)
    assert client.resolve(plate(2))["state"] == "local"
    assert [request["verb"] for request in agent.requests].count("hello") == 2
    assert len({request["pid"] for request in agent.said("hello")}) == 2
    assert set(client.held) == {plate(0), plate(2)}


def test_many_threads_get_their_own_answers(agent, client):
    agent.bucket.update({f"/many/{number}": b"%d" % number for number in range(200)})
    wrong = []

    def ask(start):
        for number in range(start, 200, 8):
            answer = client.resolve(f"/mnt/show/many/{number}")
            if Path(answer["path"]).read_bytes() != b"%d" % number:
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert len(client.held) == 200


def test_drain_and_stats_give_what_the_agent_says(agent, client):
    agent.lost_uploads = [["gs://show/o", "PermissionDenied", "403"]]

    assert client.drain() == ([], [["gs://show/o", "PermissionDenied", "403"]])
    assert client.stats() == {"agent": {"bytes": 1}, "attempt": {"hits": 2}}


def test_after_close_nothing_is_held(client):
    client.resolve(plate(1))
    client.close()

    assert client.held == {}
