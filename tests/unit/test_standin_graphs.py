"""Graphs that are deep, and pictures that lie far away."""

from __future__ import annotations

import numpy as np
import pytest
from standin_kit import constant, engine_for, pull, value

from jit_render.model.errors import RenderError
from jit_render.render.standin.dependencies import file_dependencies
from jit_render.render.standin.image import Box
from jit_render.render.standin.writer import WriteOptions, write
from jit_render.script.timing import frame_range, pulls

DEEP = 5_000
LINKS = (
    "Add {\n value {0.001 0 0 0}\n}\n",
    "Transform {\n translate {1 0}\n}\nTransform {\n translate {-1 0}\n}\n",
    "Merge2 {\n inputs 1\n operation plus\n}\n",
    "TimeOffset {\n time_offset 1\n}\nTimeOffset {\n time_offset -1\n}\n",
    "Blur {\n size 0\n}\n",
)


def test_a_chain_of_thousands_of_nodes_is_rendered_and_asked_for_its_files_and_range():
    text = "Read {\n inputs 0\n file /show/a.####.exr\n first 1\n last 9\n name R\n}\n"
    text += constant("0 0 0 1", "C") + "Switch {\n inputs 2\n which {{frame>5}}\n}\n"
    links = DEEP // 7 + 1  # the five links hold seven nodes
    text += "".join(LINKS) * links + "TimeOffset {\n reverse_input true\n name N\n}\n"
    engine = engine_for(text, "N")
    node = engine.script.find("N")
    assert len(engine.script.nodes) > DEEP
    with np.errstate(all="ignore"):
        image = engine.pull(node, 9, "main")
    assert value(image, "rgba.red") == pytest.approx(0.001 * links, rel=1e-3)
    assert frame_range((node,), engine.evaluator, 1, "main") == (1, 9)
    assert pulls(node, engine.evaluator, 2, "main")[0].frame == 8
    assert [names for _, names in file_dependencies(engine, node, 2, 2)] == [["/show/a.0008.exr"]]


FAR = constant("1 0.5 0.25 1", "C") + "Transform {\n translate {5000 -3000}\n name Away\n}\n"


def test_a_picture_that_is_moved_far_away_comes_back_whole():
    assert pull(FAR, "Away").box == Box(5000, -3000, 5016, -2992)
    for back in (" translate {-5000 3000}\n", " translate {-5000.5 3000}\n", " translate {-5000 3000}\n rotate 180\n"):
        centre = "5008 -2996" if "rotate" in back else "0 0"
        image = pull(FAR + f"Transform {{\n{back} center {{{centre}}}\n name N\n}}\n", "N")
        assert value(image, "rgba.green", 5, 3) == pytest.approx(0.5, abs=1e-4)


def test_a_picture_scaled_to_an_absurd_size_is_kept_near_the_format():
    image = pull(constant("1 0.5 0.25 1", "C") + "Transform {\n scale 100000\n name N\n}\n", "N")
    assert image.box == Box(-16, -8, 32, 16)
    assert value(image, "rgba.green", 5, 3) == pytest.approx(0.5)


def test_the_union_of_pictures_miles_apart_is_kept_near_the_format():
    text = constant("1 1 1 1", "C") + "Transform {\n translate {1000000000 1000000000}\n}\n" + constant("0 1 0 1", "B")
    image = pull(text + "Merge2 {\n inputs 2\n name N\n}\n", "N")
    assert image.box == Box(0, 0, 32, 16)
    assert value(image, "rgba.green", 5, 3) == 1


def test_a_move_to_infinity_is_refused_by_node():
    with pytest.raises(RenderError, match=r"Transform N \(line \d+\): its numbers come to no finite place"):
        pull(constant("1 1 1 1", "C") + "Transform {\n translate {{1e999} 0}\n name N\n}\n", "N")


STEREO = 'Root {\n format "16 8 0 0 16 8 1 tiny"\n views "left #ff0000\nright #00ff00"\n}\n'
JOINED = constant("2 0 0 0", "Right") + constant("1 0 0 0", "Left") + "JoinViews {\n inputs 2\n name J\n}\n"


def both(text: str, node: str):
    """The node's picture in both views, rendered by one engine for one frame."""
    engine = engine_for(STEREO + text, node)
    return tuple(engine.pull(engine.script.find(node), 1, view) for view in ("left", "right"))


def test_what_is_the_same_in_all_views_is_rendered_once_for_a_frame():
    left, right = both(constant("1 0 0 0", "C") + "Blur {\n size 3\n name N\n}\n", "N")
    assert left is right
    still = constant("1 0 0 0", "C") + "Blur {\n size 3\n name Still\n}\nset S [stack 0]\n"
    engine = engine_for(STEREO + still + JOINED + "push $S\nMerge2 {\n inputs 2\n operation plus\n name N\n}\n", "N")
    node, blur = engine.script.find("N"), engine.script.find("Still")
    left = engine.pull(node, 1, "left")
    kept = engine.pull(blur, 1, "right")
    shown = [value(image, "rgba.red", 8, 4) for image in (left, engine.pull(node, 1, "right"))]
    assert shown == pytest.approx([2, 3], abs=0.01)
    assert engine.pull(blur, 1, "left") is kept
    engine.forget()
    assert engine.pull(blur, 1, "left") is not kept


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (JOINED + "Add {\n value 0.5\n name N\n}\n", [1.5, 2.5]),
        (JOINED + "OneView {\n view right\n}\nAdd {\n value 0.5\n name N\n}\n", [2.5, 2.5]),
        (constant("1 0 0 0", "C") + "Multiply {\n value {(default 1 right 3)}\n name N\n}\n", [1, 3]),
        (
            "NoOp {\n inputs 0\n addUserKnob {7 gain}\n gain {(default 1 right 3)}\n name Controls\n}\n"
            + constant("1 0 0 0", "C") + "Multiply {\n value {{Controls.gain}}\n name N\n}\n",
            [1, 3],
        ),
        (constant("1 0 0 0", "C") + "Multiply {\n value 5\n disable {(default 1 right 0)}\n name N\n}\n", [1, 5]),
    ],
)  # fmt: skip
def test_views_that_differ_are_rendered_apart(text, expected):
    assert [value(image, "rgba.red") for image in both(text, "N")] == pytest.approx(expected)


@pytest.mark.parametrize("name", ["in.%V.exr", "in.%v.exr", "stereo.exr"])
def test_files_of_each_view_are_read_apart(tmp_path, name):
    images = {}
    for level, view in ((1.0, "left"), (2.0, "right")):
        images[view] = pull(constant(f"{level} 0 0 0", "C"), "C")
        write(str(tmp_path / f"in.{view}.exr"), {view: images[view]}, images[view].names, WriteOptions("exr"))
        (tmp_path / f"in.{view[0]}.exr").write_bytes((tmp_path / f"in.{view}.exr").read_bytes())
    write(str(tmp_path / "stereo.exr"), images, images["left"].names, WriteOptions("exr"))
    shown = both(f"Read {{\n inputs 0\n file {tmp_path}/{name}\n name R\n}}\nAdd {{\n value 0\n name N\n}}\n", "N")
    assert [value(image, "rgba.red") for image in shown] == [1, 2]
