"""``python -m examples.preprocess``: a light-field shoot through three stages, as a user would go it.

Makes the raw mosaics, writes a configuration, explains the pipeline and runs it on this machine. Everything it makes is
below one folder (``.demo/preprocess``); the commands it runs are shown, to be tried by hand.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from examples.preprocess import raws
from jit_render.model.errors import JitRenderError
from jit_render.report.words import duration, size

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = "examples/preprocess/lightfield.toml"

CONFIG = """\
# Written by python -m examples.preprocess: where the pipeline's file names lead, and where its records go.

[job]
show = "example"
state = "{bucket}/state"

[[paths]]
prefix = "/mnt/lightfield"
target = "{bucket}/lightfield"

[[paths]]
prefix = "/mnt/lightfield/out"
target = "{bucket}/out"
mode = "write"

[farm]
heartbeat = 2

[cache]
root = "${{CONFIG_DIR}}/cache"
limit = "1G"
"""


def main() -> int:
    given = _arguments()
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    bucket = given.bucket.rstrip("/") or "file://${CONFIG_DIR}/bucket"
    config = folder / "jit-render.toml"
    config.write_text(CONFIG.format(bucket=bucket), encoding="utf-8")
    place = bucket.replace("${CONFIG_DIR}", str(folder)) + "/lightfield"
    began = time.monotonic()
    _say(f"raw mosaics and white fields of {len(raws.CAMERAS)} cameras: {place}")
    made, written = raws.put_all(place, max(1, given.workers))
    what = f"{made} made, {size(written)}, in {duration(time.monotonic() - began)}" if made else "all there already"
    _say(f"raws: {len(raws.CAMERAS) * (raws.COUNT + 1)} files, {what}")
    _run(["jit-preprocess", "explain", PIPELINE, "--size", f"{raws.WIDTH}x{raws.HEIGHT}"], config)
    command = ["jit-preprocess", "run", PIPELINE, "--frames", given.frames, "--cameras", given.cameras]
    command += ["--workers", str(given.workers), *["--force"] * given.force, *["--staged"] * given.staged]
    exit_code = _run(command, config)
    if exit_code == 0:
        _say(f"\nLook at {_shown(folder / 'bucket/out')}, or ask:")
        _say(f"  JIT_RENDER_CONFIG={_shown(config)} .venv/bin/jit-render status")
    return exit_code


def _arguments() -> argparse.Namespace:
    last = raws.FIRST + raws.COUNT - 1
    parser = argparse.ArgumentParser(prog="python -m examples.preprocess", description="Preprocess the example shoot.")
    parser.add_argument("--folder", type=Path, default=ROOT / ".demo/preprocess", help="where everything goes")
    parser.add_argument("--bucket", default="", metavar="URL", help="another bucket or folder of one, like gs://b/demo")
    parser.add_argument("--frames", default=f"{raws.FIRST}-{last}", metavar="RANGE")
    parser.add_argument("--cameras", default=f"{raws.CAMERAS[0]}-{raws.CAMERAS[-1]}", metavar="NAMES")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--force", action="store_true", help="make all outputs, even those that are there already")
    parser.add_argument("--staged", action="store_true", help="store what comes out of each stage, too")
    return parser.parse_args()


def _run(command: list[str], config: Path) -> int:
    """Show a command, and run it with the scripts that were installed with this Python."""
    _say(f"\n$ export JIT_RENDER_CONFIG={_shown(config)}\n$ {shlex.join(command)}")
    program = Path(sys.executable).with_name(command[0])
    environment = {**os.environ, "JIT_RENDER_CONFIG": str(config)}
    try:
        return subprocess.call([str(program), *command[1:]], cwd=ROOT, env=environment)
    except FileNotFoundError:
        raise JitRenderError(f"{program} is not there: install jit-render with `pip install -e .` first.") from None


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except JitRenderError as error:
        sys.exit(f"python -m examples.preprocess: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
