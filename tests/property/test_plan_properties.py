"""The plan of any script against what the stand-in opens when it renders it: never less, and where the script can be
told, the same files frame by frame.

Scripts are drawn as programs for the stack machine: each node takes its inputs from any node before it, so graphs
fork and join. The stand-in runs without files: opening one is noted and gives a black picture of eight by eight.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jit_render.render.standin.callbacks import Callbacks
from jit_render.render.standin.engine import Engine, upstream
from jit_render.render.standin.image import COLOUR, Format, Image
from jit_render.render.standin.names import FileNames, FilterTiming
from jit_render.render.standin.reader import Reader
from jit_render.script import Evaluator, Script, parse
from jit_render.script.plan import plan

ROOT = (
    'Root {\n inputs 0\n format "8 8 0 0 8 8 1 tiny"\n first_frame 1\n last_frame 12\n'
    ' views "left #f00\nright #0f0"\n project_directory /show\n}\n'
)
ENVIRONMENT = {"WHICH": "1", "SHOT": "sh010"}
FILES = ("/p/a.####.exr", "/p/b.%V.%04d.exr", "c.%v.####.exr", "/p/still.exr", '"/p/\\[getenv SHOT].%04d.exr"')


@contextmanager
def same_recursion_limit() -> Iterator[None]:
    """The engine raises Python's limit as it needs; hypothesis minds a change in mid-test."""
    before = sys.getrecursionlimit()
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


class Opening(Engine):
    """Notes what is opened, and opens nothing."""

    def __init__(self, script: Script, needed: str) -> None:
        evaluator = Evaluator(script, script_path="/show/comp/shot.nk", environment=ENVIRONMENT)
        names = FileNames(script, evaluator, Callbacks(), FilterTiming.CONCRETE)
        nodes = upstream([script.find(needed)])
        super().__init__(script, evaluator, names, Reader(), views=evaluator.views, needed=nodes)
        self.opened: set[str] = set()

    def pull(self, node, frame, view):
        image = super().pull(node, frame, view)
        return image if image.planes else Image.black(Format(8, 8), COLOUR)  # of no channels no mask is looked at

    def decode(self, path, view, *, transfer, premultiplied):
        self.opened.add(path)
        return Image.black(Format(8, 8), COLOUR)


def opened_by_frame(text: str, frames: list[int], views: list[str]) -> dict[int, set[str]]:
    script = parse(text)
    write = script.find("W")
    opened = {}
    with np.errstate(all="ignore"), same_recursion_limit():
        for frame in frames:
            engine = Opening(script, "W")
            for view in views:
                engine.pull(write.inputs[0], frame, view)
            opened[frame] = engine.opened
    return opened


@dataclass
class Program:
    """A script in the making. Each name in `nodes` can be pushed again as ``$N<name>``."""

    draw: st.DrawFn
    ranged: bool
    """Whether every Read has a range: one without has no end to which its frames could be widened."""
    lines: list[str] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    count: int = 0

    def pick(self, *choices: str) -> str:
        return self.draw(st.sampled_from(choices))

    def number(self, least: int, most: int) -> int:
        return self.draw(st.integers(least, most))

    def node(self, cls: str, knobs: str, inputs: int, masks: int = 0, inside: str = "") -> None:
        self.count += 1
        name = f"n{self.count}"
        sources = [self.pick(*self.nodes) for _ in range(inputs + masks)]
        self.lines += [f"push $N{source}" for source in sources]
        spelled = f"{inputs}+{masks}" if masks else str(inputs)
        disable = self.pick("", "", "", "disable true", "disable {{frame<4}}", 'disable {{"\\[getenv WHICH]"}}')
        self.lines.append(f"{cls} {{\n inputs {spelled}\n {knobs}\n {disable}\n name {name}\n}}{inside}")
        self.lines.append(f"set N{name} [stack 0]")
        self.nodes.append(name)

    def read(self) -> None:
        spans = ("first 1 last 9", "first 3 last 6 before black", "first 2 last 5 after loop before bounce")
        modes = ("", "", "frame_mode offset frame 2", 'frame_mode "start at" frame 4', "frame frame+1")
        span = self.pick(*spans, *([] if self.ranged else [""]))
        mode = self.pick(*modes)
        self.node("Read", f"file {self.pick(*FILES)}\n {span} {mode} on_error {self.pick('error', 'black')}", 0)

    def combine(self) -> None:
        kind = self.pick("Merge2", "Switch", "Dissolve", "AppendClip", "JoinViews", "ContactSheet", "Keymix")
        which = self.pick("which 1", "which 0", "which {{frame>3}}", "which 0.5", 'which {{"\\[getenv WHICH]"}}')
        if kind == "Merge2":
            self.node(kind, "", 2, self.number(0, 1))
        elif kind == "Keymix":
            self.node(kind, "", 2, 1)
        elif kind == "ContactSheet":
            self.node(kind, "width 8 height 8 rows 2 columns 2", 2)
        else:
            knobs = {"AppendClip": self.pick("", "dissolve 2", "firstFrame 3"), "JoinViews": ""}.get(kind, which)
            self.node(kind, knobs, self.number(1, 3))

    def alter(self) -> None:
        kind = self.pick("Blur", "Grade", "TimeOffset", "FrameHold", "Retime", "FrameBlend", "TimeBlur", "OneView")
        knobs = {
            "TimeOffset": ("time_offset 2", "time_offset {{frame-5}}", "reverse_input true", "time_offset 0.5"),
            "FrameHold": ("first_frame 3", "firstFrame 2 increment 2", "first_frame {{frame/2}}"),
            "Retime": ("speed 2", "speed 0.5 after black", "reverse true", "input.first 2 input.last 6 before loop"),
            "FrameBlend": ("numframes 3", "userange true startframe 2 endframe 4", "numframes 2 channels rgb"),
            "TimeBlur": ("divisions 3 shutter 1.5", "divisions 2 shutter 1 shutteroffset centred"),
            "Blur": ("size 2",),  # without effect the stand-in does not look at the mask
            "Grade": ("white 2",),
            "OneView": ("view left", "view 2", "view right"),
        }.get(kind, ("",))
        self.node(kind, self.pick(*knobs), 1, self.number(0, 1) if kind in {"Blur", "Grade"} else 0)

    def group(self) -> None:
        still = self.pick("", "TimeOffset {\n time_offset -1\n name T\n}\n", "Blur {\n disable {{parent.disable}}\n}\n")
        body = "\nInput {\n inputs 0\n name In\n}\n" + still
        if self.pick("plain", "with a read") == "with a read":
            body += (
                "Read {\n inputs 0\n file /p/inner.####.exr\n first 1\n last 9\n name R\n}\nMerge2 {\n inputs 2\n}\n"
            )
        self.node("Group", "", 1, inside=f"{body}Output {{\n name Out\n}}\nend_group")

    def clone(self) -> None:
        self.count += 1
        name = f"n{self.count}"
        self.lines.append(f"push $N{self.pick(*self.nodes)}")
        self.lines.append(
            f"clone $Nshared {{\n {self.pick('', 'disable true', 'time_offset 1')}\n}}\nset N{name} [stack 0]"
        )
        self.nodes.append(name)


@st.composite
def programs(draw: st.DrawFn, *, ranged: bool = False) -> str:
    program = Program(draw, ranged)
    program.read()
    program.lines.append("TimeOffset {\n time_offset -1\n name Shared\n}\nset Nshared [stack 0]")
    for _ in range(program.number(1, 10)):
        step = program.pick("read", "combine", "combine", "alter", "alter", "group", "clone")
        getattr(program, step)()
    program.lines.append("Write {\n file /out/w.%V.####.exr\n name W\n}")
    return ROOT + "\n".join(program.lines) + "\n"


FRAMES = st.lists(st.integers(-2, 14), min_size=1, max_size=4, unique=True)
VIEWS = st.sampled_from([["left"], ["right"], ["left", "right"]])


@given(programs(), FRAMES, VIEWS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_script_that_can_be_told_is_planned_to_the_file(text: str, frames: list[int], views: list[str]) -> None:
    planned = plan(parse(text), frames=frames, views=views, script_path="/show/comp/shot.nk", environment=ENVIRONMENT)
    assert planned.undecided == ()
    assert all(read.certain for read in planned.reads)
    assert {frame: {file.name for file in planned.files(frame)} for frame in frames} == opened_by_frame(
        text, frames, views
    )


@given(programs(ranged=True), FRAMES, VIEWS)
@settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_cannot_be_told_is_planned_widely(text: str, frames: list[int], views: list[str]) -> None:
    known = {"SHOT": ENVIRONMENT["SHOT"]}
    planned = plan(parse(text), frames=frames, views=views, script_path="/show/comp/shot.nk", environment=known)
    opened = opened_by_frame(text, frames, views)
    for frame in frames:
        assert opened[frame] <= {file.name for file in planned.files(frame)}
