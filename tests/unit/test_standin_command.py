from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import OpenImageIO
import pytest
from standin_kit import save

from jit_render.model.errors import UsageError
from jit_render.model.job import FailureClass
from jit_render.render import find_renderer
from jit_render.render.port import FrameStarted, FrameWritten, RenderRequest
from jit_render.render.standin.image import RGBA

REPOSITORY = Path(__file__).resolve().parents[2]
STEREO = """Root {
 format "16 8 0 0 16 8 1 tiny"
 first_frame 1
 last_frame 4
 views "left #ff0000
right #00ff00"
}
"""
GRADED = "Grade {\n multiply 2\n name Grade1\n}\n"


def read(path, knobs: str = "first 1\n last 4") -> str:
    return f"Read {{\n inputs 0\n file {path}\n {knobs}\n name Plate\n}}\n"


def writing(path, knobs: str = "") -> str:
    return f"Write {{\n file {path}\n channels rgba\n create_directories true\n{knobs} name Comp\n}}\n"


def standin(script: Path, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("JIT_RENDER", "NUKE"))}
    return subprocess.run(
        [sys.executable, "-m", "jit_render.render.standin", "-x", "-m", "1", *flags, str(script)],
        env={**clean, "PYTHONPATH": str(REPOSITORY), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=script.parent,
    )


@pytest.fixture
def shot(tmp_path):
    """Stereo plates whose pixels tell frame and view."""
    for frame in range(1, 5):
        for index, view in enumerate(("left", "right")):
            save(tmp_path / f"in/{view}/plate.{frame:04d}.exr", np.full((8, 16, 4), frame + index / 2), RGBA)
    return tmp_path


def script(folder: Path, text: str) -> Path:
    path = folder / "shot.nk"
    path.write_text(text)
    return path


def red(path: Path) -> float:
    return float(OpenImageIO.ImageBuf(str(path)).getpixel(0, 0)[0])


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_it_renders_frames_and_views_and_says_so_line_by_line(shot):
    text = STEREO + read(shot / "in/%V/plate.####.exr") + GRADED + writing(shot / "out/%v/comp.%04d.exr")
    done = standin(script(shot, text), "-F", "1-3x2", "-F", "4", "-X", "Comp")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if line.startswith("Frame")] == [
        "Frame 1 (1 of 3)", "Frame 3 (2 of 3)", "Frame 4 (3 of 3)",
    ]  # fmt: skip
    written = re.findall(r"^Writing (.*) took \d+\.\d\d seconds$", done.stdout, re.MULTILINE)
    assert written == [f"{shot}/out/{view}/comp.{frame:04d}.exr" for frame in (1, 3, 4) for view in "lr"]
    assert sorted(digests(shot / "out")) == sorted(f"{v}/comp.{f:04d}.exr" for f in (1, 3, 4) for v in "lr")
    assert red(shot / "out/r/comp.0003.exr") == 7.0


def test_without_a_view_in_the_name_all_views_share_one_exr(shot):
    done = standin(script(shot, STEREO + read(shot / "in/%V/plate.####.exr") + writing(shot / "out/c.%04d.exr")), "-F2")
    assert done.returncode == 0, done.stderr
    spec = OpenImageIO.ImageBuf(str(shot / "out/c.0002.exr")).spec()
    assert tuple(spec.getattribute("multiView")) == ("left", "right")
    assert set(spec.channelnames) == {*"RGBA", *(f"right.{c}" for c in "RGBA")}


def test_only_the_views_asked_for_are_rendered(shot):
    text = STEREO + read(shot / "in/%V/plate.####.exr") + writing(shot / "out/%V/c.%04d.exr")
    assert standin(script(shot, text), "-F1", "--view", "right").returncode == 0
    assert sorted(digests(shot / "out")) == ["right/c.0001.exr"]


LOGGING = """
import nuke, os
log = open(os.environ['LOG'], 'a', buffering=1)
def note(kind):
    def call():
        log.write('%s %s %s\\n' % (kind, nuke.thisNode().fullName(), nuke.frame()))
        if os.environ.get('RAISE') == '%s %s' % (kind, nuke.frame()):
            raise RuntimeError('the callback says no')
    return call
for kind in ('BeforeRender', 'BeforeFrameRender', 'AfterFrameRender', 'AfterRender'):
    getattr(nuke, 'add' + kind)(note(kind))
def swap(name):
    log.write('filter %s\\n' % name)
    return name.replace('/show/', os.environ['PLACE'] + '/') if name.startswith('/show/') else None
nuke.addFilenameFilter(swap)
"""


@pytest.fixture
def plugin(shot):
    (shot / "plugin").mkdir()
    (shot / "plugin" / "init.py").write_text(LOGGING)
    return {"NUKE_PATH": str(shot / "plugin"), "LOG": str(shot / "log"), "PLACE": str(shot)}


FILTERED = STEREO + read("/show/in/%V/plate.####.exr") + GRADED + writing("/show/out/%V/comp.%04d.exr")


def test_both_filter_timings_give_the_same_files(shot, plugin):
    found = []
    for timing in ("pattern", "concrete"):
        done = standin(script(shot, FILTERED), "-F1-4", JIT_RENDER_STANDIN_TIMING=timing, **plugin)
        assert done.returncode == 0, done.stderr
        found.append(digests(shot / "out"))
        seen = (shot / "log").read_text()
        (shot / "log").unlink()
        assert "filter \n" in seen
        assert ("filter /show/in/%V/plate.####.exr\n" in seen) == (timing == "pattern")
        assert ("filter /show/in/right/plate.0004.exr\n" in seen) == (timing == "concrete")
    assert found[0] == found[1]
    assert len(found[0]) == 8


def test_callbacks_bracket_every_frame(shot, plugin):
    assert standin(script(shot, FILTERED), "-F1-2", **plugin).returncode == 0
    said = [line for line in (shot / "log").read_text().splitlines() if not line.startswith("filter")]
    assert said == [
        "BeforeRender Comp 1",
        "BeforeFrameRender Comp 1", "AfterFrameRender Comp 1",
        "BeforeFrameRender Comp 2", "AfterFrameRender Comp 2",
        "AfterRender Comp 2",
    ]  # fmt: skip


@pytest.mark.parametrize("where", ["BeforeFrameRender 2", "AfterFrameRender 2"])
def test_a_callback_that_raises_ends_the_render_there(shot, plugin, where):
    done = standin(script(shot, FILTERED), "-F1-4", RAISE=where, **plugin)
    assert done.returncode == 1
    assert "the callback says no" in done.stderr
    assert "Traceback" not in done.stderr
    said = [line for line in (shot / "log").read_text().splitlines() if not line.startswith("filter")]
    assert said[-1] == where.replace(" ", " Comp ")


def test_a_missing_input_fails_the_frame_by_node_and_name_and_leaves_nothing_half_done(shot):
    (shot / "in/right/plate.0002.exr").unlink()
    text = STEREO + read(shot / "in/%V/plate.####.exr") + writing(shot / "out/c.%04d.exr")
    done = standin(script(shot, text), "-F1-4")
    assert done.returncode == 1
    assert re.fullmatch(r"ERROR: .*frame 2: Read Plate \(line \d+\): .*plate\.0002\.exr is missing\.\n", done.stderr)
    assert sorted(digests(shot / "out")) == ["c.0001.exr"]


def test_several_writes_run_in_render_order_and_a_later_one_reads_the_earlier_ones_file(shot):
    text = (
        STEREO.replace("views", "label").replace("left #ff0000\nright #00ff00", "")
        + f"Read {{\n inputs 0\n file {shot}/out/first.%04d.exr\n last 4\n name Again\n}}\n"
        + writing(shot / "out/second.%04d.exr", " render_order 2\n").replace("Comp", "Second")
        + read(shot / "in/left/plate.####.exr")
        + GRADED
        + writing(shot / "out/first.%04d.exr").replace("Comp", "First")
    )
    done = standin(script(shot, text), "-F1-2", "--sro")
    assert done.returncode == 0, done.stderr
    assert red(shot / "out/second.0002.exr") == 4.0
    assert "Frame 2 (4 of 4)" in done.stdout


def test_a_write_keeps_to_its_limit_and_a_disabled_one_is_left_out(shot):
    limits = " use_limit true\n first 2\n last 3\n"
    limited = read(shot / "in/left/plate.####.exr") + writing(shot / "out/%V.%04d.exr", limits)
    disabled = writing(shot / "out/never.%V.%04d.exr", " disable true\n").replace("Comp", "Off")
    assert standin(script(shot, STEREO + limited + disabled), "-F1-4", "--view=left").returncode == 0
    assert sorted(digests(shot / "out")) == ["left.0002.exr", "left.0003.exr"]


@pytest.mark.parametrize(
    ("text", "flags", "message"),
    [
        ("Write {\n name W\n", (), "line"),
        ("", (), "no Nuke script"),
        (GRADED, (), "no enabled Write"),
        (GRADED, ("-X", "Nobody"), "Nobody"),
        (GRADED, ("-X", "Grade1"), "executes Write nodes"),
        (writing("/x/%04d.exr"), (), "nothing is connected"),
        ("Kronos {\n name K\n}\n" + writing("/x/%04d.exr"), (), r"Kronos K \(line \d+\)"),
        (read("/nowhere/a.exr") + writing("/nowhere/out.mov"), (), "does not write mov"),
        (
            read("/nowhere/a.exr") + "Merge2 {\n operation soft-light\n name M\n}\n" + writing("/nowhere/out.mov"), (),
            r"Write Comp .*mov.*Merge2 M .*soft-light",
        ),
        (read("/nowhere/a.exr") + writing("/x/%04d.exr"), ("-F", "1-5:2"), "':'"),
        (read("/nowhere/a.exr") + writing("/x/%04d.exr"), ("-p",), "full size only"),
        (read("/nowhere/a.exr") + writing("/x/%04d.exr"), ("--view", "middle"), "script's views are main"),
        ("Constant {\n color {{nobody.knows}}\n inputs 0\n}\n" + writing("/x/a.%04d.exr"), (), "cannot be told"),
    ],
)
def test_bad_input_is_one_line_and_exit_1(tmp_path, text, flags, message):
    text = text.replace("/x/", f"{tmp_path}/x/")
    done = standin(script(tmp_path, text), *(flags or ("-F1",)))
    assert done.returncode == 1
    assert re.search(message, done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_folder_is_not_made_unasked(shot):
    text = read(shot / "in/left/plate.####.exr") + writing(shot / "no/such/c.%04d.exr")
    text = text.replace("create_directories true", "")
    done = standin(script(shot, text), "-F1")
    assert done.returncode == 1
    assert "create_directories is off" in done.stderr


def test_no_licence_is_exit_100(shot):
    done = standin(script(shot, "nothing"), JIT_RENDER_STANDIN_LICENCE="none")
    assert done.returncode == 100
    verdict = find_renderer("standin").verdict(100, (), done.stderr)
    assert verdict.failure is FailureClass.LICENCE


def test_an_init_file_that_fails_ends_the_run_with_its_name(shot):
    (shot / "init.py").write_text("raise ValueError('broken plug-in')\n")
    done = standin(script(shot, GRADED), NUKE_PATH=str(shot))
    assert done.returncode == 1
    assert f"{shot}/init.py failed: ValueError: broken plug-in" in done.stderr


def test_the_renderer_behind_the_port_runs_it(shot):
    renderer = find_renderer("standin")
    path = script(shot, STEREO + read(shot / "in/%V/plate.####.exr") + writing(shot / "out/%V/c.%04d.exr"))
    request = RenderRequest(
        script=path, frames=(-2, 1, 2, 4), writes=("Comp",), views=("left",), threads=1, memory_bytes=64 << 20,
        environment={"PYTHONPATH": str(REPOSITORY)}, scratch=shot, plugin_path=(shot,),
    )  # fmt: skip
    done = subprocess.run(
        renderer.command(request), env=renderer.environment(request), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    events = [event for line in done.stdout.splitlines() if (event := renderer.read_line(line)) is not None]
    assert [event.frame for event in events if isinstance(event, FrameStarted)] == [-2, 1, 2, 4]
    assert [Path(event.path).name for event in events if isinstance(event, FrameWritten)][1:] == [
        "c.0001.exr", "c.0002.exr", "c.0004.exr",
    ]  # fmt: skip
    assert renderer.verdict(0, (), "").failure is None


def test_the_renderer_refuses_proxies(tmp_path):
    request = RenderRequest(script=tmp_path / "a.nk", frames=(1,), writes=(), proxy=True)
    with pytest.raises(UsageError, match="full size only"):
        find_renderer("standin").command(request)


@pytest.mark.shared
def test_a_comp_over_a_real_stereo_sequence_keeps_views_and_window(shared_data, tmp_path):
    root = 'Root {\n format "2048 1556 0 0 2048 1556 1 2K"\n views "left #ff0000\nright #00ff00"\n}\n'
    text = root + read(shared_data / "beachball/singlepart.%04d.exr", "first 1\n last 8") + GRADED
    done = standin(script(tmp_path, text + writing(tmp_path / "out/%V/ball.%04d.exr")), "-F1,8")
    assert done.returncode == 0, done.stderr
    for frame, window in ((1, (654, 245, 911, 876)), (8, (1384, 328, 926, 889))):
        source = OpenImageIO.ImageBuf(str(shared_data / f"beachball/singlepart.{frame:04d}.exr"))
        pixels = source.get_pixels(OpenImageIO.FLOAT)
        for view, channel in (("left", "left.R"), ("right", "R")):
            result = OpenImageIO.ImageBuf(str(tmp_path / f"out/{view}/ball.{frame:04d}.exr"))
            spec = result.spec()
            assert (spec.x, spec.y, spec.width, spec.height) == window
            expected = pixels[:, :, source.spec().channelindex(channel)] * 2
            assert np.array_equal(result.get_pixels(OpenImageIO.FLOAT)[:, :, 0], np.maximum(expected, 0))
