"""The filter and the callbacks, in a Nuke that behaves and against an agent over a real socket."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from fake_agent import Agent
from fake_nuke import Node, Nuke

from nuke_callbacks import hooks as hooks_module
from nuke_callbacks import wire
from nuke_callbacks.client import Client
from nuke_callbacks.hooks import Hooks, install

PLATE = "/mnt/show/plates/a.%04d.exr"
OUT = "/mnt/show/out/o.%04d.exr"


@pytest.fixture
def agent():
    with tempfile.TemporaryDirectory() as folder:
        bucket = {f"/plates/a.{frame:04}.exr": b"plate %d" % frame for frame in range(1, 6)}
        running = Agent(Path(folder) / "agent.sock", Path(folder) / "view", bucket=bucket).start()
        yield running
        running.kill()


class House:
    """One Read, one Write, the hooks registered."""

    def __init__(self, agent, *extra, views=("main",), root=None, **options):
        self.read = Node("Read", "Read1", file=PLATE, on_error=options.pop("on_error", "error"))
        write_file = options.pop("out", OUT)
        self.write = Node("Write", "Write1", self.listed, file=write_file, views=options.pop("write_views", "main"))
        self.extra = list(extra)
        self.nuke = Nuke(self.read, self.write, *extra, views=views, **(root or {}))
        self.client = Client(agent.socket_path, "gs://state/jobs/j", takeover_seconds=0.0)
        self.hooks = Hooks(self.nuke, self.client, **options)
        self.hooks.register()
        self.wrote = []

    def listed(self, frame):
        return [[self.read, [PLATE % frame]], [self.write, [OUT % frame]]]

    def draw(self, write, frame):
        """Open the input, write the output, as the ops do with their knobs."""
        Path(self.nuke.open(PLATE % frame)).read_bytes()
        path = self.nuke.open(write.knob("file").value() % frame)
        self.wrote.append(path)
        Path(path).write_bytes(b"frame %d" % frame)

    def render(self, *frames):
        self.nuke.render([self.write], frames, self.draw)


def mark(capsys):
    """The one failure that was reported."""
    (told,) = marks(capsys, wire.FAILURE_MARK)
    return told


def marks(capsys, mark):
    """All lines with that mark since the last look."""
    lines = capsys.readouterr().err.splitlines()
    return [json.loads(line[len(mark) :]) for line in lines if line.startswith(mark)]


def test_frames_go_from_bucket_to_bucket(agent):
    house = House(agent)

    house.render(1, 2)

    assert agent.bucket["/out/o.0001.exr"] == b"frame 1"
    assert agent.bucket["/out/o.0002.exr"] == b"frame 2"
    assert agent.published == [
        ("Write1", "main", (1,), "/mnt/show/out/o.0001.exr"),
        ("Write1", "main", (2,), "/mnt/show/out/o.0002.exr"),
    ]
    assert house.client.held == {}
    assert agent.scopes == {}
    assert len(agent.said("drain")) == 1


def test_the_files_of_a_frame_are_brought_in_by_one_request_and_the_filter_asks_no_more(agent):
    house = House(agent)

    house.render(1)

    assert agent.said("ensure")[0]["names"] == [[PLATE % 1, "error"]]
    assert agent.said("resolve") == []


def test_the_next_frame_is_prefetched_while_one_renders(agent):
    house = House(agent, frames=[1, 3], root={"last_frame": 100})

    house.render(1, 3)

    ahead = [(request["frame"], request["names"]) for request in agent.said("ensure") if request["prefetch"]]
    assert ahead == [(3, [[PLATE % 3, "error"]])]


def test_without_a_list_of_frames_the_prefetch_ends_with_the_script(agent):
    house = House(agent, lookahead=2, root={"last_frame": 2.0})

    house.render(1, 2)

    assert [request["frame"] for request in agent.said("ensure") if request["prefetch"]] == [2]


def test_a_failing_prefetch_does_not_fail_the_frame(agent):
    house = House(agent)
    listed = house.listed
    house.write._reads = lambda frame: listed(frame) if frame == 1 else 1 / 0

    house.render(1)

    assert "/out/o.0001.exr" in agent.bucket


def test_patterns_are_answered_with_their_place_and_unmapped_names_are_left_alone(agent):
    house = House(agent)

    assert house.nuke.open(PLATE) == agent.view + "/show/plates/a.%04d.exr"
    assert house.nuke.open("/mnt/show/%V/a.####.exr") == agent.view + "/show/%V/a.####.exr"
    asked = len(agent.requests)
    for name in ("", "/opt/lut.cube", "/mnt/showy/a.exr", "Blur.so", "relative/a.exr", "P:\\shower\\a.exr", PLATE):
        expected = agent.view + "/show/plates/a.%04d.exr" if name == PLATE else name
        assert house.nuke.open(name) == expected
    assert len(agent.requests) == asked


@pytest.mark.parametrize(
    "name", ["P:\\show\\plates\\a.0001.exr", "p:/SHOW/plates/a.0001.exr", "\\\\FILER\\show\\plates\\a.0001.exr"]
)
def test_windows_spellings_are_answered_with_forward_slashes(agent, name):
    path = House(agent).nuke.open(name)

    assert "\\" not in path
    assert Path(path).read_bytes() == b"plate 1"


def test_a_name_in_the_view_is_fetched_like_the_name_it_stands_for(agent):
    path = agent.view + "/show/plates/a.0002.exr"

    assert House(agent).nuke.open(path) == path
    assert Path(path).read_bytes() == b"plate 2"


def test_a_file_type_prefix_is_kept(agent):
    path = House(agent).nuke.open("exr:" + PLATE % 1)

    assert path == "exr:" + agent.view + "/show/plates/a.0001.exr"


def test_absent_inputs_are_noted_by_node_knob_frame_and_object_and_nuke_renders_on(agent, capsys):
    house = House(agent)
    house.write._reads = lambda frame: [
        [house.read, [PLATE % 9, "/mnt/show/plates/b.exr"]],
        [
            Node("Read", "Group1.Read2", file="/mnt/show/x.exr", proxy="/mnt/show/proxy/%04d.jpg"),
            ["/mnt/show/proxy/0001.jpg"],
        ],
        [house.read, [PLATE % 1]],
    ]

    house.render(1)

    noted, done = marks(capsys, wire.ABSENT_MARK)
    assert noted == {
        "frame": 1,
        "write": "Write1",
        "missing": [
            ["Read1", "file", 1, "gs://show/plates/a.0009.exr"],
            ["Read1", "file", 1, "gs://show/plates/b.exr"],
            ["Group1.Read2", "proxy", 1, "gs://show/proxy/0001.jpg"],
        ],
    }
    assert done == {"frame": 1, "write": "Write1", "missing": []}
    assert agent.bucket["/out/o.0001.exr"] == b"frame 1"


def test_what_nuke_cannot_do_without_an_absent_input_it_fails_itself_and_the_note_stands(agent, capsys):
    house = House(agent)
    del agent.bucket["/plates/a.0002.exr"]

    with pytest.raises(FileNotFoundError):
        house.render(1, 2)

    (noted,) = marks(capsys, wire.ABSENT_MARK)
    assert noted["missing"] == [["Read1", "file", 2, "gs://show/plates/a.0002.exr"]]
    assert "/out/o.0002.exr" not in agent.bucket


def test_a_frame_that_lacks_nothing_is_noted_nowhere(agent, capsys):
    House(agent).render(1)

    assert marks(capsys, wire.ABSENT_MARK) == []


@pytest.mark.parametrize("on_error", ["black", "checkerboard", "nearest frame", 1, 3.0])
def test_what_a_node_may_lack_is_left_to_nuke(agent, capsys, on_error):
    house = House(agent, on_error=on_error)
    del agent.bucket["/plates/a.0001.exr"]

    house.nuke.call("before_frame", house.write, 1)

    expected = {1: "black", 3.0: "nearest frame"}.get(on_error, on_error)
    assert agent.said("ensure")[0]["names"] == [[PLATE % 1, expected]]
    assert marks(capsys, wire.ABSENT_MARK) == []


@pytest.mark.parametrize("on_error", ["error", "black"])
def test_a_failed_input_fails_the_frame_whatever_on_error_says(agent, capsys, on_error):
    house = House(agent, on_error=on_error)
    agent.failing[PLATE % 1] = ("TransientStoreError", "503 after all retries", True)

    with pytest.raises(RuntimeError, match="503 after all retries"):
        house.render(1)

    told = mark(capsys)
    assert told["kind"] == "TransientStoreError"
    assert "Read1.file" in told["message"]


def test_all_errors_of_a_frame_are_reported_at_once_and_the_permanent_one_gives_the_kind(agent, capsys):
    house = House(agent)
    house.write._reads = lambda frame: [[house.read, [PLATE % 1, PLATE % 2, PLATE % 9]]]
    agent.failing[PLATE % 1] = ("TransientStoreError", "503", True)

    agent.failing[PLATE % 2] = ("PermissionDenied", "403", False)

    with pytest.raises(RuntimeError):
        house.render(1)

    told = mark(capsys)
    assert told["kind"] == "PermissionDenied"
    assert "503" in told["message"]
    assert "403" in told["message"]
    assert house.wrote == []


def test_a_failure_in_the_filter_is_kept_for_the_next_callback_and_gives_a_name_that_cannot_exist(agent, capsys):
    house = House(agent)
    agent.failing["/mnt/show/lut.cube"] = ("PermissionDenied", "403 for gs://show/lut.cube", False)

    path = house.nuke.open("/mnt/show/lut.cube")

    assert not Path(path).exists()
    with pytest.raises(NotADirectoryError):
        Path(path).write_bytes(b"")
    with pytest.raises(RuntimeError, match="403 for"):
        house.render(1)
    assert mark(capsys)["kind"] == "PermissionDenied"


def test_a_failure_in_the_filter_during_the_frame_stops_it_from_being_published(agent):
    house = House(agent)
    agent.failing["/mnt/show/lut.cube"] = ("ChecksumMismatch", "wrong bytes", True)
    draw = house.draw
    house.draw = lambda write, frame: (house.nuke.open("/mnt/show/lut.cube"), draw(write, frame))

    with pytest.raises(RuntimeError, match="wrong bytes"):
        house.render(1)

    assert agent.published == []


def test_a_kept_failure_is_never_forgiven_because_an_op_may_keep_the_name(agent):
    house = House(agent)
    agent.failing[PLATE % 1] = ("TransientStoreError", "503", True)
    house.nuke.open(PLATE % 1)
    agent.failing.clear()
    house.nuke.open(PLATE % 1)

    for _ in range(2):
        with pytest.raises(RuntimeError, match="503"):
            house.render(1)


@pytest.mark.parametrize(
    "name", [None, 7, b"/mnt/show/a", "/mnt/show/../etc", "/mnt/show/a\0b", "/mnt/show/" + "x" * 5000]
)
def test_the_filter_never_raises(agent, name):
    house = House(agent)
    agent.refusing["resolve"] = ("HostilePath", "leaves its root", False)

    house.hooks.filename_filter(name)


def test_a_file_missing_after_the_frame_is_no_success(agent, capsys):
    house = House(agent)
    house.draw = lambda write, frame: None

    with pytest.raises(RuntimeError, match="Write1 wrote nothing"):
        house.render(1)

    assert mark(capsys)["kind"] == "OutputInvalid"


def test_every_view_of_a_write_is_published(agent):
    house = House(agent, views=("left", "right", "aux"), out="/mnt/show/out/%V/o_%v.%04d.exr", write_views="left right")

    def draw(write, frame):
        for view in ("left", "right"):
            Path(house.nuke.open(f"/mnt/show/out/{view}/o_{view[0]}.{frame:04}.exr")).write_bytes(view.encode())

    house.nuke.render([house.write], [3], draw)

    assert agent.bucket["/out/left/o_l.0003.exr"] == b"left"
    assert agent.bucket["/out/right/o_r.0003.exr"] == b"right"


def test_a_view_that_was_not_asked_for_is_not_published(agent):
    house = House(agent, views=("left", "right"), out="/mnt/show/out/%V.%04d.exr", write_views="left right")

    def draw(write, frame):
        Path(house.nuke.open(f"/mnt/show/out/left.{frame:04}.exr")).write_bytes(b"left")

    house.nuke.render([house.write], [3], draw)

    assert [view for _, view, _, _ in agent.published] == ["left"]


def test_all_views_in_one_file_are_all_published(agent):
    house = House(agent, views=("left", "right"), write_views="left right")

    house.render(1)

    assert [(view, name) for _, view, _, name in agent.published] == [("left", OUT % 1), ("right", OUT % 1)]


def test_of_two_nodes_that_read_a_file_the_more_lenient_one_is_told_to_the_agent(agent):
    house = House(agent)
    lenient = Node("Read", "Read2", file=PLATE, on_error="black")
    for order in ([house.read, lenient], [lenient, house.read]):
        house.write._reads = lambda frame, order=order: [[node, [PLATE % frame]] for node in order]
        house.nuke.call("before_frame", house.write, 1)

    asked = [request["names"] for request in agent.said("ensure") if not request["prefetch"]]
    assert asked == [[[PLATE % 1, "black"]]] * 2


def test_two_writes_in_one_frame_loop_keep_their_scopes_apart(agent):
    second = Node("Write", "Write2", file="/mnt/show/out/p.%04d.exr", views="main")
    house = House(agent, second)
    second._reads = lambda frame: [[house.read, [PLATE % frame]]]

    house.nuke.render([house.write, second], [1, 2], house.draw)

    assert sorted(key for key in agent.bucket if key.startswith("/out")) == [
        "/out/o.0001.exr", "/out/o.0002.exr", "/out/p.0001.exr", "/out/p.0002.exr",
    ]  # fmt: skip
    assert house.client.held == {}


def test_two_writes_may_be_open_at_once(agent):
    second = Node("Write", "Write2", file="/mnt/show/out/p.%04d.exr", views="main")
    house = House(agent, second)
    for write in (house.write, second):
        house.nuke.call("before_frame", write, 1)
    for write in (house.write, second):
        house.draw(write, 1)
    for write in (house.write, second):
        house.nuke.call("after_frame", write, 1)

    assert [write for write, *_ in agent.published] == ["Write1", "Write2"]
    assert agent.said("resolve") != []


def test_a_movie_is_published_once_with_all_its_frames(agent):
    house = House(agent, out="/mnt/show/out/o.mov")

    def draw(write, frame):
        with Path(house.nuke.open("/mnt/show/out/o.mov")).open("ab") as file:
            file.write(b"%d" % frame)

    house.nuke.render([house.write], [1, 2, 3], draw)

    assert agent.published == [("Write1", "main", (1, 2, 3), "/mnt/show/out/o.mov")]
    assert agent.bucket["/out/o.mov"] == b"123"


def test_a_movie_goes_on_over_the_loss_of_an_agent_between_two_frames(agent):
    house = House(agent, out="/mnt/show/out/o.mov")

    def draw(write, frame):
        with Path(house.nuke.open("/mnt/show/out/o.mov")).open("ab") as file:
            file.write(b"%d" % frame)

    for frame in (1, 2):
        house.nuke.call("before_frame", house.write, frame)
        draw(house.write, frame)
        house.nuke.call("after_frame", house.write, frame)
        agent.kill()
        agent.start()
    house.nuke.call("after", house.write, 2)

    assert agent.bucket["/out/o.mov"] == b"12"


def test_uploads_that_failed_for_good_fail_the_render_at_its_end(agent, capsys):
    house = House(agent)
    agent.lost_uploads = [["gs://show/out/o.0001.exr", "PermissionDenied", "403"]]

    with pytest.raises(RuntimeError, match=r"o\.0001\.exr: 403"):
        house.render(1)

    assert mark(capsys)["kind"] == "PermissionDenied"


def test_a_write_upstream_is_no_input_unless_it_is_reading(agent):
    upstream = Node("Write", "Write0", file="/mnt/show/pre.%04d.exr", reading=False)
    reading = Node("Write", "Write9", file="/mnt/show/plates/a.%04d.exr", reading=True)
    house = House(agent, upstream, reading)
    house.write._reads = lambda frame: [[upstream, ["/mnt/show/pre.0001.exr"]], [reading, [PLATE % frame]]]

    house.nuke.call("before_frame", house.write, 1)

    assert agent.said("ensure")[0]["names"] == [[PLATE % 1, "error"]]


def test_what_the_script_itself_writes_is_not_missing(agent, capsys):
    upstream = Node("Write", "Write0", file="/mnt/show/pre.%04d.exr", views="main")
    house = House(agent, upstream)
    house.write._reads = lambda frame: [[house.read, [f"/mnt/show/pre.{frame:04}.exr"]]]

    house.nuke.call("before_frame", house.write, 1)

    assert marks(capsys, wire.ABSENT_MARK) == []


def test_relative_names_stand_under_the_project_directory(agent):
    house = House(agent, out="out/o.%04d.exr", root={"project_directory": "/mnt/show"})
    house.write._reads = lambda frame: [[house.read, [f"plates/a.{frame:04}.exr"]]]

    house.nuke.call("before_frame", house.write, 1)

    assert agent.said("frame")[0]["outputs"] == [["main", OUT % 1]]
    assert agent.said("ensure")[0]["names"] == [[PLATE % 1, "error"]]


@pytest.mark.parametrize(
    "shape",
    [
        lambda node, name: [[node, [name]]],
        lambda node, name: [(node, name)],
        lambda node, name: [[node, [[name], []]], [node, []], []],
        lambda node, name: [name],
    ],
)
def test_nukes_list_is_read_in_any_shape(agent, shape):
    house = House(agent)
    house.write._reads = lambda frame: shape(house.read, PLATE % frame)

    house.nuke.call("before_frame", house.write, 1)

    assert agent.said("ensure")[0]["names"] == [[PLATE % 1, "error"]]


def test_the_agent_may_be_replaced_in_the_middle_of_a_frame(agent):
    house = House(agent)
    draw = house.draw

    def draw_and_lose(write, frame):
        draw(write, frame)
        agent.kill()
        agent.start()

    house.draw = draw_and_lose
    house.render(1, 2)

    assert agent.bucket["/out/o.0001.exr"] == b"frame 1"
    assert agent.bucket["/out/o.0002.exr"] == b"frame 2"


def test_a_frame_whose_input_was_evicted_meanwhile_is_not_published(agent, capsys):
    house = House(agent)
    draw = house.draw

    def draw_and_lose(write, frame):
        draw(write, frame)
        agent.kill()
        place = Path(agent.place(PLATE % frame))
        place.unlink()
        Path(str(place) + ".other").write_bytes(b"takes the inode")
        agent.start()

    house.draw = draw_and_lose
    with pytest.raises(RuntimeError, match="left the cache"):
        house.render(1)

    assert agent.published == []
    assert mark(capsys)["kind"] == "AgentLost"


def test_without_an_agent_every_frame_fails_and_no_absolute_name_passes(agent, capsys):
    house = House(agent)
    agent.kill()

    assert house.nuke.open("Blur.so") == "Blur.so"
    assert house.nuke.open("") == ""
    assert house.nuke.open("/mnt/show/plates/a.0001.exr").startswith("/dev/null/")
    for frame in (1, 2):
        with pytest.raises(RuntimeError, match="no agent answers"):
            house.render(frame)
        assert mark(capsys)["kind"] == "AgentLost"


def test_what_breaks_in_nuke_itself_is_reported_too(agent, capsys):
    house = House(agent)
    house.write._reads = lambda frame: 1 / 0

    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        house.render(1)

    assert mark(capsys)["kind"] == "RenderError"


def test_a_callback_for_the_root_does_nothing(agent):
    house = House(agent)

    house.hooks.before_frame_render()
    house.hooks.after_frame_render()


@pytest.fixture
def fresh(monkeypatch):
    monkeypatch.setattr(hooks_module, "_installed", [])


@pytest.mark.usefixtures("fresh")
def test_without_a_socket_nothing_is_registered():
    nuke = Nuke()

    assert install(nuke, {}) is None
    assert nuke.filters == []
    assert nuke.callbacks == {"before_frame": [], "after_frame": [], "after": []}
    assert nuke.modes == []


@pytest.mark.usefixtures("fresh")
def test_installing_twice_registers_once(agent):
    nuke = Nuke()
    environ = {wire.SOCKET_VARIABLE: agent.socket_path, wire.TASK_VARIABLE: "4", wire.LOOKAHEAD_VARIABLE: "x"}

    first = install(nuke, environ)

    assert install(nuke, environ) is first
    assert [cls for _, cls in nuke.filters] == ["*"]
    assert [cls for _, cls in nuke.callbacks["before_frame"]] == ["Write", "DeepWrite", "WriteGeo", "ParticleCache"]
    assert nuke.modes == ["off"]


@pytest.mark.usefixtures("fresh")
def test_the_environment_says_who_asks_and_how_far_ahead(agent):
    environ = {
        wire.SOCKET_VARIABLE: agent.socket_path,
        wire.JOB_VARIABLE: "gs://state/jobs/j",
        wire.TASK_VARIABLE: "4",
        wire.ATTEMPT_VARIABLE: "2",
        wire.LOOKAHEAD_VARIABLE: "2",
        wire.FRAMES_VARIABLE: "5,1,3",
    }
    nuke = Nuke()
    del nuke.localization

    hooks = install(nuke, environ)
    hooks.client.connect()

    (hello,) = agent.said("hello")
    assert (hello["job"], hello["task"], hello["attempt"]) == ("gs://state/jobs/j", 4, 2)
    assert (hooks._frames, hooks._lookahead) == ([1, 3, 5], 2)
