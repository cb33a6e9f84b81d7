"""What comes over the socket, from friends and from others."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_kit import RENDERS, SHOW, Place, Talker, wait_until

from nuke_callbacks import wire


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("sessions"))
    made.put("show/plate.1001.txt", b"plate")
    made.start()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _hang_up(place: Place) -> Iterator[None]:
    yield
    for talker in place.talkers:
        talker.close()
    place.talkers.clear()


@pytest.fixture
def friend(place: Place) -> Iterator[Talker]:
    """A session that must not notice anything."""
    talker = place.talk()
    yield talker
    assert talker.resolve(f"{SHOW}/plate.1001.txt")["state"] == "local"
    talker.close()


def hello(**changes: object) -> bytes:
    return wire.encode({"id": 1, "verb": "hello", "version": wire.VERSION, "role": "tool", "job": "", **changes})


def refused(talker: Talker) -> dict[str, object]:
    """The error line before the close."""
    reply = talker.line()
    assert reply is not None
    assert not reply["ok"]
    assert talker.line() is None
    return reply["error"]


def test_hello_says_where_the_view_is_and_which_names_are_mapped(place: Place) -> None:
    reply = place.connect().ask("hello", version=1, role="renderer", pid=1, job=str(place.home), task=0, attempt=0)

    assert reply["view"] == str(place.cache_root / "view" / "shot-1")
    assert reply["prefixes"] == [[RENDERS, False, "write"], [SHOW, False, "read"], ["p:/show", True, "read"]]


def test_nothing_is_answered_before_hello(place: Place, friend: Talker) -> None:
    talker = place.connect()
    talker.begin("stats")

    assert "the first request must be hello" in refused(talker)["message"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (hello(version=99), "speaks version 99"),
        (hello(version="1"), "'version' must be a whole number"),
        (hello(version=True), "'version' must be a whole number"),
        (hello(role="king"), "role 'king'"),
        (hello(job=7), "'job' must be a string"),
        (hello(job="nonsense"), "is not a storage URL"),
        (hello(job="file:///nowhere/jobs/none"), "there is no job"),
        (hello(job="file:///nowhere/../jobs"), "leaves its mapped root"),
        (b"not json\n", "not JSON"),
        (b"[1, 2]\n", "not an object"),
        (b"\xff\xfe\n", "not JSON"),
        (b"\n", "not JSON"),
        (b"[" * 100_000 + b"\n", ""),
    ],
)
def test_a_bad_hello_is_told_why_and_closed(place: Place, friend: Talker, line: bytes, told: str) -> None:
    talker = place.connect()
    talker.send(line)

    assert told in str(refused(talker)["message"])


def test_half_a_line_and_a_close_disturbs_nobody(place: Place, friend: Talker) -> None:
    talker = place.connect()
    talker.send(b'{"id": 1, "verb": "hel')
    talker.close()


def test_a_line_of_a_hundred_megabytes_is_cut_off(place: Place, friend: Talker) -> None:
    talker = place.connect()

    with pytest.raises(ConnectionError):
        talker.send(b"x" * (100 << 20))


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"verb": "dance"}, "unknown verb 'dance'"),
        ({"verb": None}, "unknown verb"),
        ({"verb": ["resolve"]}, "unknown verb"),
        ({}, "unknown verb"),
        ({"verb": "hello", "version": 1}, "unknown verb 'hello'"),
        ({"verb": "resolve"}, "'name' must be a string"),
        ({"verb": "resolve", "name": 3}, "'name' must be a string"),
        ({"verb": "resolve", "name": "/x", "write": {}}, "'write' must be a string"),
        ({"verb": "ensure", "names": "abc"}, "'names' must be a list of pairs"),
        ({"verb": "ensure", "names": ["ab"]}, "'names' must be a list of pairs"),
        ({"verb": "ensure", "names": [["a"]]}, "'names' must be a list of pairs"),
        ({"verb": "ensure", "names": [["a", 1]]}, "'names' must be a list of pairs"),
        ({"verb": "ensure", "names": [], "prefetch": 1}, "'prefetch' must be true or false"),
        ({"verb": "frame", "state": "begin"}, "'write' must be a string"),
        ({"verb": "frame", "state": "open", "write": "W", "frame": 1}, "none of begin, resume, end"),
        ({"verb": "frame", "state": "begin", "write": "W", "frame": 1.5}, "'frame' must be a whole number"),
        ({"verb": "publish", "write": "W", "frame": 1, "frames": [None]}, "'frames' must be a list of whole"),
        ({"verb": "publish", "write": "W", "frame": 1, "seconds": "long"}, "'seconds' must be a number"),
        ({"verb": "publish", "write": "../../w", "frame": 1, "outputs": [["main", f"{RENDERS}/a"]]}, "leaves its"),
        ({"verb": "publish", "write": "W", "frame": 1, "outputs": [["", f"{RENDERS}/a"]]}, "empty folder name"),
        ({"verb": "drain", "session_only": "yes"}, "'session_only' must be true or false"),
    ],
)
def test_a_bad_request_is_answered_and_the_session_goes_on(
    place: Place, request_: dict[str, object], told: str
) -> None:
    talker = place.talk()

    talker.send(wire.encode({"id": 77, **request_}))
    reply = talker.line()

    assert reply is not None
    assert reply["id"] == 77
    assert told in reply["error"]["message"]
    assert talker.resolve(f"{SHOW}/plate.1001.txt")["state"] == "local"


def test_a_tool_without_a_job_has_statistics_but_no_names(place: Place) -> None:
    talker = place.talk(job="")

    assert talker.ask("stats")["agent"]["pid"] == place.agents[0].pid
    assert talker.call("resolve", name="/x", write="")["error"]["kind"] == "ProtocolError"
    assert talker.drain(session_only=False) == ([], [])


def test_requests_sent_ahead_are_answered_in_order(place: Place) -> None:
    talker = place.talk()

    for _ in range(300):
        talker.begin("ensure", names=[[f"{SHOW}/plate.1001.txt", "error"]], write="", frame=1, prefetch=False)

    replies = [talker.line() for _ in range(300)]
    assert [reply["id"] for reply in replies if reply] == list(range(2, 302))


def test_a_hundred_silent_connections_keep_nobody_out(place: Place, friend: Talker) -> None:
    silent = [place.connect() for _ in range(100)]

    assert place.talk().resolve(f"{SHOW}/plate.1001.txt")["state"] == "local"
    for talker in silent:
        talker.close()


def test_leases_end_with_the_connection(place: Place) -> None:
    watcher = place.talk(job="")

    def leased() -> int:
        return int(watcher.ask("stats")["agent"]["cache"]["leased_entries"])

    wait_until(lambda: leased() == 0, "earlier sessions' leases to end")
    talker = place.talk()
    talker.resolve(f"{SHOW}/plate.1001.txt")
    assert leased() == 1

    talker.close()

    wait_until(lambda: leased() == 0, "the lease to end")


def test_the_socket_and_the_cache_are_for_this_user_only(place: Place) -> None:
    assert place.socket.stat().st_mode & 0o777 == 0o600
    for folder in (place.cache_root, place.spool, place.cache_root / "view"):
        assert folder.stat().st_mode & 0o077 == 0, folder


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
def test_another_user_is_refused_even_where_file_modes_would_let_them_in(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.start("--socket", str(place.socket))
    code = (
        "import os, socket, sys\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        "os.write(1, s.makefile('rb').read())"
    )
    opened = [folder for folder in [place.cache_root, *place.cache_root.parents] if len(folder.parts) > 2]
    modes = {folder: folder.stat().st_mode for folder in opened}
    try:
        for folder in opened:
            folder.chmod(0o755)
        place.socket.chmod(0o666)
        base = sys._base_executable  # the environment's own may be out of that user's reach
        done = subprocess.run(["/usr/bin/env", "python3", "-c", code, str(place.socket)], user=65534, group=65534,
                              capture_output=True, env={"PATH": f"{Path(base).parent}:/usr/bin:/bin"})  # fmt: skip
    finally:
        for folder, mode in modes.items():
            folder.chmod(mode)
        place.close()

    if not done.stdout:
        pytest.skip(f"no Python here that user 65534 may run: {done.stderr[-200:]!r}")
    reply = wire.decode(done.stdout)
    assert "serves user 0 only; user 65534" in reply["error"]["message"]


def test_a_connection_that_never_says_hello_does_not_keep_an_agent_alive(tmp_path: Path) -> None:
    place = Place(tmp_path)
    agent = place.start("--idle-seconds", "0.2")

    agent.wait(30)

    assert agent.returncode == 0
    assert not place.socket.exists()
    place.close()


def test_sigterm_with_nothing_to_do_ends_at_once(tmp_path: Path) -> None:
    place = Place(tmp_path)
    agent = place.start()
    idle = place.talk()

    agent.send_signal(signal.SIGTERM)

    assert agent.wait(10) == 0
    assert idle.line() is None
    place.close()


def test_a_stale_socket_is_replaced_and_a_second_agent_leaves_the_first_alone(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.cache_root.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(place.socket))
    first = place.start()

    second = place.launch()

    assert second.wait(20) == 2
    assert "CacheLocked" in (place.root / "agent.log").read_text()
    assert first.poll() is None
    assert place.talk().resolve(f"{SHOW}/nothing.exr")["state"] == "absent"
    place.close()


def test_the_cache_is_verified_while_its_agent_runs(tmp_path: Path) -> None:
    place = Place(tmp_path)
    try:
        for number in range(3):
            place.put(f"show/plate.{number}.exr", b"plate %d" % number)
        place.start()
        talker = place.talk()
        paths = [Path(talker.resolve(f"{SHOW}/plate.{number}.exr")["path"]).resolve() for number in range(3)]
        paths[1].chmod(0o644)
        paths[1].write_bytes(b"pla\0e 1")
        environment = {**os.environ, "JIT_RENDER_CACHE_ROOT": str(place.cache_root)}
        command = [sys.executable, "-m", "jit_render.cli.main", "cache", "verify", "--json"]
        asked = [subprocess.run(command, env=environment, capture_output=True, text=True) for _ in range(2)]

        bad = f"{place.bucket}/show/plate.1.exr"
        first, second = (json.loads(one.stdout) for one in asked)
        assert [one.returncode for one in asked] == [1, 0]
        assert (first["checked"], [name.partition("#")[0] for name in first["bad"]]) == (3, [bad])
        assert (second["checked"], second["bad"]) == (2, [])
        assert Path(talker.resolve(f"{SHOW}/plate.1.exr")["path"]).read_bytes() == b"plate 1"
        assert talker.call("verify", after="nonsense")["error"]["kind"] == "ProtocolError"
    finally:
        place.close()
