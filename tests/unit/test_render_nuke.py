"""Nuke's command line, what its output means, and its process."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from jit_render.model.errors import UsageError
from jit_render.model.job import FailureClass
from jit_render.render import find_renderer, lines
from jit_render.render.nuke import NukeRenderer, find_nuke, installed, renderer_environment
from jit_render.render.port import AbsentNoted, Failed, FrameStarted, FrameWritten, Moved, RenderRequest
from jit_render.render.process import Ended, RunningRender, run
from jit_render.testing.fake_nuke import install, tiny_exr
from nuke_callbacks.wire import ABSENT_MARK, FAILURE_MARK

SCRIPT = "Root {\n}\nConstant {\n inputs 0\n}\nWrite {\n file %s/out.####.exr\n name Write1\n}\n"


def until(condition, seconds: float = 20.0) -> None:
    """Poll `condition`; fail when it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def nuke(tmp_path: Path) -> Path:
    return install(tmp_path / "opt")


def request_for(tmp_path: Path, *, mischief: str = "", frames=(1, 2, 3), **more) -> RenderRequest:
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    script = tmp_path / "shot.nk"
    script.write_text(SCRIPT % out)
    environment = {"FAKE_NUKE": mischief} | more.pop("environment", {})
    return RenderRequest(
        script=script, frames=frames, writes=("Write1",), scratch=tmp_path / "tmp", environment=environment, **more
    )


def render(tmp_path: Path, nuke: Path, **more) -> tuple[Ended, list]:
    events: list = []
    running = run(NukeRenderer(str(nuke)), request_for(tmp_path, **more), tmp_path / "log", events.append)
    ended = running.wait(60)
    assert ended is not None
    return ended, events


def test_what_was_noted_as_absent_stands_until_its_frame_is_done(tmp_path):
    told = [
        {"write": write, "frame": frame, "missing": [["Read1", "file", frame, "gs://b/k"]] if lacks else []}
        for write, frame, lacks in [("A", 1, True), ("B", 1, True), ("A", 1, False), ("A", 2, True), ("A", 2, False)]
    ]
    (tmp_path / "said").write_text("".join(f"{ABSENT_MARK}{json.dumps(mark)}\n" for mark in told))
    argv = ["sh", "-c", 'cat "$1"; exit 1', "sh", str(tmp_path / "said")]
    running = RunningRender(NukeRenderer("unused"), argv, os.environ, tmp_path / "log", lambda _: None)
    ended = running.wait(60)
    assert ended is not None
    assert ended.absent == (AbsentNoted("B", 1, (("Read1", "file", 1, "gs://b/k"),)),)


def test_the_newest_version_is_found_first(tmp_path):
    for version in ("9.0v1", "13.2v5", "15.1v3", "15.1v10"):
        install(tmp_path, version)
    assert [entry.label for entry in installed([tmp_path], {})] == ["15.1v10", "15.1v3", "13.2v5", "9.0v1"]
    assert find_nuke("", [tmp_path], {}).parent.name == "Nuke15.1v10"
    assert find_nuke("15.1v3", [tmp_path], {}).parent.name == "Nuke15.1v3"
    assert find_nuke("13", [tmp_path], {}).parent.name == "Nuke13.2v5"
    assert find_nuke("13.2", [tmp_path], {}).name == "Nuke13.2"


def test_a_version_is_not_taken_for_one_that_merely_begins_like_it(tmp_path):
    install(tmp_path, "15.10v1")
    with pytest.raises(UsageError, match=r"Nuke 15\.1 is not installed here \(found: 15\.10v1\)"):
        find_nuke("15.1", [tmp_path], {})


def test_an_executable_named_by_its_path_must_be_one(tmp_path, nuke):
    assert find_nuke(str(nuke)) == nuke
    with pytest.raises(UsageError, match="no Nuke can be run there"):
        find_nuke(str(tmp_path / "nothing"))


def test_a_home_in_the_environment_is_looked_into(nuke):
    assert find_nuke("15.1", [], {"NUKE_HOME": str(nuke.parent)}) == nuke


def test_the_command_line_is_the_documented_one(nuke, tmp_path):
    request = RenderRequest(
        script=Path("/a/shot.nk"),
        frames=(1, 2, 3, 7),
        writes=("Write1", "Group1.Write2"),
        views=("left", "right"),
        threads=4,
        memory_bytes=2 * 1024**3,
    )
    argv = NukeRenderer(str(nuke)).command(request)
    assert argv[0] == str(nuke)
    assert " ".join(argv[1:]) == (
        "-x -X Write1,Group1.Write2 -m 4 -c 2048M --view left,right --sro -f -F 1-3 -F 7 /a/shot.nk"
    )


def test_proxy_mode_is_said_either_way(nuke):
    request = RenderRequest(script=Path("/s.nk"), frames=(1,), writes=("Write1",), proxy=True)
    assert "-p" in NukeRenderer(str(nuke)).command(request)


def test_the_plugin_path_leads_what_the_artist_has():
    request = RenderRequest(
        script=Path("/s.nk"),
        frames=(1,),
        writes=(),
        scratch=Path("/t"),
        plugin_path=(Path("/cb"), Path("/gizmos")),
        environment={"A": "1"},
    )
    environment = renderer_environment(request, {"NUKE_PATH": "/mine", "B": "2"})
    assert environment == {
        "NUKE_PATH": "/cb:/gizmos:/mine",
        "NUKE_TEMP_DIR": "/t",
        "A": "1",
        "B": "2",
    }


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("Frame 1001 (1 of 8)", FrameStarted(1001)),
        ("Frame -3 (2 of 8)", FrameStarted(-3)),
        ("Writing /a b/x.1001.exr took 0.42 seconds", FrameWritten("/a b/x.1001.exr", 0.42)),
        ("  Writing /x.exr took 12 seconds", FrameWritten("/x.exr", 12.0)),
        ("12 bytes of pictures read, 0 written, 7 the same as before", Moved(12, 0, 7)),
        ("ERROR: this is a word, no evidence", None),
        ("Total render time: 3 seconds", None),
        (FAILURE_MARK + '{"kind": "StoreError", "message": "m", "frame": 7}', Failed("StoreError", "m", 7)),
        (ABSENT_MARK + '{"write": "W", "frame": 7, "missing": [["R", "file", 7, "gs://b/k"]]}',
         AbsentNoted("W", 7, (("R", "file", 7, "gs://b/k"),))),
        (ABSENT_MARK + '{"write": "W", "frame": 7, "missing": []}', AbsentNoted("W", 7, ())),
        (ABSENT_MARK + "half a li", None),
        (FAILURE_MARK + "not json", Failed("RenderError", "not json")),
    ],
)  # fmt: skip
def test_lines_tell_events(line, event):
    assert lines.read_line(line) == event


@pytest.mark.parametrize(
    ("code", "tail", "failure"),
    [
        (0, "an error was mentioned", None),
        (1, "ERROR: Blur1 is unhappy", FailureClass.RENDER_ERROR),
        (100, "", FailureClass.LICENCE),
        (1, "FOUNDRY LICENSE ERROR REPORT", FailureClass.LICENCE),
        (-9, "", FailureClass.OUT_OF_MEMORY),
        (137, "", FailureClass.OUT_OF_MEMORY),
        (1, "terminate called: std::bad_alloc", FailureClass.OUT_OF_MEMORY),
        (-11, "", FailureClass.RENDER_ERROR),
        (-15, "", FailureClass.NODE),
    ],
)
def test_endings_have_a_class(code, tail, failure):
    assert lines.verdict(code, (), tail).failure is failure


def test_what_the_callbacks_said_outweighs_the_exit_code():
    verdict = lines.verdict(1, (Failed("AgentLost", "gone"),), "license error")
    assert verdict.failure is FailureClass.NODE
    assert verdict.message == "gone"


def test_the_complaint_is_quoted_rather_than_the_last_line():
    tail = "Frame 3 (3 of 3)\nERROR: Read1: no such file\nquitting\n"
    assert lines.verdict(1, (), tail).message == "exit code 1: ERROR: Read1: no such file"


def test_a_render_reports_frames_and_files(tmp_path, nuke):
    ended, events = render(tmp_path, nuke)
    assert ended.verdict.failure is None
    assert [event.frame for event in events if isinstance(event, FrameStarted)] == [1, 2, 3]
    assert [Path(event.path).name for event in events if isinstance(event, FrameWritten)] == [
        "out.0001.exr",
        "out.0002.exr",
        "out.0003.exr",
    ]
    assert ended.usage.peak_memory_bytes > 1024**2
    assert "Frame 2 (2 of 3)" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("mischief", "failure"),
    [
        ("licence", FailureClass.LICENCE),
        ("error@2", FailureClass.RENDER_ERROR),
        ("crash@2", FailureClass.RENDER_ERROR),
        ("oom@2", FailureClass.OUT_OF_MEMORY),
    ],
)
def test_misbehaviour_is_told_apart(tmp_path, nuke, mischief, failure):
    ended, _ = render(tmp_path, nuke, mischief=mischief)
    assert ended.verdict.failure is failure


def test_a_hanging_render_is_ended_with_all_its_children(tmp_path, nuke):
    events: list = []
    request = request_for(tmp_path, mischief="child@2 hang@2")
    running = run(NukeRenderer(str(nuke)), request, tmp_path / "log", events.append)
    until(lambda: FrameStarted(2) in events and len(group_of(running.pid)) == 2)
    running.terminate(5.0)
    ended = running.wait(20)
    assert ended is not None
    assert ended.terminated
    until(lambda: not group_of(running.pid))


def test_children_left_behind_do_not_keep_a_finished_render_waiting(tmp_path, nuke):
    ended, _ = render(tmp_path, nuke, mischief="child@2")
    assert ended.verdict.failure is None


def test_a_renderer_that_ignores_sigterm_is_killed(tmp_path):
    stubborn = tmp_path / "stubborn"
    stubborn.write_text("#!/bin/sh\ntrap '' TERM\necho 'Frame 1 (1 of 1)'\nwhile :; do sleep 0.05; done\n")
    stubborn.chmod(0o755)
    events: list = []
    running = run(NukeRenderer(str(stubborn)), request_for(tmp_path), tmp_path / "log", events.append)
    until(lambda: events)
    running.terminate(0.2)
    ended = running.wait(20)
    assert ended is not None
    assert ended.verdict.exit_code == -signal.SIGKILL


def test_the_renderer_dies_with_the_process_that_started_it(tmp_path, nuke):
    reading, writing = os.pipe()
    starter = os.fork()
    if starter == 0:
        running = RunningRender(
            NukeRenderer(str(nuke)),
            NukeRenderer(str(nuke)).command(request_for(tmp_path)),
            {**os.environ, "FAKE_NUKE": "hang@1"},
            tmp_path / "log",
            lambda _: None,
        )
        os.write(writing, str(running.pid).encode())
        signal.pause()
    pid = int(os.read(reading, 20))
    os.close(reading)
    os.close(writing)
    until(lambda: b"Frame 1 " in (tmp_path / "log").read_bytes())
    os.kill(starter, signal.SIGKILL)
    os.waitpid(starter, 0)
    until(lambda: not group_of(pid))


def test_a_broken_listener_does_not_stop_the_render(tmp_path, nuke):
    def broken(_event) -> None:
        raise ValueError("the listener broke")

    running = run(NukeRenderer(str(nuke)), request_for(tmp_path), tmp_path / "log", broken)
    with pytest.raises(ValueError, match="the listener broke"):
        running.wait(60)
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_full_disk_under_the_log_does_not_stop_the_render(tmp_path, nuke):
    running = run(NukeRenderer(str(nuke)), request_for(tmp_path), Path("/dev/full"), lambda _: None)
    ended = running.wait(60)
    assert ended is not None
    assert ended.verdict.failure is None


def test_an_executable_that_is_no_program_is_a_usage_error(tmp_path):
    text = tmp_path / "text"
    text.write_text("hello")
    text.chmod(0o755)
    with pytest.raises(UsageError, match="the renderer cannot be started"):
        run(NukeRenderer(str(text)), request_for(tmp_path), tmp_path / "log", lambda _: None)


def test_unknown_renderers_are_named():
    with pytest.raises(UsageError, match="'blender' is no renderer; known: nuke, standin"):
        find_renderer("blender")


def test_the_tiny_exr_is_whole(tmp_path):
    from jit_render.model.exr import check_exr

    path = tmp_path / "x.exr"
    path.write_bytes(tiny_exr(12))
    check_exr(path)


def group_of(pid: int) -> list[int]:
    """Living processes of that process group."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == pid and fields[0] != "Z":
                found.append(int(folder.name))
    return found
