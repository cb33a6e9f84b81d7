"""Operations by name, with errors that say what to write instead."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import preprocess.operations as registry
from jit_render.model.errors import ConfigError
from preprocess.image import Image
from preprocess.operations import kinds, operation_from, schema
from preprocess.operations.port import AssetUse, Context, Operation
from preprocess.operations.streaming import StreamingOperation


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "an operation needs a kind; known: black_level,"),
        ({"kind": "undistrot"}, "there is no operation 'undistrot'; did you mean 'undistort'?"),
        ({"kind": "zzz"}, "there is no operation 'zzz'; known: black_level,"),
        ({"kind": "resize", "widht": 10}, "(resize): no parameter 'widht'; did you mean 'width'?"),
        ({"kind": "black_level"}, "(black_level): parameter 'black' is missing; write black = …"),
        ({"kind": "denoise", "sigma": "soft"}, "(denoise): sigma: input should be a valid number"),
        ({"kind": "denoise", "sigma": float("nan")}, "(denoise): sigma: input should be a finite number"),
        ({"kind": "black_level", "black": 0.5, "white": 0.5}, "white 0.5 is not above black 0.5; raise white"),
        ({"kind": "resize"}, "give either scale, or width and height"),
        ({"kind": "homography", "matrix": [[1, 0, 0], [2, 0, 0], [0, 0, 1]]}, "matrix cannot be inverted"),
        ({"kind": "linearise", "curve": "table"}, "curve table wants either table"),
        ({"kind": "undistort", "cameras": {"A001": {"fx": 1, "fy": 0, "cx": 0, "cy": 0}}}, "cameras.A001.fy: input"),
        ({"kind": "channels", "keep": ["A", "A"]}, "two channels would be called 'A'; set names"),
    ],
)
def test_a_wrong_table_is_told_in_one_line(table, message):
    with pytest.raises(ConfigError) as caught:
        operation_from(table, place="stage 'align', operation 2")
    told = str(caught.value)
    assert told.startswith("stage 'align', operation 2")
    assert message in told
    assert "\n" not in told


def test_the_schema_has_a_variant_for_each_kind():
    variants = {variant["properties"]["kind"]["const"]: variant for variant in schema()["oneOf"]}
    assert set(variants) == set(kinds())
    assert variants["resize"]["properties"]["filter"]["enum"] == ["box", "triangle", "cubic", "lanczos3"]
    assert variants["resize"]["additionalProperties"] is False


def test_the_documentation_lists_each_operation_and_how_it_works():
    text = (Path(__file__).parents[2] / "docs/PREPROCESS.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (yes|no|asks for its rows.*) \|$", text, re.MULTILINE))
    assert set(rows) == set(registry.BUILT_IN)
    for kind, said in rows.items():
        operation = registry.operation_class(kind)
        if issubclass(operation, StreamingOperation):
            either = isinstance(operation.tileable, property)
            assert said == ("asks for its rows; yes with `reach`" if either else "asks for its rows"), kind
        else:
            assert said == ("yes" if operation.tileable else "no"), kind


class Glow(Operation):
    kind: ClassVar[str] = "glow"
    strength: float = 1.0

    def apply(self, image: Image, context: Context) -> Image:
        return image.with_pixels(image.pixels + np.float32(self.strength))


def _installed(monkeypatch, **entries: str) -> None:
    found = {name: EntryPoint(name, value, registry.GROUP) for name, value in entries.items()}
    monkeypatch.setattr(registry, "_third_party", lambda: found)


def test_other_packages_bring_their_own_operations(monkeypatch):
    _installed(monkeypatch, glow=f"{__name__}:Glow")
    monkeypatch.setitem(__import__("sys").modules, __name__, __import__("types").SimpleNamespace(Glow=Glow))
    made = operation_from({"kind": "glow", "strength": 2})
    assert made.apply(Image.of(np.zeros((1, 1))), Context()).pixels[0, 0, 0] == 2
    assert "glow" in {variant["properties"]["kind"]["const"] for variant in schema()["oneOf"]}


@pytest.mark.parametrize(
    ("value", "message"),
    [("no_such_module_here:X", "cannot be imported"), ("json:loads", "is no subclass of preprocess")],
)
def test_a_broken_package_is_named(monkeypatch, value, message):
    _installed(monkeypatch, glow=value)
    with pytest.raises(ConfigError, match=message):
        operation_from({"kind": "glow"})


def test_side_inputs_are_told_with_their_form():
    assert operation_from({"kind": "flat_field", "flat": "gs://s/%V.exr"}).assets() == {
        "flat": AssetUse("image", "gs://s/%V.exr")
    }
    assert operation_from({"kind": "ocio", "source": "raw", "config": "/c.ocio"}).assets() == {
        "config": AssetUse("file", "/c.ocio")
    }


def test_equal_operations_are_one_key_also_with_a_table_of_cameras():
    table = {"kind": "colour_matrix", "cameras": {"A001": [[1, 0, 0], [0, 1, 0], [0, 0, 2]]}}
    assert len({operation_from(table), operation_from(table), operation_from({"kind": "colour_matrix"})}) == 2


def test_identities_hold_every_parameter_and_the_formulas_version():
    small, large = (operation_from({"kind": "resize", "width": width}).identity() for width in (10, 20))
    assert small["kind"] == "resize"
    assert small["version"] == 1
    assert small != large
