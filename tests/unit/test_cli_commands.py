"""The commands against a real bucket folder: what they say, what they end with, and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jit_render.cli import boundary
from jit_render.cli.main import app as main_app
from jit_render.cli.submit import app as submit_app
from jit_render.farm.records import encode
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import AttemptRecord, FailureClass, JobPaths

SCRIPT = """\
Root {
 inputs 0
 name /mnt/show/a.nk
 format "32 18 0 0 32 18 1 tiny"
}
Constant {
 inputs 0
 color {0.1 0.5 0.2 1}
}
Write {
 file /mnt/show/out/a.%04d.exr
 file_type exr
 create_directories true
 name Write1
}
"""


class Shell:
    """Runs commands in a folder that has a configuration."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture

    def __call__(self, *words: str) -> tuple[int, str, str]:
        name, app = ("jit-submit", submit_app) if words[0] == "submit" else ("jit-render", main_app)
        self._capture.readouterr()
        with pytest.raises(SystemExit) as end:
            boundary.run(app, name, words[1:] if words[0] == "submit" else words)
        said = self._capture.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, said.out, said.err

    def json(self, *words: str) -> object:
        code, out, err = self(*words, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    (tmp_path / "jit-render.toml").write_text(
        '[job]\nstate = "file://${CONFIG_DIR}/state"\n[cache]\nroot = "${CONFIG_DIR}/cache"\n'
        '[render]\nrenderer = "standin"\n'
        '[[paths]]\nprefix = "/mnt/show"\ntarget = "file://${CONFIG_DIR}/bucket"\nmode = "write"\n'
    )
    (tmp_path / "a.nk").write_text(SCRIPT)
    (tmp_path / "bucket/plates").mkdir(parents=True)
    for frame in (1, 2, 3):
        (tmp_path / f"bucket/plates/p.{frame:04d}.exr").write_bytes(b"x" * 1000)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("JIT_RENDER_CONFIG", "XDG_CONFIG_HOME", "JIT_RENDER_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    return Shell(tmp_path, capsys)


def test_a_mapped_folder_is_listed_as_sequences(shell: Shell) -> None:
    code, out, _ = shell("ls", "/mnt/show/plates")

    assert code == 0
    assert out.splitlines()[1].split() == ["p.%04d.exr", "1-3", "(3)", "3.0", "kB"]
    by_url = shell.json("ls", f"file://{shell.folder}/bucket", "-r")
    assert by_url["entries"][0]["name"] == "plates/p.%04d.exr"


def test_what_a_script_reads_is_told_without_a_bucket(shell: Shell) -> None:
    read = 'Read {\n inputs 0\n file "/mnt/show/\\[getenv PLATE].%04d.exr"\n first 1\n last 9\n name Plate\n}\n'
    (shell.folder / "told.nk").write_text(
        SCRIPT.replace("Constant {", f"{read}Constant {{").replace("Write {", "Merge2 {\n inputs 2\n}\nWrite {")
    )
    told = shell.json("script", "told.nk", "--frames", "1-2", "--env", "PLATE=plates/bg")
    assert [(one["node"], one["pattern"], one["wanted"]) for one in told["reads"]] == [
        ("Plate", "/mnt/show/plates/bg.%04d.exr", {"1": "1", "2": "2"})
    ]
    code, out, _ = shell("script", "told.nk", "--frames", "1-2")
    assert code == 0
    assert "could not be told from the script (1)" in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_a_job_is_submitted_once_and_found_by_any_of_its_names(shell: Shell) -> None:
    first = shell.json("submit", "a.nk", "--frames", "1-4", "--no-run")
    again = shell.json("submit", "a.nk", "--frames", "1-4", "--no-run")

    assert (first["action"], again["action"], again["job"]) == ("new", "resumed", first["job"])
    for name in (first["job"], first["job"][:4], first["home"], "latest"):
        status = shell.json("status", name)
        assert (status["job"], status["state"], status["frames_total"]) == (first["job"], "waiting", 4)
    assert [row["state"] for row in shell.json("frames", "latest", "--frames", "2-3")] == ["waiting"] * 2
    assert [job["id"] for job in shell.json("ls")] == [first["job"]]


def test_what_was_understood_is_echoed_before_anything_happens(shell: Shell) -> None:
    _, _, err = shell("submit", "a.nk", "--frames", "1-9x2,20", "--no-run")

    assert err == "a.nk: 6 frames, 1 to 20 (1-9x2,20); Write1 (main); 1 task\n"


def test_a_cancelled_job_is_over_until_it_is_retried(shell: Shell) -> None:
    shell("submit", "a.nk", "--frames", "1-4", "--no-run")

    assert shell("cancel", "latest")[0] == 0
    code, out, _ = shell("wait", "latest")
    assert (code, "cancelled" in out) == (1, True)
    assert shell.json("retry", "latest", "--no-run")["left"] == "1-4"
    assert shell.json("status")["state"] == "waiting"


def test_waiting_ends_with_try_again_when_the_time_is_up(shell: Shell) -> None:
    shell("submit", "a.nk", "--frames", "1", "--no-run")

    assert shell("wait", "latest", "--timeout", "0.001")[0] == 75


def test_a_frame_that_failed_does_not_end_the_wait_for_the_others(shell: Shell) -> None:
    home = str(shell.json("submit", "a.nk", "--frames", "1-2", "--chunk", "1", "--no-run")["home"])
    failed = AttemptRecord(
        task=0, attempt=1, host="h", pid=1, started=1, heartbeat=2, ended=2, state="failed",
        failure=FailureClass.RENDER_ERROR, exit_code=1, message="it went wrong.",
    )  # fmt: skip
    place = Path(JobPaths(ObjectUrl.parse(home)).attempt(0, 1).key)
    Path("/", place).parent.mkdir(parents=True, exist_ok=True)
    Path("/", place).write_bytes(encode(failed))

    code, out, _ = shell("wait", "latest", "--timeout", "0.001", "--json")

    assert (code, json.loads(out)["exit_code"], json.loads(out)["attempts"]) == (75, 75, 1)


def test_verify_names_what_is_missing_and_fails(shell: Shell) -> None:
    shell("submit", "a.nk", "--frames", "1-2", "--no-run")

    code, out, err = shell("verify", "latest")

    assert code == 1
    assert "0 frames verified, 2 problems" in out
    assert "frame 2, Write1 (main)" in err


def test_settings_are_shown_with_their_origin(shell: Shell) -> None:
    rows = {row["key"]: row for row in shell.json("config", "show", "--set", "farm.workers=3")}

    assert (rows["farm.workers"]["value"], rows["farm.workers"]["origin"]) == (3, "flags")
    assert rows["job.state"]["origin"].endswith("jit-render.toml")
    assert rows["cache.fetchers"]["origin"] == "default"


def test_the_nuke_path_holds_an_init_py(shell: Shell) -> None:
    _, out, _ = shell("nuke-path")

    assert (Path(out.strip()) / "init.py").is_file()


def test_a_cache_without_an_agent_is_read_from_its_folder(shell: Shell) -> None:
    assert shell("cache", "status")[0] == 2
    (shell.folder / "cache").mkdir()

    assert shell.json("cache", "status")["agent"] == "not running"
    assert shell.json("cache", "verify") == {"checked": 0, "checked_bytes": 0, "bad": []}
    assert "0 objects (0 B) removed" in shell("cache", "clear")[1]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("submit", "no.nk", "--frames", "1"), 2, "no.nk: the script cannot be read"),
        (("submit", "jit-render.toml", "--frames", "1"), 2, "line 1"),
        (("submit", ".", "--frames", "1"), 2, "is a folder; name a .nk script"),
        (("submit", "a.nk", "--frames", "1-2:3"), 2, "write the step with x, like 1-2x3"),
        (("submit", "a.nk", "--frames", ""), 2, "the frame range is empty"),
        (("submit", "a.nk", "--frames", "1", "--write", "W2"), 2, "no Write node 'W2'; there are Write1"),
        (("submit", "a.nk", "--frames", "1", "--renderer", "paint"), 2, "render.renderer"),
        (("submit", "a.nk", "--frames", "1", "--set", "cache.limt=1"), 2, "did you mean 'limit'"),
        (("submit", "a.nk", "--frames", "1", "--state", "nowhere"), 2, "'nowhere' is not a storage URL"),
        (("submit", "a.nk", "--frames", "1", "--engine", "batch", "--scout"), 2, "--scout is for --engine local"),
        (("submit", "a.nk", "--frames", "1", "--spot"), 2, "are for --engine batch"),
        (("submit", "a.nk", "--frames", "1", "--engine", "cloud"), 2, "installed are local, batch"),
        (("submit", "a.nk"), 2, "Missing option '--frames'"),
        (("ls", "/elsewhere/a"), 2, "under no mapped prefix (known: /mnt/show)"),
        (("ls", "/mnt/show/../etc"), 2, "leaves its root"),
        (("ls", "/mnt/show/nothing"), 3, "no such folder, or nothing in it"),
        (("ls", "s3://"), 2, "names no bucket"),
        (("status", "a-1"), 2, "there is no job a-1"),
        (("status",), 2, "there is no job under"),
        (("status", "a\nb"), 2, "control character"),
        (("work", "--job", "nope", "--task", "0"), 2, "there is no job nope"),
        (("work", "--job", "nope"), 2, "name either a --task, or a --round and an --index"),
        (("agent", "--grace", "soon"), 2, "--grace"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(shell: Shell, words: tuple[str, ...], code: int, said: str) -> None:
    found, out, err = shell(*words)

    assert found == code
    assert said in err
    assert err.count("\n") == 1
    assert out == ""


_ELSEWHERE = ("--set", "gcp.endpoint=127.0.0.1:1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--yes",), "no Google Cloud project: set gcp.project"),
        (("--set", "gcp.project=studio", "--yes"), "is on this machine, where no node can read it"),
        (("--set", "gcp.project=studio", *_ELSEWHERE), "there is no terminal to ask at; say --yes"),
        (("--set", "gcp.project=studio", *_ELSEWHERE, "--machine", "e2-standard-8", "--yes"), "takes no local SSD"),
    ],
)
def test_nothing_is_stored_for_a_batch_job_that_cannot_be_or_was_not_agreed_to(
    shell: Shell, words: tuple[str, ...], said: str
) -> None:
    code, _, err = shell("submit", "a.nk", "--frames", "1-3", "--engine", "batch", *words)

    assert code == 2
    assert said in err
    assert not (shell.folder / "state").exists()
