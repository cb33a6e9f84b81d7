"""A small executable that behaves like Nuke's command line, for tests of everything around it.

``install(folder)`` makes ``<folder>/Nuke15.1v3/Nuke15.1``. It takes Nuke's flags, reads the script with this project's
reader, runs the ``init.py`` of each NUKE_PATH folder against a `nuke` module of its own, and renders: every Write
makes, of every frame, a tiny valid EXR whose pixels are the checksum of all Read files of that frame. So two
renders are equal exactly when they read the same bytes.

The variable FAKE_NUKE holds words that make it misbehave, each at a frame (``crash@1003``) or before the first::

    licence    exit 100, as without a licence        crash   die of SIGSEGV           oom    die of SIGKILL
    error      exit 1 after an ERROR line            skip    leave the frame out      hang   wait for ever
    partial    write half a file, then die           slow=S  S seconds a frame        child  leave a child behind
    once=FILE  misbehave only while FILE is missing (and make it)
"""

from __future__ import annotations

import argparse
import os
import runpy
import signal
import struct
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jit_render.model.frames import FrameSet, expand
from jit_render.script import Evaluator, Node, Script, parse, script_views
from jit_render.store.crc import Crc32c

WIDTH, HEIGHT = 8, 4


def install(folder: Path, version: str = "15.1v3") -> Path:
    """Put a Nuke of that version below `folder`; its executable."""
    home = folder / f"Nuke{version}"
    home.mkdir(parents=True)
    executable = home / f"Nuke{version.partition('v')[0]}"
    package = Path(__file__).resolve().parents[2]
    executable.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(package)!r})\n"
        "from jit_render.testing.fake_nuke import main\nsys.exit(main())\n"
    )
    executable.chmod(0o755)
    return executable


def tiny_exr(value: int) -> bytes:
    """A whole, uncompressed EXR of one FLOAT channel; every pixel is `value` modulo 65536."""

    def attribute(name: str, kind: str, data: bytes) -> bytes:
        return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(data)) + data

    window = struct.pack("<4i", 0, 0, WIDTH - 1, HEIGHT - 1)
    head = struct.pack("<2i", 20000630, 2) + b"".join(
        [
            attribute("channels", "chlist", b"Y\0" + struct.pack("<iB3x2i", 2, 0, 1, 1) + b"\0"),
            attribute("compression", "compression", b"\0"),
            attribute("dataWindow", "box2i", window),
            attribute("displayWindow", "box2i", window),
            attribute("lineOrder", "lineOrder", b"\0"),
            attribute("pixelAspectRatio", "float", struct.pack("<f", 1)),
            attribute("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0)),
            attribute("screenWindowWidth", "float", struct.pack("<f", 1)),
            b"\0",
        ]
    )
    row = struct.pack(f"<{WIDTH}f", *[float(value % 65536)] * WIDTH)
    chunks = [struct.pack("<2i", y, len(row)) + row for y in range(HEIGHT)]
    first = len(head) + 8 * HEIGHT
    offsets = struct.pack(f"<{HEIGHT}Q", *(first + y * len(chunks[0]) for y in range(HEIGHT)))
    return head + offsets + b"".join(chunks)


class _Knob:
    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def Class(self) -> str:  # noqa: N802 - Nuke's name
        return "File_Knob" if self._name in {"file", "proxy"} else "Knob"

    def value(self) -> str:
        return self._value


class _Node:
    """A node as `nuke` shows it."""

    def __init__(self, nuke: FakeNuke, node: Node) -> None:
        self._nuke, self.node = nuke, node

    def Class(self) -> str:  # noqa: N802 - Nuke's name
        return self.node.cls

    def fullName(self) -> str:  # noqa: N802 - Nuke's name
        return self.node.full_name

    def knobs(self) -> dict[str, _Knob]:
        return {name: _Knob(name, str(value)) for name, value in self.node.knobs.items()}

    def knob(self, name: str) -> _Knob | None:
        return self.knobs().get(name)

    def fileDependencies(self, start: int, end: int) -> list[list[Any]]:  # noqa: N802 - Nuke's name
        reads = self._nuke.script.of_class("Read")
        frames = range(start, end + 1)
        return [[_Node(self._nuke, read), self._nuke.names(read, frame)] for read in reads for frame in frames]


class FakeNuke(types.ModuleType):
    """The `nuke` module."""

    REPLACE = 1

    def __init__(self, script: Script, path: str, views: tuple[str, ...]) -> None:
        super().__init__("nuke")
        self.script = script
        self._views = views
        self._evaluator = Evaluator(script, script_path=path, environment=dict(os.environ))
        self._frame = 0
        self._this: Node | None = None
        self._filters: list[Callable[[str], str | None]] = []
        self._callbacks: dict[tuple[str, str], list[Callable[[], None]]] = {}
        for moment in ("BeforeRender", "BeforeFrameRender", "AfterFrameRender", "AfterRender"):
            setattr(self, f"add{moment}", self._adder(moment))

    def _adder(self, moment: str) -> Callable[..., None]:
        def add(call: Callable[[], None], nodeClass: str = "Write") -> None:  # noqa: N803 - Nuke's name
            self._callbacks.setdefault((moment, nodeClass), []).append(call)

        return add

    def addFilenameFilter(self, call: Callable[[str], str | None], nodeClass: str = "*") -> None:  # noqa: ARG002, N802, N803 - ours are all "*"
        self._filters.insert(0, call)

    def filtered(self, name: str) -> str:
        for each in self._filters:
            name = each(name) or name
        return name

    def at(self, node: Node, frame: int, moment: str) -> None:
        self._this, self._frame = node, frame
        for call in self._callbacks.get((moment, node.cls), []):
            call()

    def names(self, node: Node, frame: int) -> list[str]:
        pattern = self._evaluator.path(node, "file", frame=frame)
        return list(dict.fromkeys(expand(pattern, frame, view) for view in self._views))

    def pluginPath(self) -> list[str]:  # noqa: N802 - Nuke's name
        return [folder for folder in os.environ.get("NUKE_PATH", "").split(os.pathsep) if folder]

    def thisNode(self) -> _Node:  # noqa: N802 - Nuke's name
        assert self._this is not None
        return _Node(self, self._this)

    def root(self) -> _Node:
        return _Node(self, self.script.root)

    def allNodes(self, cls: str = "", **_: Any) -> list[_Node]:  # noqa: N802 - Nuke's name
        return [_Node(self, node) for node in (self.script.of_class(cls) if cls else self.script.nodes)]

    def frame(self) -> int:
        return self._frame

    def views(self) -> list[str]:
        return list(self._views)

    def filename(self, node: _Node, how: int = 0) -> str | None:
        pattern = self._evaluator.path(node.node, "file", frame=self._frame)
        return expand(pattern, self._frame) if how == self.REPLACE else pattern


class Mischief:
    """What FAKE_NUKE asks for."""

    def __init__(self, text: str) -> None:
        words = text.split()
        given = dict(word.split("=", 1) for word in words if "=" in word)
        self.seconds = float(given.get("slow", 0))
        once = Path(given["once"]) if "once" in given else None
        harmless = once is not None and once.exists()
        self._words = set() if harmless else {word for word in words if "=" not in word}
        self._once = once

    def asks(self, what: str, frame: int | None = None) -> bool:
        asked = (what if frame is None else f"{what}@{frame}") in self._words
        if asked and self._once is not None:
            self._once.touch()
        return asked

    def act(self, frame: int | None) -> None:
        """Misbehave where that is due."""
        if self.asks("child", frame):
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        if self.asks("licence", frame):
            say("FOUNDRY LICENSE ERROR REPORT: no licenses available")
            sys.exit(100)
        if self.asks("error", frame):
            say("ERROR: Blur1: the pixels are on strike")
            sys.exit(1)
        for word, number in (("crash", signal.SIGSEGV), ("oom", signal.SIGKILL)):
            if self.asks(word, frame):
                os.kill(os.getpid(), number)
        if self.asks("hang", frame):
            wait_for_ever()


def wait_for_ever() -> None:
    while True:
        time.sleep(3600)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    mischief = Mischief(os.environ.get("FAKE_NUKE", ""))
    say("Nuke 15.1v3, 64 bit, a fake. An error in this line means nothing.")
    mischief.act(None)
    path = Path(given.script)
    script = parse(path.read_bytes(), name=path.name)
    views = tuple(given.view.split(",")) if given.view else script_views(script)
    nuke = FakeNuke(script, str(path), views)
    sys.modules["nuke"] = nuke
    frames = [frame for part in given.F for frame in FrameSet.parse(part)]
    try:
        for folder in reversed(nuke.pluginPath()):
            if (Path(folder) / "init.py").is_file():
                runpy.run_path(str(Path(folder) / "init.py"))
        _render(nuke, _writes(script, given.X), frames, mischief)
    except Exception as error:
        say(f"ERROR: {error}")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prefix_chars="-", allow_abbrev=False)
    for flag in ("-x", "-p", "-f", "--sro"):
        parser.add_argument(flag, action="store_true")
    for flag in ("-X", "-m", "-c", "-V", "--view"):
        parser.add_argument(flag, default="")
    parser.add_argument("-F", action="append", default=[])
    parser.add_argument("script")
    return parser


def _writes(script: Script, names: str) -> list[Node]:
    if names:
        return [script.find(name) for name in names.split(",")]
    return [node for node in script.of_class("Write") if node.knobs.get("disable") != "true"]


def _render(nuke: FakeNuke, writes: list[Node], frames: list[int], mischief: Mischief) -> None:
    for number, frame in enumerate(frames, 1):
        say(f"Frame {frame} ({number} of {len(frames)})")
        mischief.act(frame)
        if mischief.asks("skip", frame):
            continue
        for write in writes:
            nuke.at(write, frame, "BeforeFrameRender")
            time.sleep(mischief.seconds)
            data = tiny_exr(_checksum(nuke, frame))
            for name in nuke.names(write, frame):
                _write(Path(nuke.filtered(name)), data, partial=mischief.asks("partial", frame))
            nuke.at(write, frame, "AfterFrameRender")
    for write in writes:
        nuke.at(write, frames[-1], "AfterRender")


def _checksum(nuke: FakeNuke, frame: int) -> int:
    """Of what all Reads read at this frame; raises for a file that cannot be read, unless `on_error` forgives it."""
    total = Crc32c()
    for read in nuke.script.of_class("Read"):
        for name in nuke.names(read, frame):
            try:
                total.update(memoryview(Path(nuke.filtered(name)).read_bytes()))
            except OSError as error:
                if read.knobs.get("on_error", "error") != "error":
                    continue
                raise RuntimeError(f"{read.full_name}: {name}: {error.strerror}") from None
    return total.value ^ frame


def _write(path: Path, data: bytes, *, partial: bool) -> None:
    began = time.monotonic()
    path.write_bytes(data[: len(data) // 2] if partial else data)
    if partial:
        os.kill(os.getpid(), signal.SIGKILL)
    say(f"Writing {path} took {time.monotonic() - began:.2f} seconds")


if __name__ == "__main__":
    sys.exit(main())
