"""How an attempt ended: its class of failure, its one-line message, its exit code."""

from __future__ import annotations

import contextlib
import errno
from dataclasses import dataclass
from pathlib import Path

from jit_render.model.errors import CacheUnusable, JitRenderError, from_kind
from jit_render.model.frames import spell
from jit_render.model.job import CommitKey, FailureClass
from jit_render.render.lines import class_of, one_line, signal_name
from jit_render.render.process import Ended
from nuke_callbacks.failures import missing_told

DONE, RENDER_FAILED, WRONG_USAGE, INPUT_MISSING, TRY_AGAIN = 0, 1, 2, 3, 75
MOST_TOLD = 50_000  # characters of a list of absent inputs; people want all of them

_UNWRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST}
_EXIT_CODES = {
    FailureClass.PREEMPTED: TRY_AGAIN,
    FailureClass.LICENCE: TRY_AGAIN,
    FailureClass.NODE: TRY_AGAIN,
    FailureClass.OUT_OF_MEMORY: TRY_AGAIN,
    FailureClass.MISSING_INPUT: INPUT_MISSING,
    FailureClass.RENDER_ERROR: RENDER_FAILED,
    FailureClass.CANCELLED: RENDER_FAILED,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """`failure` is None for success; `exit_code` 2 means that only a person can help."""

    failure: FailureClass | None
    message: str = ""
    exit_code: int = DONE


def failed(failure: FailureClass, message: str) -> Outcome:
    return Outcome(failure, one_line(message, 2000), _EXIT_CODES[failure])


def of_error(error: JitRenderError) -> Outcome:
    """The outcome of an error that kept the task from rendering."""
    exit_code = WRONG_USAGE if error.exit_code == WRONG_USAGE else _EXIT_CODES[class_of(error.kind)]
    return Outcome(class_of(error.kind), one_line(str(error), 2000), exit_code)


def of_disk(cache: Path, error: OSError) -> Outcome:
    """The outcome of a cache that the worker itself cannot write to; only a full disk may mend itself."""
    said = f"cache {cache}: {error.strerror or error}"
    if error.errno in _UNWRITABLE:
        return of_error(CacheUnusable(f"{said}; set cache.root to a folder that this user can write."))
    return failed(FailureClass.NODE, f"{said}; free space on its disk, or set cache.root to a folder on another one.")


def of_render(ended: Ended) -> Outcome:
    """The outcome of a renderer process that ended by itself.

    An error of a frame of which inputs are absent is taken for theirs: Nuke's own message names one file at best.
    """
    verdict = ended.verdict
    if verdict.failure is None:
        return Outcome(None)
    if ended.failures:
        said = of_error(from_kind(ended.failures[0].kind, ended.failures[0].message))
        return Outcome(verdict.failure, one_line(verdict.message, 2000), said.exit_code)
    if verdict.failure is FailureClass.OUT_OF_MEMORY and signal_name(verdict.exit_code) == "SIGKILL":
        peak = ended.usage.peak_memory_bytes
        if peak < memory_bytes() // 2:
            held = peak // 1024**2
            return failed(FailureClass.NODE, f"the renderer was killed from outside (SIGKILL; it held {held} MiB).")
    if verdict.failure is FailureClass.RENDER_ERROR and ended.absent and not signal_name(verdict.exit_code):
        return _of_absent(ended)
    return failed(verdict.failure, verdict.message)


def _of_absent(ended: Ended) -> Outcome:
    """All that is absent, and what the renderer said, should the reason be another one after all."""
    told = " ".join(f"frame {note.frame}: {missing_told(note.missing)}" for note in ended.absent)
    message = f"{told} (The renderer said: {ended.verdict.message})"
    return Outcome(FailureClass.MISSING_INPUT, one_line(message, MOST_TOLD), INPUT_MISSING)


def of_unwritten(missing: list[CommitKey]) -> Outcome:
    """The renderer said that all went well, yet some of what was asked for is not in the bucket."""
    by_write: dict[str, list[int]] = {}
    for key in missing:
        by_write.setdefault(f"{key.write} ({key.view})", []).append(key.frame)
    listed = "; ".join(f"{place}: {spell(frames)}" for place, frames in by_write.items())
    return failed(
        FailureClass.RENDER_ERROR, f"the renderer ended without an error but did not write {listed}; look at its log."
    )


def memory_bytes() -> int:
    """What this machine, or the control group we run in, has."""
    total = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        line = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
        total = int(line.split()[1]) * 1024
    with contextlib.suppress(OSError, ValueError):
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total
