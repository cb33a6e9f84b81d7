"""What runs inside Nuke, executed as Nuke does it, by every Python that a Nuke may have inside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import fake_nuke
import pytest
from fake_agent import Agent

import nuke_callbacks
from nuke_callbacks import wire

INIT = Path(nuke_callbacks.__file__).with_name("init.py")
VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13")

INSIDE_NUKE = r"""
import importlib.util, json, os, sys

spec = importlib.util.spec_from_file_location("fake_nuke", sys.argv[1])
fake_nuke = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fake_nuke)
init, manner = sys.argv[2], sys.argv[3]

read = fake_nuke.Node("Read", "Read1", file="/mnt/show/plates/a.%04d.exr", on_error="error")
write = fake_nuke.Node("Write", "Write1", lambda frame: [[read, ["/mnt/show/plates/a.%04d.exr" % frame]]],
                       file="/mnt/show/out/o.%04d.exr", views="main")
nuke = sys.modules["nuke"] = fake_nuke.Nuke(read, write, last_frame=2)
nuke.folders = ["/nowhere", os.path.dirname(init)]
folders = list(sys.path)
with open(init) as file:
    source = file.read()
for _ in range(2):
    given = {"__file__": init} if manner == "with __file__" else {}
    exec(compile(source, "<string>" if manner == "by the plug-in path" else init, "exec"), given)

def draw(node, frame):
    with open(nuke.open("/mnt/show/plates/a.%04d.exr" % frame), "rb") as plate:
        pixels = plate.read()
    with open(nuke.open("/mnt/show/out/o.%04d.exr" % frame), "wb") as output:
        output.write(b"graded " + pixels)

lut = nuke.open("/mnt/show/grade.cube") if nuke.filters else ""
if nuke.filters:
    nuke.render([write], [1, 2], draw)
print(json.dumps({
    "version": "%d.%d" % sys.version_info[:2],
    "filters": len(nuke.filters),
    "before": len(nuke.callbacks["before_frame"]),
    "path_kept": sys.path == folders,
    "runtime": sorted(name for name in sys.modules if name.startswith("jit_render")),
    "lut": lut,
}))
"""


@cache
def interpreter(version):
    """A Python of that version: on the PATH, or among pyenv's."""
    candidates = [shutil.which(f"python{version}")]
    pyenv = shutil.which("pyenv")
    if pyenv:
        root = Path(subprocess.run([pyenv, "root"], capture_output=True, text=True).stdout.strip())
        candidates += sorted(root.glob(f"versions/{version}.*/bin/python"))
    for candidate in candidates:
        if candidate and _version(candidate) == version:
            return str(candidate)
    return pytest.skip(f"this machine has no Python {version}")


def _version(executable):
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    asked = subprocess.run([str(executable), "-I", "-c", code], capture_output=True, text=True)
    return asked.stdout.strip()


@pytest.fixture
def agent():
    with tempfile.TemporaryDirectory() as folder:
        bucket = {"/plates/a.0001.exr": b"one", "/plates/a.0002.exr": b"two", "/grade.cube": b"lut"}
        running = Agent(Path(folder) / "agent.sock", Path(folder) / "view", bucket=bucket).start()
        yield running
        running.kill()


def run_inside(version, manner, **variables):
    environ = {"PATH": os.environ["PATH"], **variables}
    command = [interpreter(version), "-I", "-c", INSIDE_NUKE, fake_nuke.__file__, str(INIT), manner]
    return subprocess.run(command, env=environ, capture_output=True, text=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_shot_renders_in_every_python(agent, version):
    ran = run_inside(
        version, "with __file__", **{wire.SOCKET_VARIABLE: agent.socket_path, wire.JOB_VARIABLE: "gs://state/jobs/j"}
    )

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "version": version,
        "filters": 1,
        "before": 4,
        "path_kept": True,
        "runtime": [],
        "lut": agent.view + "/show/grade.cube",
    }
    assert agent.bucket["/out/o.0001.exr"] == b"graded one"
    assert agent.bucket["/out/o.0002.exr"] == b"graded two"
    assert agent.said("hello")[0]["job"] == "gs://state/jobs/j"


@pytest.mark.parametrize("manner", ["without __file__", "by the plug-in path"])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_folder_is_found_however_nuke_executes_the_file(agent, version, manner):
    ran = run_inside(version, manner, **{wire.SOCKET_VARIABLE: agent.socket_path})

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["filters"] == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_on_an_artists_desk_nothing_is_registered(version):
    ran = run_inside(version, "with __file__")

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["filters"] == 0


def test_a_missing_plate_reaches_the_worker_as_one_marked_line(agent):
    del agent.bucket["/plates/a.0002.exr"]

    ran = run_inside("3.11", "with __file__", **{wire.SOCKET_VARIABLE: agent.socket_path})

    assert ran.returncode == 1
    (line,) = [line for line in ran.stderr.splitlines() if line.startswith(wire.ABSENT_MARK)]
    told = json.loads(line[len(wire.ABSENT_MARK) :])
    assert told["missing"] == [["Read1", "file", 2, "gs://show/plates/a.0002.exr"]]
    assert agent.bucket["/out/o.0001.exr"] == b"graded one"
