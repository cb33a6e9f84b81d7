"""The one place where an exception becomes a line and an exit code.

=====  ==========================================================
exit   meaning
=====  ==========================================================
0      done
1      a frame or the runtime failed; trying again will not help
2      wrong usage, configuration or name
3      an input is missing
75     try again: preempted, agent or network lost, no licence
130    interrupted (Ctrl-C)
=====  ==========================================================

This module and those it imports at its top stay free of pydantic, rich and the store: ``--help`` answers at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import typer

from jit_render.model.errors import JitRenderError

EXIT_CODES = (
    "Exit codes: 0 done, 1 render or runtime error, 2 wrong usage, 3 missing input, 75 try again, 130 interrupted. "
    "With --debug, anywhere on the line, a failure shows its traceback."
)
INTERRUPTED = 130
BROKEN_PIPE = 141  # what a shell reports for a program that SIGPIPE ended


def application(**options: object) -> typer.Typer:
    """A Typer application with plain, quick help and no traceback of its own."""
    return typer.Typer(
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        **options,  # type: ignore[arg-type]  # Typer names each option; we pass on what a command group gives
    )


def run(app: typer.Typer, name: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `app` and exit as the table above says."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    sys.exit(_guarded(app, name, [word for word in words if word != "--debug"], debug=debug))


def _guarded(app: typer.Typer, name: str, words: list[str], *, debug: bool) -> int:
    out = sys.stdout
    try:
        code = app(args=words, prog_name=name, standalone_mode=False)
    except SystemExit as end:
        if sys.stdout is not out:  # Typer met a closed pipe and put a wrapper there
            return _silence()
        return _flushed(end.code if isinstance(end.code, int) else int(end.code is not None))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _silence()
    except JitRenderError as error:
        return _tell(name, str(error) or error.kind, error.exit_code, debug=debug)
    except Exception as error:  # the boundary: whatever it is, a user gets one line
        if hasattr(error, "format_message"):  # Typer's own: the command line is wrong
            return _tell_usage(name, error, debug=debug)
        where = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        hint = "" if debug else " (an internal error; --debug shows where)"
        return _tell(name, where + hint, 1, debug=debug)
    return _flushed(code if isinstance(code, int) else 0)


def _tell_usage(name: str, error: Any, *, debug: bool) -> int:
    """Typer's errors are found by what they can do: where their classes live differs between its releases."""
    message = error.format_message()
    if "Usage:" in message:  # a group without a command: its message is its help
        sys.stderr.write(message.rstrip() + "\n")
        return 2
    command = getattr(getattr(error, "ctx", None), "command_path", name)
    said = message.replace("Value error, ", "").rstrip(".?")
    mark = "?" if message.endswith("?") else "."
    return _tell(name, f"{said}{mark} See {command} -h.", 2, debug=debug)


def _tell(name: str, message: str, exit_code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    line = " ".join(message.split())
    red, plain = ("\x1b[31m", "\x1b[0m") if _in_colour() else ("", "")
    try:
        sys.stdout.flush()
        sys.stderr.write(f"{red}{name}: {line}{plain}\n")
    except BrokenPipeError:
        _silence()
    return exit_code


def _in_colour() -> bool:
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ


def _flushed(exit_code: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _silence()
    return exit_code


def _silence() -> int:
    """Nobody reads any more: let the interpreter's last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return BROKEN_PIPE
