"""The command line: Nuke's own flags as far as a farm uses them. Exit 0 done, 1 failed, 100 no licence."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jit_render.model.errors import JitRenderError

_WRONG_USAGE = 2
_EPILOG = """\
For tests, through the environment only:
  JIT_RENDER_STANDIN_TIMING=pattern|concrete   the filename filter sees names as written, once, when a knob is
                                               stored; or each frame's and view's own name, at every use
  JIT_RENDER_STANDIN_SECONDS_PER_FRAME=0.5     every frame takes that much longer
  JIT_RENDER_STANDIN_LICENCE=none              no licence: exit 100
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jit_render.render.standin",
        description="Render a Nuke script without Nuke.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("script", type=Path)
    parser.add_argument("-x", action="store_true", help="execute the script's Writes (always done)")
    parser.add_argument("-t", "-i", "-q", "--nukex", action="store_true", help="accepted and ignored")
    parser.add_argument("-X", dest="writes", metavar="NAMES", default="", help="only these Writes: Write1,Write2")
    parser.add_argument("-F", dest="frames", metavar="RANGE", action="append", default=[], help="1001-1010x2; repeat")
    parser.add_argument("--view", dest="views", metavar="VIEWS", default="", help="only these views: left,right")
    parser.add_argument("-m", dest="threads", metavar="N", type=int, default=0, help="threads")
    parser.add_argument("-c", dest="cache", metavar="SIZE", default="", help="memory for decoded files: 512M, 4G")
    parser.add_argument("-V", dest="verbose", metavar="N", nargs="?", type=int, const=1, default=0, help="verbosity")
    parser.add_argument("--sro", action="store_true", help="each Write over all frames, in render order")
    parser.add_argument("-f", dest="full", action="store_true", help="full size (always)")
    parser.add_argument("-p", dest="proxy", action="store_true", help="proxy size: refused, it is not supported")
    parser.add_argument("--debug", action="store_true", help="show where a failure came from")
    return parser


def _size(text: str) -> int:
    """``512M`` → bytes; a plain number is megabytes, as for Nuke."""
    if not text:
        return 0
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    unit = text[-1].upper()
    return int(float(text[:-1]) * units[unit]) if unit in units else int(float(text) * units["M"])


def _keep_freed_memory() -> None:
    """Have the C library keep what planes gave back: fresh pages from the kernel cost as much as the work on them."""
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return  # not glibc
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # malloc.h
    mallopt(mmap_threshold, 32 << 20)
    mallopt(trim_threshold, 1 << 30)
    mallopt(top_pad, 64 << 20)


def main(argv: list[str] | None = None) -> int:
    """Run; messages go to standard error, one line each."""
    # Results must not depend on how many threads a matrix product is split into; set before NumPy loads.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    _keep_freed_memory()
    options = _parser().parse_args(argv)
    try:
        return _render(options)
    except MemoryError:
        return _failed("out of memory", options.script)
    except KeyboardInterrupt:
        return _failed("interrupted", options.script)
    except Exception as error:
        from jit_render.model.errors import JitRenderError

        if options.debug:
            raise
        if isinstance(error, JitRenderError):
            _tell_worker(error)
            return _failed(str(error), options.script)
        return _failed(f"{type(error).__name__}: {error} (--debug shows where)", options.script)


def _render(options: argparse.Namespace) -> int:
    if os.environ.get("JIT_RENDER_STANDIN_LICENCE") == "none":
        _say("A licence for the stand-in was asked for and none was free (simulated).")
        return 100
    from jit_render.model.errors import UsageError
    from jit_render.model.frames import FrameSet
    from jit_render.render.standin.session import Options, run

    if options.proxy:
        raise UsageError("-p: the stand-in renders at full size only; render proxies with Nuke.")
    try:
        cache_bytes = _size(options.cache)
    except ValueError:
        raise UsageError(f"-c {options.cache!r} is no size; write it like 512M.") from None
    frames = FrameSet.parse(",".join(options.frames)).frames if options.frames else ()
    run(
        Options(
            script=options.script,
            frames=frames,
            writes=tuple(name for name in options.writes.split(",") if name),
            views=tuple(name for name in options.views.split(",") if name),
            threads=options.threads,
            cache_bytes=cache_bytes,
            verbose=options.verbose,
            in_render_order=options.sro,
        )
    )
    return 0


def _tell_worker(error: JitRenderError) -> None:
    """What only a person can mend (a node, a knob, the script) is marked, so that a farm does not try it again."""
    from nuke_callbacks.wire import FAILURE_MARK, SOCKET_VARIABLE

    if error.exit_code == _WRONG_USAGE and os.environ.get(SOCKET_VARIABLE):
        told = {"kind": error.kind, "message": str(error), "frame": None, "write": ""}
        _say(FAILURE_MARK + json.dumps(told))


def _failed(message: str, script: Path) -> int:
    line = " ".join(message.split())
    _say(f"ERROR: {line}" if script.name in line else f"ERROR: {script.name}: {line}")
    return 1


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a command's own output


if __name__ == "__main__":
    sys.exit(main())
