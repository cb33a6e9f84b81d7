"""The pipeline file: what it may say, and what is said where it is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from preprocess_kit import Around, Column, Doubled, Halved, Shoot

from jit_render.model.errors import ConfigError, UsageError
from jit_render.model.identity import ObjectUrl
from jit_render.model.pathmap import PathMap
from preprocess.explaining import Frame, explanation, explanation_lines
from preprocess.image import Window
from preprocess.memory import estimate
from preprocess.names import locate, mapped_name, rules_for
from preprocess.operations import operation_from
from preprocess.passes import ROOT, Tree, recipe
from preprocess.pipeline import rewrite_placeholders
from preprocess.pipeline_file import parse_pipeline
from preprocess.schema import pipeline_schema
from preprocess.source import Layout
from preprocess.submission import cameras_of, expand_cameras

GOOD = """
name = "grade"
[source]
file = "gs://show/raw/%V/%V.####.exr"
[[stages]]
name = "calibrate"
operations = [{ kind = "black_level", black = 0.1 }]
[[outputs]]
name = "full"
file = "gs://show/out/%V.####.exr"
"""


def test_a_pipeline_is_read_from_toml_and_from_json() -> None:
    pipeline = parse_pipeline(GOOD.encode(), "grade.toml")
    table = {
        "name": "grade",
        "source": {"file": "gs://show/raw/{camera}/{view}.{frame:04}.exr"},
        "stages": [{"name": "calibrate", "operations": [{"kind": "black_level", "black": 0.1}]}],
        "outputs": [{"name": "full", "file": "gs://show/out/%V.%04d.exr"}],
    }
    other = parse_pipeline(json.dumps(table).encode(), "grade.json")
    assert other.source.file == "gs://show/raw/%V/%V.%04d.exr"
    assert other.stages == pipeline.stages


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'name = "full"',
            'name = "full"\ncompresion = "zip"',
            "outputs[0].compresion: there is no such key; did you mean 'compression'?",
        ),
        ("black_level", "black_levle", "there is no operation 'black_levle'; did you mean 'black_level'?"),
        ("black = 0.1", "blak = 0.1", "black"),
        ("out/%V.####.exr", "out/####.exr", "has no %V, so cameras would overwrite each other"),
        ("out/%V.####.exr", "out/%V.exr", "has no frame number; add ####"),
        ("out/%V.####.exr", "out/%V.####.mov", "no writer for .mov files"),
        ('name = "full"', 'name = "full"\nafter = "aligned"', "there is no stage 'aligned'; there are calibrate"),
        ('name = "full"', 'name = "full"\ntype = "uint8"', ".exr holds half, float, not uint8"),
        ('name = "full"', 'name = "full"\nmipmap = true', "set tile, like tile = 64"),
        ('name = "full"', 'name = "../full"', "outputs[0].name"),
        ("[[outputs]]", "[[outputs]", "grade.toml is no TOML"),
    ],
)
def test_what_is_wrong_is_said_with_file_key_and_way_out(old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_pipeline(GOOD.replace(old, new, 1).encode(), "grade.toml")
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_another_extension_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.toml, \.yaml or \.json, not in \.ini"):
        parse_pipeline(b"", "grade.ini")


GOOD_YAML = """
name: grade
source:
    file: gs://show/raw/%V/%V.####.exr
    cameras: [A001, 'on', 2026-01-01, 12-30]
stages:
    - name: calibrate
      operations:
          - {kind: black_level, black: 1e-1}
outputs:
    - name: full
      file: gs://show/out/%V.####.exr
      mipmap: false
"""


def test_yaml_means_what_toml_means_and_text_stays_text() -> None:
    pipeline = parse_pipeline(GOOD_YAML.encode(), "grade.yaml")
    assert pipeline.stages == parse_pipeline(GOOD.encode(), "grade.toml").stages
    assert pipeline.source.cameras == ("A001", "on", "2026-01-01", "12-30")
    assert parse_pipeline(GOOD_YAML.encode(), "grade.yml") == pipeline


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: full", "name: no", "a bare no is a truth to some and text to others; write true or false, or 'no'"),
        ("mipmap: false", "mipmap: off", "(at line 13, column 15)"),
        ("name: full", "name: true", "grade.yaml, line 11: outputs[0].name: Input should be a valid string"),
        ("A001", "001", "grade.yaml, line 5: source.cameras[0]: Input should be a valid string"),
        ("mipmap: false", "name: again", "the key 'name' stands here a second time; keep one of the two (at line 13"),
        ("mipmap: false", "compresion: zip", "line 13: outputs[0].compresion: there is no such key; did you mean"),
        ("black: 1e-1", "blak: 1", "grade.yaml, line 9: stages[0].operations: operation 1 (black_level): parameter"),
        ("black: 1e-1", "black: *a", "an alias (*name) is not taken"),
        ("name: full", "name: !!python/name:os.system x", "tag:yaml.org,2002:python/name:os.system is not taken"),
        ("name: full", "name: [full", "grade.yaml is no YAML"),
        ("name: full", "name: " + "[" * 60, "nested too deeply"),
        ("name: grade", "--- \nname: a\n---\nname: b", "grade.yaml is no YAML"),
    ],
)
def test_what_is_wrong_in_yaml_is_said_with_its_line(old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_pipeline(GOOD_YAML.replace(old, new, 1).encode(), "grade.yaml")
    assert said in str(refusal.value)
    assert str(refusal.value).startswith("grade.yaml")
    assert "\n" not in str(refusal.value)


def test_cameras_count_up_as_they_are_written() -> None:
    assert expand_cameras("A008-A011,B2") == ("A008", "A009", "A010", "A011", "B2")
    assert expand_cameras("left-right") == ("left-right",)
    for wrong in ("A011-A008", "../up", "a/b"):
        with pytest.raises(UsageError):
            expand_cameras(wrong)


def test_a_sequence_with_cameras_asks_for_them() -> None:
    with pytest.raises(UsageError, match="--cameras"):
        cameras_of(parse_pipeline(GOOD.encode(), "grade.toml"), "")


def test_placeholders_of_both_kinds_mean_the_same() -> None:
    assert rewrite_placeholders("{camera}/{view}.{frame:04}.{frame}") == "%V/%V.%04d.%d"


def test_urls_are_names_under_rules_of_the_job() -> None:
    rules = rules_for(["gs://show/raw/%V.####.exr"], ["gs://show/out/%V/%V.####.exr"])
    path_map = PathMap(rules=rules)
    read = path_map.resolve(mapped_name("gs://show/raw/A.1001.exr"))
    written = path_map.resolve(mapped_name("gs://show/out/A/A.1001.exr"))
    assert (str(read.url), read.mode) == ("gs://show/raw/A.1001.exr", "read")
    assert (str(written.url), written.mode) == ("gs://show/out/A/A.1001.exr", "write")
    assert locate("gs://other/x.exr", path_map) == ObjectUrl.parse("gs://other/x.exr")


def test_the_schema_has_every_table_and_every_operation() -> None:
    schema = pipeline_schema()
    kinds = {variant["properties"]["kind"]["const"] for variant in schema["$defs"]["operation"]["oneOf"]}
    assert {"black_level", "colour_matrix"} <= kinds
    assert set(schema["properties"]) == {"name", "source", "stages", "outputs"}


@pytest.fixture
def shoot(tmp_path: Path) -> Shoot:
    return Shoot(tmp_path, frames=1, cameras=("A001",))


def test_a_temporal_step_behind_another_one_widens_what_is_read(shoot: Shoot) -> None:
    tree = Tree.of(shoot.pipeline((Around(),), (Doubled(), Around())))
    assert tree.radius == 2
    assert tree.window_places() == {ROOT: 2, 1: 1}


def test_a_recipe_is_of_the_steps_on_the_way_only(shoot: Shoot) -> None:
    outputs = [
        {"name": "first", "file": f"{shoot.url}/a/%V.####.exr", "after": "s1"},
        {"name": "last", "file": f"{shoot.url}/b/%V.####.exr"},
    ]
    one = shoot.pipeline((Doubled(),), (Column(),), outputs=outputs)
    other = shoot.pipeline((Doubled(),), (Column(), Halved()), outputs=outputs)
    recipes = [[recipe(p, Tree.of(p), leaf, "A001") for leaf in Tree.of(p).leaves] for p in (one, other)]
    assert recipes[0][0] == recipes[1][0]
    assert recipes[0][1] != recipes[1][1]


def test_a_frame_of_a_hundred_megapixels_is_worked_on_in_bands(shoot: Shoot) -> None:
    tree = Tree.of(shoot.pipeline((Doubled(), Column()), (Doubled(),)))
    window = Window(0, 0, 11648, 8736)
    layout = Layout(window, window, ("R", "G", "B"), metadata={}, pixel_aspect=1.0)
    plan = estimate(tree, layout, 11648 * 8736 * 6, budget=1536 * 1024**2)
    assert 64 <= plan.band_rows < 1000
    assert plan.total < 2_000_000_000


def test_a_side_input_counts_as_a_picture(shoot: Shoot) -> None:
    window = Window(0, 0, 1000, 500)
    layout = Layout(window, window, ("R", "G", "B"), metadata={}, pixel_aspect=1.0)
    flat = operation_from({"kind": "flat_field", "flat": "file:///flat.exr"})
    level = operation_from({"kind": "linearise", "curve": "srgb"})
    with_side, without = (
        estimate(Tree.of(shoot.pipeline((one,))), layout, 1000, budget=10**9).working for one in (flat, level)
    )
    assert with_side - without == 1000 * 500 * 3 * 4


def test_an_explanation_fits_eighty_columns(shoot: Shoot) -> None:
    pipeline = parse_pipeline(GOOD.encode(), "grade.toml")
    lines = explanation_lines(pipeline, explanation(pipeline, Frame.parse("4096x3112", "R,G,B")))
    assert max(map(len, lines)) <= 80
    assert any("at the peak" in line for line in lines)
    assert not any("one such frame at a time" in line for line in lines)
    small = explanation_lines(pipeline, explanation(pipeline, Frame.parse("4096x3112", "R,G,B"), budget=1))
    assert any("one such frame at a time" in line for line in small)
    with pytest.raises(UsageError, match="1920x1080"):
        Frame.parse("wide", "")


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        (
            'name = "calibrate"',
            'nam = "calibrate"',
            "grade.toml: stages[0].nam: there is no such key; did you mean 'name'? (and",
        ),
        (
            'kind = "black_level"',
            'kind = "black_levle"',
            "there is no operation 'black_levle'; did you mean 'black_level'?",
        ),
    ],
)
def test_a_misspelt_word_is_answered_by_the_right_one(was: str, becomes: str, said: str) -> None:
    assert was in GOOD
    with pytest.raises(ConfigError) as raised:
        parse_pipeline(GOOD.replace(was, becomes, 1).encode(), "grade.toml")
    assert said in str(raised.value)
    assert "?." not in str(raised.value)
