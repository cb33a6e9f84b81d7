"""What a renderer's output says, line by line, and what class of failure an ending is.

Nuke and the stand-in print the same lines: ``Frame 1001 (1 of 8)`` when a frame starts, ``Writing PATH took
0.42 seconds`` when a file is complete. The callbacks add marked lines of JSON: one (`FAILURE_MARK`) when they stop a
render, one (`ABSENT_MARK`) before a frame of whose inputs the bucket lacks some, and one when that frame is done all
the same. Nothing else is believed: a line with the word "error" is no evidence of anything.
"""

from __future__ import annotations

import json
import re
import signal
from typing import Any

from jit_render.model.errors import every_error
from jit_render.model.job import FailureClass
from jit_render.render.port import AbsentNoted, Event, Failed, FrameStarted, FrameWritten, Moved, Verdict
from nuke_callbacks.wire import ABSENT_MARK, FAILURE_MARK

_FRAME = re.compile(r"^\s*Frame (-?\d+) \(\d+ of \d+\)")
_WRITING = re.compile(r"^\s*Writing (?P<path>.+?) took (?P<seconds>\d+(?:\.\d+)?) seconds?\b")
_MOVED = re.compile(r"^(\d+) bytes of pictures read, (\d+) written(?:, (\d+) the same as before)?$")
_LICENCE = re.compile(
    r"licen[cs]e (?:error|failure)|no licen[cs]es? (?:available|found)|licen[cs]es? .*(?:unavailable|in use)"
    r"|fail\w* to (?:obtain|get|check ?out)\b.*licen[cs]e",
    re.IGNORECASE,
)
_MEMORY = re.compile(r"out of memory|cannot allocate memory|std::bad_alloc|oom-kill|MemoryError", re.IGNORECASE)
_DISK = re.compile(r"no space left on device|\bdisk (?:is )?full\b|disk quota exceeded", re.IGNORECASE)
_COMPLAINT = re.compile(r"^\s*(?:\[.*?\]\s*)?(?:ERROR|RuntimeError|Traceback|.*\berror:)", re.IGNORECASE)

_NODE = {"AgentError", "AgentLost", "OutputBusy", "ProtocolError", "CacheError", "CacheLocked", "CacheUnusable"}
_NODE |= {"DiskFull", "StoreError", "TransientStoreError", "ChecksumMismatch", "PreconditionFailed", "RangeInvalid"}
_NODE |= {"BucketNotFound", "PermissionDenied"}
_CLASSES = {
    **dict.fromkeys(_NODE, FailureClass.NODE),
    "Preempted": FailureClass.PREEMPTED,
    "LicenceShortage": FailureClass.LICENCE,
    "OutOfMemory": FailureClass.OUT_OF_MEMORY,
    "MissingInput": FailureClass.MISSING_INPUT,
    "ObjectNotFound": FailureClass.MISSING_INPUT,
    "GenerationGone": FailureClass.MISSING_INPUT,
}


def class_of(kind: str) -> FailureClass:
    """The class of an error by its name; what is not known is the shot's own (a render error)."""
    return _CLASSES.get(kind, FailureClass.RENDER_ERROR)


def can_retry(kind: str) -> bool:
    """False where only a person can help: the command, the configuration or a permission is wrong (exit 2)."""
    error = every_error().get(kind)
    return error is None or error.exit_code != 2


def read_line(line: str) -> Event | None:
    """The event in one line of output; None for most lines."""
    mark = line.find(FAILURE_MARK)
    if mark >= 0:
        return _failure(line[mark + len(FAILURE_MARK) :])
    mark = line.find(ABSENT_MARK)
    if mark >= 0:
        return _absent(line[mark + len(ABSENT_MARK) :])
    started = _FRAME.match(line)
    if started:
        return FrameStarted(int(started[1]))
    written = _WRITING.match(line)
    if written:
        return FrameWritten(written["path"], float(written["seconds"]))
    moved = _MOVED.match(line)
    if moved:
        return Moved(int(moved[1]), int(moved[2]), int(moved[3] or 0))
    return None


def verdict(exit_code: int, failures: tuple[Failed, ...], tail: str) -> Verdict:
    """How a process ended, for renderers with Nuke's exit codes; a negative code is a signal."""
    if failures:
        first = failures[0]
        return Verdict(exit_code, class_of(first.kind), one_line(first.message))
    if exit_code == 0:
        return Verdict(0, None)
    if exit_code == 100 or _LICENCE.search(tail):
        return Verdict(exit_code, FailureClass.LICENCE, "no licence was free; it is tried again.")
    if _MEMORY.search(tail):
        return Verdict(exit_code, FailureClass.OUT_OF_MEMORY, f"the renderer ran out of memory: {last_words(tail)}")
    if _DISK.search(tail):
        return Verdict(exit_code, FailureClass.NODE, f"the node's disk is full: {last_words(tail)}")
    name = signal_name(exit_code)
    if name == "SIGKILL":
        return Verdict(exit_code, FailureClass.OUT_OF_MEMORY, "the renderer was killed, as the kernel does for memory.")
    if name in {"SIGTERM", "SIGINT", "SIGHUP"}:
        return Verdict(exit_code, FailureClass.NODE, f"the renderer was stopped from outside ({name}).")
    if name:
        words = last_words(tail)
        return Verdict(exit_code, FailureClass.RENDER_ERROR, f"the renderer crashed ({name}) after: {words}")
    return Verdict(exit_code, FailureClass.RENDER_ERROR, f"exit code {exit_code}: {last_words(tail)}")


def signal_name(exit_code: int) -> str:
    """``SIGKILL`` for -9 and for a shell's 137; an empty string for an ordinary exit."""
    number = -exit_code if exit_code < 0 else exit_code - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def last_words(tail: str) -> str:
    """The line that explains a failure best: the last complaint, else the last line that says anything."""
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    complaints = [line for line in lines if _COMPLAINT.match(line)]
    return one_line((complaints or lines or ["it printed nothing."])[-1])


def one_line(text: str, limit: int = 500) -> str:
    """`text` without line breaks, cut to `limit` characters."""
    joined = " ".join(text.split())
    return joined if len(joined) <= limit else joined[: limit - 1] + "…"


def _failure(text: str) -> Failed:
    try:
        said: dict[str, Any] = json.loads(text)
        frame = said.get("frame")
        return Failed(str(said["kind"]), str(said["message"]), None if frame is None else int(frame))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Failed("RenderError", one_line(text))


def _absent(text: str) -> AbsentNoted | None:
    try:
        said: dict[str, Any] = json.loads(text)
        missing = tuple((str(n), str(k), int(f), str(o)) for n, k, f, o in said["missing"])
        return AbsentNoted(str(said["write"]), int(said["frame"]), missing)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
