"""Where settings come from, and which wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from jit_render.cli.config import load
from jit_render.model.errors import ConfigError


@pytest.fixture
def world(tmp_path: Path) -> dict[str, str]:
    """An environment whose home is empty."""
    return {"HOME": str(tmp_path / "home")}


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_flags_beat_environment_beats_project_beats_user_beats_default(tmp_path: Path, world: dict[str, str]) -> None:
    write(tmp_path / "home/.config/jit-render/config.toml", "[farm]\nworkers = 3\ngrace = 3\nheartbeat = 3\n")
    project = write(tmp_path / "show/jit-render.toml", "[farm]\nworkers = 4\ngrace = 4\n[job]\nchunk = 4\n")
    environ = {**world, "JIT_RENDER_FARM_WORKERS": "5", "JIT_RENDER_JOB_CHUNK": "5"}

    found = load(["farm.workers=6"], environ=environ, folder=tmp_path / "show")

    farm = found.settings.farm
    assert (farm.workers, found.settings.job.chunk, farm.grace, farm.heartbeat) == (6, 5, 4.0, 3.0)
    assert found.origins["farm.workers"] == "flags"
    assert found.origins["job.chunk"] == "environment"
    assert found.origins["farm.grace"] == str(project)
    assert found.origins["farm.heartbeat"].endswith("config.toml")
    assert "cache.limit" not in found.origins


def test_the_project_file_is_found_from_any_folder_below(tmp_path: Path, world: dict[str, str]) -> None:
    write(tmp_path / "jit-render.toml", '[job]\nshow = "above"\n')
    deep = tmp_path / "sh010" / "comp"
    deep.mkdir(parents=True)

    assert load(environ=world, folder=deep).settings.job.show == "above"


def test_config_dir_stands_for_the_folder_of_the_file(tmp_path: Path, world: dict[str, str]) -> None:
    text = '[[paths]]\nprefix = ["/mnt/show"]\ntarget = "file://${CONFIG_DIR}/bucket"\n'
    text += '[render.environment]\nA = "${HOME}"\n'
    config = write(tmp_path / "any/name.toml", text)

    settings = load(environ={**world, "JIT_RENDER_CONFIG": str(config)}, folder=tmp_path).settings

    assert settings.paths[0].target == f"file://{tmp_path}/any/bucket"
    assert settings.render.environment == {"A": "${HOME}"}


def test_lists_in_the_environment_are_separated_like_paths(world: dict[str, str], tmp_path: Path) -> None:
    environ = {**world, "JIT_RENDER_RENDER_GIZMO_PATH": "/a:/b"}

    assert load(environ=environ, folder=tmp_path).settings.render.gizmo_path == ("/a", "/b")


def test_what_a_renderer_process_is_told_is_no_setting(world: dict[str, str], tmp_path: Path) -> None:
    environ = {**world, "JIT_RENDER_JOB": "gs://b/j", "JIT_RENDER_TASK": "1", "JIT_RENDER_LOOKAHEAD": "1"}

    assert load(environ=environ, folder=tmp_path).origins == {}


@pytest.mark.parametrize(
    ("flags", "environ", "text", "said"),
    [
        (["cache.limt=1"], {}, "", r"flags: unknown key cache\.limt; did you mean 'limit'"),
        (["cache=1"], {}, "", r"write it as section\.key=value"),
        (["cache.limit=3Q"], {}, "", r"flags: cache\.limit: '3Q' is no size"),
        (["nope.a=1"], {}, "", r"unknown section 'nope'"),
        ([], {"JIT_RENDER_CACHE_LIMT": "1"}, "", r"environment: unknown key cache\.limt; did you mean 'limit'"),
        ([], {"JIT_RENDER_CAHCE_LIMIT": "1"}, "", r"did you mean JIT_RENDER_CACHE_LIMIT"),
        ([], {"JIT_RENDER_CONFIG": "/no/such.toml"}, "", r"JIT_RENDER_CONFIG: there is no file /no/such\.toml"),
        ([], {}, "[cach]\nlimit = 1\n", r"jit-render\.toml: unknown section 'cach'; did you mean 'cache'"),
        ([], {}, "[cache\n", r"jit-render\.toml: .*line 1"),
        ([], {}, '[[paths]]\nprefix = "relative"\ntarget = "gs://b"\n', r"jit-render\.toml: .*not absolute"),
        ([], {}, '[[paths]]\nprefix = "/a"\ntarget = "b"\n', r"'b' is not a storage URL"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_its_place(
    *, flags: list[str], environ: dict[str, str], text: str, said: str, tmp_path: Path, world: dict[str, str]
) -> None:
    if text:
        write(tmp_path / "jit-render.toml", text)

    with pytest.raises(ConfigError, match=said) as caught:
        load(flags, environ={**world, **environ}, folder=tmp_path)

    assert "\n" not in str(caught.value)
