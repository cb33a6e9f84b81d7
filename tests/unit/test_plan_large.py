"""A plan for five thousand nodes: how much it asks and holds. Seconds, and a thousand frames, are the benchmark's."""

from __future__ import annotations

import tracemalloc

import pytest

from benchmarks.large_script import large_script
from jit_render.script import Evaluator, parse
from jit_render.script.plan import plan

FRAMES = range(1001, 2001)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The knobs whose numbers were told."""
    knobs: list[str] = []
    number = Evaluator.number

    def counted(self, node, knob, **options):
        knobs.append(knob)
        return number(self, node, knob, **options)

    monkeypatch.setattr(Evaluator, "number", counted)
    return knobs


def test_nodes_that_do_not_touch_time_are_not_asked_frame_by_frame(asked: list[str]) -> None:
    script, frames = parse(large_script()), FRAMES[::20]
    tracemalloc.start()
    try:
        done = plan(script, frames=frames, script_path="/show/a.nk", environment={})
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    moving = sum(node.cls in {"Switch", "Retime", "TimeWarp", "FrameHold"} for node in script.nodes)
    assert len(script.nodes) > 5_000
    assert len({read.node for read in done.reads}) == 50
    assert len(asked) < 4 * moving * len(frames)  # of two views; a chain is as cheap as its moving nodes
    assert held < 25 << 20


def test_a_chain_of_any_length_takes_no_recursion() -> None:
    chain = "".join(f"Blur {{\n name B{number}\n}}\n" for number in range(20_000))
    text = f"Read {{\n inputs 0\n file /p/a.####.exr\n}}\n{chain}Write {{\n file /o/w.####.exr\n}}\n"
    done = plan(parse(text), frames=FRAMES, script_path="", environment={})
    assert done.reads[0].wanted[1500] == (1500,)


def test_a_file_that_may_be_read_whole_is_held_once(asked: list[str]) -> None:
    text = (
        "Read {\n inputs 0\n file /p/a.####.exr\n first 1001\n last 2000\n}\nKronos {\n}\nBlur {\n}\n"
        "Write {\n file /o/w.####.exr\n}\n"
    )
    (read,) = plan(parse(text), frames=FRAMES, script_path="", environment={}).reads
    assert len({id(frames) for frames in read.wanted.values()}) == 1
    assert len(read.wanted[1001]) == 1000
    assert len(asked) < 50
