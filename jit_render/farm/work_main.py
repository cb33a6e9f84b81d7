"""``python -m jit_render.farm.work_main``: one task in a process of its own, as engines start it.

Progress goes to standard output, one JSON object a line; whoever started us may be gone, so a closed pipe is no
reason to stop. Errors before the attempt exists go to standard error, one line.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from typing import Any

from jit_render.farm.worker import WorkOptions, work
from jit_render.model.clock import SystemClock
from jit_render.model.errors import JitRenderError
from jit_render.model.frames import FrameSet
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="jit_render.farm.work_main")
    parser.add_argument("--job", required=True, help="URL of the job's folder")
    parser.add_argument("--task", required=True, type=int)
    parser.add_argument("--attempt", type=int, default=0, help="make exactly this attempt; 0: the next free one")
    parser.add_argument("--frames", default="", help="only these of the task's frames")
    parser.add_argument("--settings", required=True, help="JSON of the settings; -: on standard input")
    given = parser.parse_args(arguments)
    try:
        settings = Settings.model_validate_json(sys.stdin.read() if given.settings == "-" else given.settings)
        frames = FrameSet.parse(given.frames) if given.frames else None
        options = WorkOptions(attempt=given.attempt, frames=frames, tell=_print_line)
        return work(settings, ObjectUrl.parse(given.job), given.task, options, SystemClock())
    except JitRenderError as error:
        print(f"jit-render work: {error}", file=sys.stderr)  # noqa: T201 - a command's words
        return error.exit_code


def _print_line(event: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        os.write(sys.stdout.fileno(), (json.dumps(event) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
