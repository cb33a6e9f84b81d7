"""Bad input and bad places: each is one line that names the thing, the place and the way out; nothing is lost.

The commands run in this process; a worker, an agent and a renderer of their own start only where a job gets so far.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import OpenImageIO as oiio  # noqa: N813 - the name everybody gives it
import pytest
from house import House, processes
from small_show import make_show

from jit_render.cli import boundary
from jit_render.cli.main import app as main_app
from jit_render.cli.submit import app as submit_app
from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.faults import Fault

FX = "plates/fx/fx.%04d.exr"
FRAMES = 2
DENIED = "someone@show.example does not have storage.objects.{} access to the Google Cloud Storage object."


@dataclass
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        return (self.err.strip().splitlines() or [""])[-1]


class Desk:
    """An artist's desk: a show in the bucket only, and the commands as they are typed."""

    def __init__(self, house: House, gcs: FakeGcs, capture: pytest.CaptureFixture[str]) -> None:
        self.house = house
        self.gcs = gcs
        self.path = house.script
        self._capture = capture

    def command(self, *words: str) -> Said:
        name, app = ("jit-submit", submit_app) if words[0] == "submit" else ("jit-render", main_app)
        self._capture.readouterr()
        with pytest.raises(SystemExit) as end:
            boundary.run(app, name, words[1:] if words[0] == "submit" else words)
        said = self._capture.readouterr()
        assert isinstance(end.value.code, int)
        assert "Traceback" not in said.out + said.err
        return Said(end.value.code, said.out, said.err)

    def submit(self, *words: str, frames: str = f"1-{FRAMES}") -> Said:
        return self.command("submit", str(self.path), "--frames", frames, *words)

    def refused(self, *words: str, frames: str = f"1-{FRAMES}") -> str:
        """What a submission says that is refused before anything is stored."""
        said = self.submit("--no-run", *words, frames=frames)
        assert said.code == 2, said
        assert len(said.err.splitlines()) == 1, said.err
        assert not [name for name in self.gcs.objects("show") if name.startswith("state/")]
        return said.last

    def attempt(self) -> Said:
        """Submit, and make one attempt at the only task, as a node would."""
        submitted = self.submit("--no-run", "--force")
        assert submitted.code == 0, submitted.err
        return self.command("work", "--job", "latest", "--task", "0")

    def script(self, *plates: str, output: str = "out.%04d.exr", between: str = "") -> None:
        """Reads laid over each other, what is `between`, a Write; names are below the show and its renders."""
        files = [plate if plate.startswith("/") else f"{self.house.show}/{plate}" for plate in plates or (FX,)]
        reads = "".join(
            f'Read {{\n inputs 0\n file "{file}"\n first 1\n last {FRAMES}\n name Plate{index}\n}}\n'
            for index, file in enumerate(files, start=1)
        )
        merge = f"Merge2 {{\n inputs {len(files)}\n operation plus\n name Sum\n}}\n" if len(files) > 1 else ""
        write = output if output.startswith("/") else f"{self.house.outputs}/{output}"
        self.path.write_text(
            'version 13.1 v3\nRoot {\n inputs 0\n format "160 90 0 0 160 90 1 small"\n}\n'
            f"{reads}{merge}{between}"
            f'Write {{\n file "{write}"\n file_type exr\n create_directories true\n name Out\n}}\n',
            encoding="utf-8",
        )

    def configured(self, old: str, new: str) -> None:
        path = self.house.root / "jit-render.toml"
        path.write_text(path.read_text().replace(old, new))

    def outputs(self) -> list[str]:
        return sorted(name for name in self.gcs.objects("show") if name.startswith("renders/"))

    def deny(self, name: str, verb: str) -> None:
        fault = Fault(name=name, status=403, reason="forbidden", message=DENIED.format(verb), times=-1)
        self.gcs.faults.set([fault])

    def spooled(self) -> list[str]:
        """Rendered files that wait on the node."""
        return sorted(path.name for path in (self.house.cache / "spool").rglob("*.exr"))

    def forget(self) -> None:
        """End the agent at once, as when the node goes."""
        for pid in processes(self.house.root):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def desk(
    tmp_path: Path, gcs: FakeGcs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    house = House(tmp_path, frames=FRAMES, store_url="gs://show", endpoint=gcs.url)
    make_show(tmp_path / "made", frames=FRAMES, size=(160, 90))
    for path in (tmp_path / "made").rglob("*.exr"):
        gcs.put("show", f"assets/{path.relative_to(tmp_path / 'made')}", path.read_bytes())
    house.configure()
    for name in [name for name in os.environ if name.startswith("JIT_RENDER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("JIT_RENDER_CONFIG", str(tmp_path / "jit-render.toml"))
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    desk = Desk(house, gcs, capsys)
    desk.script()
    yield desk
    desk.forget()


def test_names_that_cannot_be_written_are_refused_at_submit(desk: Desk) -> None:
    for output, words in {
        "/elsewhere/a.%04d.exr": ("Out.file", "/elsewhere/a.0001.exr", "no mapped prefix", "[[paths]]"),
        "../../other/a.%04d.exr": ("Out.file", "../../other/a.0001.exr", "leaves its root", "map a folder"),
        "../" * 20 + "etc/a.%04d.exr": ("Out.file", "climbs above its root", "'..'"),
        "a\nb.%04d.exr": ("Out.file", "a\\nb", "control character", "rename"),
        "a\0b.%04d.exr": ("small.nk", "line", "binary data"),
        "x" * 1000 + ".%04d.exr": ("Out.file", "name of 1009 bytes", "a disk takes 255", "Shorten"),
        "/".join(["y" * 200] * 6) + ".%04d.exr": ("Out.file", "bytes long", "takes 1024", "Shorten"),
        "": ("Out.file", "no frame number", "####"),
    }.items():
        desk.script(output=output)
        said = desk.refused()
        assert all(word in said for word in words), said
        assert len(said) < 600


def test_a_frame_range_without_frames_is_refused_with_the_right_spelling(desk: Desk) -> None:
    for frames, words in {
        "": ("empty", "1001-1100"),
        " ": ("empty", "1001-1100"),
        "1-5x0": ("step", "1 or more"),
        "1-5:2": ("':'", "1-5x2"),
        "shot": ("'shot'", "1001-1100"),
        "1,,2": ("''", "1001-1100"),
        "1-99999999999": ("99,999,999,999", "1,000,000"),
    }.items():
        said = desk.refused(frames=frames)
        assert all(word in said for word in words), said


def test_what_is_no_script_is_refused_by_what_it_is(desk: Desk) -> None:
    path = desk.path
    for data, words in {
        b"": ("holds no node",),
        b"\x7fELF\x02\x01\x01\0" * 40: ("line 1", "binary data"),
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)): ("binary data",),
        b"<!DOCTYPE html><html><body>Sign in { please }</body></html>": ("web page",),
        "Root {\n}\n".encode("utf-16"): ("UTF-16", "save", "UTF-8"),
        b"hello\nworld\n": ("no Nuke script",),
        b'Write {\n file "/a': ("line",),
    }.items():
        path.write_bytes(data)
        said = desk.refused()
        assert all(word in said for word in (path.name, *words)), said
    path.unlink()
    assert "No such file" in desk.refused()
    path.mkdir()
    assert "is a folder; name a .nk script" in desk.refused()


def test_a_wrong_name_of_a_write_or_a_view_is_refused_with_those_there_are(desk: Desk) -> None:
    assert "has no Write node 'Oat'; did you mean 'Out'?" in desk.refused("--write", "Oat")
    assert "has no view 'left'; it has main" in desk.refused("--view", "left")


def test_a_state_folder_that_cannot_be_used_says_what_to_do(desk: Desk) -> None:
    none = desk.submit("--no-run", "--state", "gs://no-such-bucket/state")
    assert none.code == 2
    assert "there is no bucket gs://no-such-bucket; create it or correct the URL" in none.last
    desk.deny("state/*", "create")
    denied = desk.submit("--no-run")
    assert denied.code == 2
    assert "someone@show.example lacks storage.objects.create on gs://show; grant it roles/" in denied.last
    away = ("--set", "store.endpoint=http://127.0.0.1:1", "--set", "store.deadline=0.2")
    for said in (desk.command("status", *away), desk.submit("--no-run", *away)):
        assert said.code == 75
        assert "connection failed (Connection refused); look at the network and at store.endpoint" in said.last
        assert "HTTP" not in said.last


def test_unicode_names_and_a_path_of_900_bytes_work_from_end_to_end(desk: Desk) -> None:
    folder = "Ünïcode – 灯籠 🏮/" + "/".join(["tief " + "ö" * 90] * 4)
    plate, output = f"plates/{folder}/größe é.%04d.exr", f"{folder}/{'ß' * 40}/夜 und 🌙.%04d.exr"
    assert len(f"renders/{output}".encode()) > 870
    for frame in (1, 2):
        data = desk.gcs.get("show", f"assets/{FX % frame}")
        desk.gcs.put("show", f"assets/{plate % frame}", data)
    desk.path = desk.house.root / "Schöne Szene 映像.nk"
    desk.script(plate, output=output)
    done = desk.submit("--workers", "1")
    assert done.code == 0, done
    assert desk.outputs() == [f"renders/{output % frame}" for frame in (1, 2)]
    assert desk.command("verify", "latest").code == 0
    pulled = desk.house.root / "pulled"
    assert desk.command("pull", "latest", str(pulled)).code == 0
    (first,) = pulled.rglob("*0001.exr")
    assert oiio.ImageBuf(str(first)).spec().width == 160


def test_inputs_with_names_that_cannot_be_are_told_all_at_once_and_not_tried_again(desk: Desk) -> None:
    long = "z" * 1000 + ".%04d.exr"
    desk.script("plates/a\nb.%04d.exr", long, "../../../../../../../../../../etc/passwd.%04d.exr")
    said = desk.attempt()
    assert said.code == 2
    for words in (("a\\nb", "control character"), ("name of 1009 bytes", "255"), ("passwd", "climbs above its root")):
        assert all(word in said.last for word in words), said.last
    assert len(said.last) < 2000
    assert desk.outputs() == desk.spooled() == []


def test_an_input_under_no_prefix_says_that_nothing_maps_it(desk: Desk) -> None:
    desk.script("/elsewhere/a.%04d.exr")
    said = desk.attempt()
    assert said.code == 1
    for word in ("frame 1", "Read Plate1", "/elsewhere/a.0001.exr is missing on this machine", "[[paths]] rule"):
        assert word in said.last


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ("Kronos {\n name K1\n}\n", ("Kronos K1 (line 13)", "Render it with Nuke")),
        (
            "Multiply {\n value {{nobody.knows}}\n name M1\n}\n",
            ("small.nk line 13: M1.value", "nobody.knows", "plain value"),
        ),
    ],
)
def test_what_only_a_person_can_mend_is_said_once_and_not_tried_again(desk: Desk, node: str, words: tuple) -> None:
    desk.script(between=node)
    said = desk.submit("--workers", "2", "--chunk", "1")
    assert said.code == 2
    assert all(word in said.out for word in words), said.out
    assert "tried again" not in said.err
    assert len([line for line in said.err.splitlines() if "given up" in line]) <= 2
    assert str(desk.house.cache) not in said.out
    assert desk.outputs() == desk.spooled() == []


def test_inputs_that_may_not_be_read_fail_the_frame(desk: Desk) -> None:
    desk.deny("assets/*", "get")
    said = desk.attempt()
    assert said.code == 2
    for word in ("frame 1", "Plate1.file", "gs://show/assets/plates/fx/fx.0001.exr", "someone@show.example", "grant"):
        assert word in said.last
    assert desk.outputs() == desk.spooled() == []


def test_a_bucket_for_inputs_that_is_not_there_is_named_at_submit(desk: Desk) -> None:
    desk.configured("gs://show/assets", "gs://no-such-bucket/assets")
    said = desk.submit("--no-run")
    assert said.code == 2
    assert "no-such-bucket/assets/plates/fx: there is no bucket gs://no-such-bucket; create it or correct" in said.last


def test_outputs_that_may_not_be_written_stay_on_the_node_until_they_may(desk: Desk) -> None:
    desk.deny("renders/*", "create")
    said = desk.attempt()
    assert said.code == 2
    for word in ("gs://show/renders/out.0001.exr", "someone@show.example lacks storage.objects.create", "grant"):
        assert word in said.last
    assert desk.outputs() == []
    assert desk.spooled(), "what was rendered is kept"
    desk.gcs.faults.set([])
    assert desk.submit("--workers", "1").code == 0
    assert len(desk.outputs()) == FRAMES


def test_a_bucket_for_outputs_that_is_not_there_is_named(desk: Desk) -> None:
    desk.configured("gs://show/renders", "gs://no-such-bucket/renders")
    said = desk.attempt()
    assert said.code == 2
    assert "no bucket gs://no-such-bucket; create it or correct" in said.last


@contextmanager
def mounted(place: Path, options: str) -> Iterator[None]:
    """A small disk of its own at `place`."""
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_named_and_with_room_the_same_job_goes_on(desk: Desk) -> None:
    cache = desk.house.cache
    with mounted(cache, "size=160k"):
        said = desk.attempt()
        assert said.code == 75
        for word in (str(cache), "fx.0001.exr", "does not fit on the disk", "Free disk space"):
            assert word in said.last
        subprocess.run(["mount", "-o", "remount,size=260k", str(cache)], check=True)
        said = desk.command("work", "--job", "latest", "--task", "0")
        assert said.code == 75
        for word in ("disk is full", "frame 1", "Write Out", "out.0001.exr", "No space left on device"):
            assert word in said.last
        assert desk.outputs() == desk.spooled() == []
        assert not list((cache / "view").rglob("out.*")), "half a file is no output"
        subprocess.run(["mount", "-o", "remount,size=8m", str(cache)], check=True)
        assert desk.command("work", "--job", "latest", "--task", "0").code == 0
        assert len(desk.outputs()) == FRAMES
        desk.forget()


def test_a_cache_root_that_cannot_be_written_is_named(desk: Desk) -> None:
    cache = desk.house.cache
    with mounted(cache, "size=1m,ro"):
        for said in (desk.attempt(), desk.command("cache", "status")):
            assert said.code == 2
            assert all(word in said.last for word in (str(cache), "Read-only", "cache.root")), said.last
    cache.rmdir()
    cache.write_text("no folder")
    for said in (desk.attempt(), desk.command("cache", "status")):
        assert said.code == 2
        assert all(word in said.last for word in (str(cache), "cache.root")), said.last
    assert desk.outputs() == []
