"""What a user sees of a failure: one line and an exit code; and how fast help comes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from jit_render.cli import boundary
from jit_render.model.errors import JitRenderError, every_error

HEAVY = {
    "pydantic",
    "rich",
    "numpy",
    "OpenImageIO",
    "fileseq",
    "fsspec",
    "google.cloud",
    "prometheus_client",
    "asyncio",
}


def ends_with(error: BaseException | None, *words: str) -> int:
    app = boundary.application()

    @app.command()
    def command(count: int = 1) -> None:
        if error is not None:
            raise error

    with pytest.raises(SystemExit) as end:
        boundary.run(app, "tool", words)
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.mark.parametrize("kind", every_error().values(), ids=lambda kind: kind.__name__)
def test_each_error_ends_with_its_own_code_and_one_line(
    kind: type[JitRenderError], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends_with(kind("thing is not at place;\nset other.")) == kind.exit_code
    assert capsys.readouterr().err == "tool: thing is not at place; set other.\n"


def test_a_foreign_error_is_one_line_that_says_how_to_see_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(ZeroDivisionError("division by zero")) == 1
    said = capsys.readouterr().err
    assert said == "tool: ZeroDivisionError: division by zero (an internal error; --debug shows where)\n"


def test_debug_shows_the_traceback_wherever_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(ZeroDivisionError("division by zero"), "--count", "2", "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_ends_with_130_and_nothing_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == ""


def test_an_exit_code_of_a_command_is_kept() -> None:
    assert ends_with(None) == 0
    assert ends_with(typer.Exit(75)) == 75


@pytest.mark.parametrize("words", [("--nope",), ("--count", "many"), ("more",)])
def test_a_wrong_command_line_is_one_line_and_2(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(None, *words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("tool: ")
    assert said.endswith("See tool -h.\n")


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    code = (
        "from jit_render.cli import boundary\n"
        "app = boundary.application()\n"
        "@app.command()\n"
        "def go():\n"
        "    import sys\n"
        "    for _ in range(100000): sys.stdout.write('line\\n')\n"
        "boundary.run(app, 'tool', [])\n"
    )
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE)
    os.close(write)

    assert done.stderr == b""
    assert done.returncode == boundary.BROKEN_PIPE


def test_the_commands_load_nothing_heavy_before_they_are_called() -> None:
    code = "import sys, jit_render.cli.main, jit_render.cli.submit; print('\\n'.join(sys.modules))"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert HEAVY.isdisjoint(loaded)


@pytest.mark.parametrize("module", ["main", "submit"])
def test_help_names_the_exit_codes(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"jit_render.cli.{module}", "--help"], capture_output=True, text=True, check=True
    )

    assert "75 try again" in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= 80
