from __future__ import annotations

import ast
from pathlib import Path

import pytest

from jit_render.model import errors
from jit_render.model.errors import ConfigError
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import Budgets, CommitKey, FailureClass, JobPaths, JobSpec, WriteTarget
from jit_render.model.pathmap import PathMap
from jit_render.model.settings import Layer, resolve

ROOT = Path(__file__).resolve().parents[2]


def spec(**changes: object) -> JobSpec:
    values: dict[str, object] = {
        "id": "shot-1",
        "shot": "shot",
        "created": 0.0,
        "script_name": "shot.nk",
        "script_source": "/mnt/show/shot.nk",
        "script_sha256": "0" * 64,
        "fingerprint": "0" * 64,
        "frames": "1001-1010",
        "writes": (WriteTarget(name="Write1", file="/mnt/show/out/a.%V.%04d.exr", views=("left", "right")),),
        "chunk": 4,
        "path_map": PathMap(),
    }
    return JobSpec.model_validate(values | changes)


def test_every_error_of_the_tree_is_drawn_in_its_docstring() -> None:
    drawn = errors.__doc__ or ""
    ours = [name for name, kind in errors.every_error().items() if kind.__module__ == errors.__name__]
    assert [name for name in ours if name not in drawn] == []


def test_an_error_survives_its_way_over_the_socket() -> None:
    rebuilt = errors.from_kind("ObjectNotFound", "gone")
    assert isinstance(rebuilt, errors.ObjectNotFound)
    assert (rebuilt.exit_code, rebuilt.retryable, rebuilt.kind) == (3, False, "ObjectNotFound")


def test_the_model_does_no_io() -> None:
    banned = {"os", "pathlib", "socket", "subprocess", "sqlite3", "shutil", "tempfile", "threading", "asyncio"}
    for path in (ROOT / "jit_render" / "model").glob("*.py"):
        if path.name == "exr.py":  # it reads a file that its caller opened
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not banned & {name.split(".")[0] for name in names}, path


def test_tasks_cut_the_frames_into_chunks() -> None:
    assert spec().tasks() == [(1001, 1002, 1003, 1004), (1005, 1006, 1007, 1008), (1009, 1010)]


def test_a_movie_is_one_task() -> None:
    movie = WriteTarget(name="Movie", file="/mnt/show/out/a.mov", per_frame=False)
    assert len(spec(writes=(movie,)).tasks()) == 1


def test_a_frame_needs_one_commit_per_write_and_view() -> None:
    assert [(key.write, key.view) for key in spec().commits(1001)] == [("Write1", "left"), ("Write1", "right")]


def test_a_spec_reads_back_from_its_json() -> None:
    assert JobSpec.model_validate_json(spec().model_dump_json()) == spec()


def test_every_failure_class_has_a_budget() -> None:
    assert all(Budgets().of(failure) >= 0 for failure in FailureClass)


def test_records_lie_where_the_design_says() -> None:
    paths = JobPaths.of(ObjectUrl.parse("gs://state/jit"), "shot-1")
    key = CommitKey(write="Write1", view="left", frame=1001)
    assert str(paths.commit(key)) == "gs://state/jit/jobs/shot-1/frames/Write1/left/1001.json"
    assert str(paths.attempt(3, 2)) == "gs://state/jit/jobs/shot-1/attempts/3/2.json"


def test_a_stronger_layer_wins_and_its_origin_is_told() -> None:
    resolved = resolve(
        [Layer("flag", {"cache": {"limit": "2G"}}), Layer("file", {"cache": {"limit": "1G", "root": "/c"}})]
    )
    assert resolved.settings.cache.limit == 2 * 1024**3
    assert resolved.origins == {"cache.limit": "flag", "cache.root": "file"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cache": {"limt": 1}}, "f: unknown key cache.limt; did you mean 'limit'"),
        ({"cach": {}}, "f: unknown section 'cach'; did you mean 'cache'"),
        ({"cache": {"limit": "2Q"}}, "f: cache.limit: '2Q' is no size"),
        ({"paths": [{"prefix": "/a", "target": "nowhere"}]}, "f: paths.0.target"),
        ({"paths": {"prefix": "/a"}}, "paths"),
    ],
)
def test_bad_settings_name_their_origin_and_the_way_out(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve([Layer("f", values)])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
