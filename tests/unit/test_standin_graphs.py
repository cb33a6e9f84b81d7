"""Graphs that are deep, and pictures that lie far away."""

from __future__ import annotations

import numpy as np
import pytest
from standin_kit import constant, engine_for, pull, value

from jit_render.model.errors import RenderError
from jit_render.render.standin.dependencies import file_dependencies
from jit_render.render.standin.image import Box
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
