"""``python -m examples.shot``: the whole way of the example shot, as a user would go it.

Makes the plates, puts them into a bucket, writes a configuration, renders with jit-submit and draws a contact sheet.
Everything it makes is below one folder (``.demo``); the commands it runs are shown, to be tried by hand.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from examples.shot import plates
from jit_render.model.errors import JitRenderError
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.report.words import duration, size

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "examples/shot/shot.nk"
FRAMES = "1001-1048"

CONFIG = """\
# Written by python -m examples.shot: where the example's file names lead, and where its records go.

[job]
show = "example"
state = "{bucket}/state"

[[paths]]
prefix = "/mnt/show"
target = "{bucket}/show"

[[paths]]
prefix = "/mnt/show/sh010/out"
target = "{bucket}/out"
mode = "write"

[render]
renderer = "standin"

[farm]
heartbeat = 2

[cache]
root = "${{CONFIG_DIR}}/cache"
limit = "10G"
"""


def main() -> int:
    given = _arguments()
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    bucket = given.bucket.rstrip("/") or "file://${CONFIG_DIR}/bucket"
    config = folder / "jit-render.toml"
    config.write_text(CONFIG.format(bucket=bucket), encoding="utf-8")
    _put_plates(ObjectUrl.parse(bucket.replace("${CONFIG_DIR}", str(folder)) + "/show"), given.workers)
    sheet = folder / "contact-sheet.png"
    command = ["jit-submit", SCRIPT, "--frames", given.frames, "--engine", "local", "--workers", str(given.workers)]
    command += ["--force"] * given.force + ["--sheet", str(sheet.relative_to(ROOT) if _inside(sheet) else sheet)]
    exit_code = _run(command, config)
    if exit_code == 0:
        settings = f"JIT_RENDER_CONFIG={_shown(config)}"
        _say(f"\nLook at {_shown(sheet)}, or ask:")
        _say(f"  {settings} .venv/bin/jit-render status")
        _say(f"  {settings} .venv/bin/jit-render ls /mnt/show/sh010/out/comp/v001/left")
    return exit_code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.shot", description="Render the example shot.")
    parser.add_argument("--folder", type=Path, default=ROOT / ".demo", help="where everything goes (default: .demo)")
    parser.add_argument("--bucket", default="", metavar="URL", help="another bucket or folder of one, like gs://b/demo")
    parser.add_argument("--frames", default=FRAMES, metavar="RANGE")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--force", action="store_true", help="render all frames, even those that are there already")
    return parser.parse_args()


def _put_plates(show: ObjectUrl, processes: int) -> None:
    began = time.monotonic()
    is_terminal = sys.stderr.isatty()

    def tell(done: int, total: int) -> None:
        if is_terminal:
            sys.stderr.write(f"\rplates: {done} of {total}" + "\n" * (done == total))

    if not is_terminal:
        _say(f"plates of the example show: {show}")
    made = plates.put(StoreSettings(), show, processes=max(1, processes), on_progress=tell)
    total = made.made + made.kept
    what = f"{made.made} made in {duration(time.monotonic() - began)}" if made.made else "all there already"
    _say(f"plates: {total} files, {size(made.size_bytes)}, {what}: {show}")


def _run(command: list[str], config: Path) -> int:
    """Show a command, and run it with the scripts that were installed with this Python."""
    _say(f"\n$ export JIT_RENDER_CONFIG={_shown(config)}\n$ {shlex.join(command)}")
    program = Path(sys.executable).with_name(command[0])
    try:
        return subprocess.call(
            [str(program), *command[1:]], cwd=ROOT, env={**os.environ, "JIT_RENDER_CONFIG": str(config)}
        )
    except FileNotFoundError:
        raise JitRenderError(f"{program} is not there: install jit-render with `pip install -e .` first.") from None


def _inside(path: Path) -> bool:
    return path.is_relative_to(ROOT)


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT) if _inside(path) else path)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except JitRenderError as error:
        sys.exit(f"python -m examples.shot: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
