from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest
from standin_kit import engine_for

from jit_render.render.standin import nuke_module
from jit_render.render.standin.callbacks import Callbacks, FilterFailed
from jit_render.render.standin.names import FilterTiming
from jit_render.render.standin.nuke_nodes import NukeKnob, NukeNode, Runtime
from jit_render.script import parse

READ = "Read {\n inputs 0\n file /p/%V/plate.####.exr\n first 1001\n last 1010\n name Plate\n}\n"
WRITE = "Write {\n file /out/%V/comp.%04d.exr\n channels rgba\n name Comp\n}\n"
STEREO = 'Root {\n first_frame 1001\n last_frame 1010\n views "left #ff0000\nright #00ff00"\n}\n'


@pytest.fixture
def clean_modules(monkeypatch):
    """What a test installs under `nuke` goes again."""
    monkeypatch.setitem(sys.modules, "nuke", None)
    monkeypatch.setitem(sys.modules, "nuke.localization", None)
    monkeypatch.setattr(sys, "path", list(sys.path))


def runtime_for(text: str, node: str, timing=FilterTiming.PATTERN) -> Runtime:
    runtime = Runtime()
    engine = engine_for(text, node, callbacks=runtime.callbacks, timing=timing)
    runtime.script, runtime.evaluator, runtime.names = engine.script, engine.evaluator, engine.names
    runtime.engine, runtime.views, runtime.view, runtime.frame = engine, engine.views, engine.views[0], 1001
    return runtime


def stub_names(module: str) -> tuple[set[str], dict[str, set[str]]]:
    """Top-level names and the members of each class in a types-nuke stub."""
    package = importlib.util.find_spec("nuke-stubs")
    assert package is not None
    assert package.submodule_search_locations
    tree = ast.parse((Path(next(iter(package.submodule_search_locations))) / f"{module}.pyi").read_text())
    top: set[str] = set()
    classes: dict[str, set[str]] = {}
    for node in tree.body:
        names = _bound(node)
        top |= names
        if isinstance(node, ast.ClassDef):
            classes[node.name] = set().union(*(_bound(member) for member in node.body))
    return top, classes


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return {node.target.id}
    return {target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)}


def test_everything_on_the_module_is_in_nuke_too():
    known = set().union(
        *(stub_names(name)[0] for name in ("_nuke", "callbacks", "executeInMain", "utils", "overrides", "scripts"))
    )
    known |= {"localization"}
    offered = {name for name in vars(nuke_module.build(Runtime())) if not name.startswith("__")}
    assert offered - known == set()


@pytest.mark.parametrize(
    ("ours", "theirs"), [(NukeNode, ["Node"]), (NukeKnob, ["Knob", "File_Knob", "EvalString_Knob"])]
)
def test_every_method_is_in_nuke_too(ours, theirs):
    _, classes = stub_names("_nuke")
    known = set().union(*(classes.get(name, set()) for name in theirs))
    offered = {name for name in vars(ours) if not name.startswith("_")} - {"inner"}
    assert offered - known == set()


def test_callbacks_take_nukes_arguments():
    module = nuke_module.build(Runtime())
    for name in ("FilenameFilter", "BeforeRender", "BeforeFrameRender", "AfterFrameRender", "AfterRender"):
        call = lambda *args, **kwargs: None  # noqa: E731 - has to be the same object twice
        getattr(module, f"add{name}")(call, args=(1,), kwargs={"k": 2}, nodeClass="Write")
        getattr(module, f"remove{name}")(call, args=(1,), kwargs={"k": 2}, nodeClass="Write")


def test_the_filter_added_last_runs_first_and_the_classs_own_before_all():
    callbacks = Callbacks()
    node = parse(READ).find("Plate")
    for mark, cls in (("1", "*"), ("2", "*"), ("r", "Read"), ("w", "Write")):
        callbacks.add("filename", lambda name, mark=mark: name + mark, (), {}, cls)
    callbacks.add("filename", lambda name: None, (), {}, "*")
    assert callbacks.filtered("x", node) == "xr21"


def test_a_filter_that_raises_ends_the_render():
    callbacks = Callbacks()
    callbacks.add("filename", lambda name: 1 / 0, (), {}, "*")
    with pytest.raises(FilterFailed, match="ZeroDivisionError"):
        callbacks.filtered("x", parse(READ).find("Plate"))


def seen_at(timing: FilterTiming) -> tuple[Runtime, list[tuple[str, str]]]:
    runtime = runtime_for(STEREO + READ + WRITE, "Comp", timing)
    seen: list[tuple[str, str]] = []

    def note(name: str) -> str:
        node = runtime.callbacks.this_node
        assert node is not None
        seen.append((node.name if node.cls != "Root" else "root", name))
        return name.replace("/p/", "/cache/")

    runtime.callbacks.add("filename", note, (), {}, "*")
    return runtime, seen


def test_at_load_every_file_knob_and_plugin_passes_the_filter():
    for timing in FilterTiming:
        runtime, seen = seen_at(timing)
        assert runtime.names is not None
        runtime.names.load(1001, "left")
        assert ("root", "Read.so") in seen
        assert ("Plate", "") in seen  # the empty proxy knob
        assert ("root", "") in seen


def test_in_pattern_timing_the_filter_sees_the_name_as_written_once():
    runtime, seen = seen_at(FilterTiming.PATTERN)
    plate = runtime.opened()[0].find("Plate")
    ask = runtime.opened()[2].opened
    names = [ask(plate, "file", frame, view) for frame in (1001, 1002) for view in ("left", "right")]
    assert names[0] == "/cache/left/plate.1001.exr"
    assert names[3] == "/cache/right/plate.1002.exr"
    assert seen == [("Plate", "/p/%V/plate.####.exr")]


def test_in_concrete_timing_the_filter_sees_each_name_at_each_use():
    runtime, seen = seen_at(FilterTiming.CONCRETE)
    plate = runtime.opened()[0].find("Plate")
    for _ in range(2):
        assert runtime.opened()[2].opened(plate, "file", 1002, "right") == "/cache/right/plate.1002.exr"
    assert seen == [("Plate", "/p/right/plate.1002.exr")] * 2


def test_file_dependencies_follow_time_and_views_and_hold_the_writes_own_file():
    shift = "TimeOffset {\n time_offset 2\n name Later\n}\n"
    runtime = runtime_for(STEREO + READ + shift + WRITE, "Comp")
    listed = runtime.wrapped(runtime.opened()[0].find("Comp")).fileDependencies(1005, 1006)
    assert {node.name(): files for node, files in listed} == {
        "Comp": [f"/out/{view}/comp.{frame}.exr" for frame in (1005,) for view in ("left", "right")]
        + [f"/out/{view}/comp.{frame}.exr" for frame in (1006,) for view in ("left", "right")],
        "Plate": [f"/p/{view}/plate.{frame}.exr" for frame in (1003, 1004) for view in ("left", "right")],
    }
    assert all(isinstance(node, NukeNode) for node, _ in listed)


SHIFTING_GROUP = """Group {
 name G
}
 Input {
  inputs 0
  name Input1
 }
 TimeOffset {
  time_offset 1
 }
 Output {
  name Output1
 }
end_group
"""


@pytest.mark.parametrize(
    ("between", "frames"),
    [
        ("FrameHold {\n first_frame 1003\n}\n", [1003]),
        ("FrameBlend {\n numframes 3\n}\n", [1003, 1004, 1005]),
        ("Retime {\n input.first 1001\n input.last 1010\n output.first 1001\n speed 2\n}\n", [1009]),
        ("Retime {\n disable true\n speed 2\n}\n", [1005]),
        (SHIFTING_GROUP, [1004]),
    ],
)
def test_file_dependencies_know_each_time_operation(between, frames):
    text = READ.replace("/%V", "") + between + "Dot {\n name End\n}\n"
    runtime = runtime_for(text, "End")
    listed = runtime.wrapped(runtime.opened()[0].find("End")).fileDependencies(1005, 1005)
    assert [files for _, files in listed] == [[f"/p/plate.{frame}.exr" for frame in frames]]


def test_nodes_and_knobs_are_read_as_in_nuke():
    runtime = runtime_for(STEREO + READ + WRITE, "Comp")
    module = nuke_module.build(runtime)
    write = module.toNode("Comp")
    assert write is module.toNode("Comp")
    assert (write.Class(), write.name(), write.fullName()) == ("Write", "Comp", "Comp")
    assert write["file"].Class() == "File_Knob"
    assert write["file"].value() == "/out/%V/comp.%04d.exr"
    assert write["file"].evaluate(1007) == "/out/left/comp.1007.exr"
    assert write.knob("create_directories").value() is False
    assert write.knob("no such knob") is None
    with pytest.raises(NameError):
        write["no such knob"]
    assert module.toNode("Plate")["on_error"].value() == "error"
    assert module.toNode("Plate")["last"].value() == 1010
    assert module.root()["first_frame"].value() == 1001
    assert module.root().name() == "/show/comp/shot.nk"
    assert module.views() == ["left", "right"]
    assert module.filename(write) == "/out/%V/comp.%04d.exr"
    assert module.filename(write, module.REPLACE) == "/out/left/comp.1001.exr"
    assert [node.name() for node in module.allNodes("Read")] == ["Plate"]
    assert module.thisNode().Class() == "Root"


def test_the_main_thread_is_refused_inside_a_filter():
    runtime = runtime_for(READ, "Plate")
    module = nuke_module.build(runtime)
    module.addFilenameFilter(lambda name: module.executeInMainThreadWithResult(str, name))
    assert module.executeInMainThreadWithResult(str.upper, "x") == "X"
    with pytest.raises(FilterFailed, match="executeInMainThread"):
        runtime.callbacks.filtered("x", runtime.opened()[0].root)


def test_init_files_run_in_the_order_of_nuke_path(tmp_path, clean_modules, monkeypatch):
    log: list[str] = []
    monkeypatch.setattr(sys, "standin_log", log, raising=False)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "init.py").write_text(
            "import sys, nuke\nnuke.localization.setMode('off')\n"
            f"sys.standin_log.append('{name} ' + nuke.pluginPath()[-1])\n"
        )
    nuke_module.start(Runtime(), {"NUKE_PATH": f"{tmp_path}/one:{tmp_path}/two:{tmp_path}/one"})
    assert log == [f"one {tmp_path}/one", f"two {tmp_path}/two"]
